//! `cargo xtask test`: builds the tests once and runs each executable, as this user or as another.

mod executables;
mod identity;
mod rung;
pub(crate) mod tally;

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use executables::Executable;
use identity::Identity;
use tally::Tally;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::process;

pub(crate) fn run(mut arguments: Arguments) -> Result<(), Failure> {
    let user = arguments.value("--as")?;
    let rung = arguments.value("--rung")?;
    let share = arguments.value("--share")?;
    arguments.finish()?;
    let identity = user.map(|name| Identity::find(&name)).transpose()?;
    let share = rung::Share::parse(share.as_deref().unwrap_or("0/1"))?;
    if let Some(rung) = rung {
        return rung::run(&rung, share, identity.as_ref());
    }
    let executables = executables::build(&["--workspace"])?;
    if let Some(identity) = &identity {
        for executable in &executables {
            identity.check_access(&executable.path)?;
            identity.check_access(&executable.folder.join("Cargo.toml"))?;
        }
    }
    let mut tally = Tally::default();
    for executable in &executables {
        println!("\n     Running {} {}", executable.label, executable.path.display());
        run_one(executable, identity.as_ref(), &mut tally)?;
    }
    let name = identity.as_ref().map_or("this user", |identity| &identity.name);
    println!("\ntest: as {name}: {tally}");
    println!("test: doc tests are not executables: `cargo test --workspace --doc` runs them");
    match tally.bad.len() {
        0 => Ok(()),
        _ => Err(Failure::Work(format!("failed: {}", tally.bad.join(", ")))),
    }
}

fn run_one(executable: &Executable, identity: Option<&Identity>, tally: &mut Tally) -> Result<(), Failure> {
    let mut command = match identity {
        None => Command::new(&executable.path),
        Some(identity) => identity.command(&executable.environment, &executable.path),
    };
    command.envs(executable.environment.iter().cloned()).current_dir(&executable.folder);
    let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = started.map_err(|error| process::not_started(&command, &error))?;
    let failure = |error| Failure::io("read the output of", &executable.path, &error);
    let mut results = Vec::new();
    for line in child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).split(b'\n')) {
        let line = line.map_err(failure)?;
        // A test's name and its result may be in any encoding; a broken pipe of ours must not end the others.
        let mut out = io::stdout().lock();
        out.write_all(&line).and_then(|()| out.write_all(b"\n")).map_err(failure)?;
        results.extend(tally::counts(&String::from_utf8_lossy(&line)));
    }
    let status = child.wait().map_err(failure)?;
    tally.add(&executable.label, &results, status);
    Ok(())
}
