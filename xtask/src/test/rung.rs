//! The escape checks on a rung below the full one. What that rung does not promise, or a check cannot show there, is
//! listed in one table with its reason: all others must pass, and those must fail, so that the table stays true.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use super::executables::{self, Executable};
use super::identity::Identity;
use crate::failure::Failure;
use crate::{process, workspace};

/// Where the exceptions stand.
const TABLE: &str = "tests/rungs.txt";

/// Which part of the checks is run: the one of this index, of so many.
#[derive(Clone, Copy)]
pub(super) struct Share {
    index: u64,
    of: u64,
}

impl Share {
    /// `INDEX/OF`, from 0.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let numbers = text.split_once('/').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        match numbers {
            Some((index, of)) if index < of => Ok(Self { index, of }),
            _ => Err(Failure::Usage(format!("`{text}` is no share: say 0/4 for the first quarter"))),
        }
    }

    /// By a hash of the name (FNV-1a): a new check moves no other one.
    fn has(self, check: &str) -> bool {
        let hash = check.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        hash % self.of == self.index
    }
}

/// Runs them.
pub(super) fn run(rung: &str, share: Share, identity: Option<&Identity>) -> Result<(), Failure> {
    let built = executables::build(&["-p", "ringfence-tests", "--test", "escape", "--bins"])?;
    let escape = built.iter().find(|executable| executable.label.contains("escape"));
    let escape = escape.ok_or_else(|| Failure::Work("the escape checks were not built".to_owned()))?;
    let path = workspace::root().join(TABLE);
    let table = fs::read_to_string(&path).map_err(|error| Failure::io("read", &path, &error))?;
    let is_root = process::read(Command::new("id").arg("-u"))?.trim() == "0";
    let user = if identity.is_none() && is_root { "root" } else { "user" };
    let (all, excepted) = (checks(escape, identity, rung)?, exceptions(&table, rung, user)?);
    if let Some(gone) = excepted.iter().find(|name| !all.contains(*name)) {
        return Err(Failure::Work(format!("{TABLE} names {gone}, and there is no such check")));
    }
    let chosen =
        |names: &BTreeSet<String>| names.iter().filter(|name| share.has(name)).cloned().collect::<Vec<_>>();
    let promised = chosen(&all.difference(&excepted).cloned().collect());
    let others = chosen(&excepted);
    let mut command = started(escape, identity, rung);
    let status = command.arg("--exact").args(&promised).status();
    let status = status.map_err(|error| process::not_started(&command, &error))?;
    let still = if others.is_empty() { Vec::new() } else { passing(escape, identity, rung, &others)? };
    println!(
        "\ntest: rung {rung} as {user}: {} checks, and {} excepted by {TABLE}",
        promised.len(),
        others.len()
    );
    if !still.is_empty() {
        return Err(Failure::Work(format!("{TABLE} excepts what holds: {}", still.join(", "))));
    }
    if status.success() { Ok(()) } else { Err(Failure::Work(format!("the rung {rung} does not hold all"))) }
}

fn started(escape: &Executable, identity: Option<&Identity>, rung: &str) -> Command {
    let mut environment = escape.environment.clone();
    environment.push(("RINGFENCE_TEST_RUNG".to_owned(), rung.to_owned()));
    let mut command = match identity {
        None => Command::new(&escape.path),
        Some(identity) => identity.command(&environment, &escape.path),
    };
    command.envs(environment).current_dir(&escape.folder).stdin(Stdio::null());
    command
}

fn checks(escape: &Executable, identity: Option<&Identity>, rung: &str) -> Result<BTreeSet<String>, Failure> {
    let text = process::read(started(escape, identity, rung).arg("--list"))?;
    let names: BTreeSet<_> =
        text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect();
    if names.is_empty() { Err(Failure::Work("no escape check is listed".to_owned())) } else { Ok(names) }
}

/// The checks that the table excepts for a user on a rung.
fn exceptions(table: &str, rung: &str, user: &str) -> Result<BTreeSet<String>, Failure> {
    let mut names = BTreeSet::new();
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let fields: Vec<_> = line.splitn(4, '|').map(str::trim).collect();
        let [on, who, check, why] = fields[..] else {
            return Err(Failure::Work(format!("{TABLE}: no `rung | user | check | why`: {line}")));
        };
        if why.is_empty() {
            return Err(Failure::Work(format!("{TABLE}: no reason: {line}")));
        }
        if on == rung && (who == "any" || who == user) {
            names.insert(check.to_owned());
        }
    }
    Ok(names)
}

/// Which of these pass.
fn passing(
    escape: &Executable,
    identity: Option<&Identity>,
    rung: &str,
    checks: &[String],
) -> Result<Vec<String>, Failure> {
    let mut command = started(escape, identity, rung);
    command.arg("--exact").args(checks).stderr(Stdio::null());
    let output = command.output().map_err(|error| process::not_started(&command, &error))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let failed = |check: &&String| text.contains(&format!("test {check} ... FAILED"));
    Ok(checks.iter().filter(|check| !failed(check)).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_is_in_one_share() {
        for name in ["files::row_1", "files::row_2", "host::x"] {
            let shares = (0..4).filter(|index| Share { index: *index, of: 4 }.has(name)).count();
            assert_eq!(shares, 1, "{name}");
        }
        for wrong in ["", "1", "4/4", "0/0", "a/b"] {
            assert!(Share::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn exceptions_have_a_rung_a_user_and_a_reason() {
        let table = "# words\n\nroot | any | a::b | because | of\nnested | user | c::d | why\n";
        assert_eq!(exceptions(table, "root", "user").ok().unwrap(), ["a::b".to_owned()].into());
        assert!(exceptions(table, "nested", "root").ok().unwrap().is_empty());
        assert!(exceptions("root | any | a::b |\n", "root", "root").is_err());
        assert!(exceptions("root | a::b\n", "root", "root").is_err());
    }
}
