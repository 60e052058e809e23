//! Who starts the program: nobody, Ringfence, and the peers that are installed.

use std::cell::RefCell;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::peers;
use super::program::{Folder, Program};
use super::resident::Resident;
use super::word;
use crate::failure::Failure;
use crate::process;

/// Who starts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Starter {
    Bare,
    Ringfence,
    /// The same through the library, in a process that stays.
    Resident,
    Bubblewrap,
    Unshare,
    Crun,
    Runc,
    Firejail,
}

impl Starter {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare fork+exec",
            Self::Ringfence => "ringfence",
            Self::Resident => "ringfence, library",
            Self::Bubblewrap => "bubblewrap",
            Self::Unshare => "unshare (namespaces alone)",
            Self::Crun => "crun",
            Self::Runc => "runc",
            Self::Firejail => "firejail (setuid)",
        }
    }
}

/// One start that is measured.
pub(super) struct Contender {
    pub(super) starter: Starter,
    pub(super) program: String,
    pub(super) way: Way,
}

/// How it is started.
pub(super) enum Way {
    /// By a command line, the starter first.
    Words {
        words: Vec<String>,
        folder: String,
    },
    Asked(RefCell<Resident>),
}

impl Contender {
    /// A fresh command, without streams; `None` for what is no command.
    pub(super) fn command(&self) -> Option<Command> {
        self.wrapped(&[])
    }

    /// The same behind another command, such as a tracer.
    pub(super) fn wrapped(&self, before: &[String]) -> Option<Command> {
        let Way::Words { words, folder } = &self.way else { return None };
        let mut words = before.iter().chain(words);
        let mut command = Command::new(words.next().map_or("", String::as_str));
        command.args(words).current_dir(folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Some(command)
    }

    /// One start to its end, in microseconds.
    pub(super) fn time(&self) -> Result<f64, Failure> {
        let mut command = match (&self.way, self.command()) {
            (Way::Asked(resident), _) => return resident.borrow_mut().go(),
            (_, Some(command)) => command,
            (_, None) => return Err(Failure::Work("nothing to start".to_owned())),
        };
        let start = Instant::now();
        let status = command.status();
        let time = start.elapsed();
        let status = status.map_err(|error| process::not_started(&command, &error))?;
        if !status.success() {
            let shown = process::shown(&command);
            return Err(Failure::Work(format!(
                "`{shown}` worked when tried and then failed: {status}; run it by hand"
            )));
        }
        Ok(time.as_secs_f64() * 1e6)
    }
}

/// All contenders for one program, each tried once. Ringfence must work; others may be missing.
pub(super) fn all(
    program: &Program,
    ringfence: &Path,
    resident: &Path,
    folder: &Folder,
    notes: &mut Vec<String>,
) -> Result<Vec<Contender>, Failure> {
    let by_words = |starter, words: Vec<String>| Contender {
        starter,
        program: program.label.clone(),
        way: Way::Words { words, folder: word(folder.path()) },
    };
    let own = std::iter::once(word(&program.path)).chain(program.arguments.iter().cloned()).collect();
    let mut all =
        vec![by_words(Starter::Bare, own), by_words(Starter::Ringfence, ringfence_words(program, ringfence))];
    for contender in &all {
        contender.command().map_or(Ok(String::new()), |mut command| process::read(&mut command))?;
    }
    // The library's caller runs one program without arguments.
    if program.arguments.is_empty() {
        let asked = Resident::start(resident, &program.path, folder, [0, 0])?;
        let (starter, program) = (Starter::Resident, program.label.clone());
        all.push(Contender { starter, program, way: Way::Asked(RefCell::new(asked)) });
    }
    for (starter, words) in peers::installed(program, folder, notes)? {
        let peer = by_words(starter, words);
        let tried = peer.command().map_or(Ok(String::new()), |mut command| process::read(&mut command));
        match tried {
            Ok(_) => all.push(peer),
            Err(why) => notes.push(format!(
                "{} does not run here and is not compared: {}",
                starter.name(),
                first_lines(&why.to_string())
            )),
        }
    }
    Ok(all)
}

fn first_lines(text: &str) -> String {
    text.lines().take(2).collect::<Vec<_>>().join(" ").chars().take(300).collect()
}

fn ringfence_words(program: &Program, ringfence: &Path) -> Vec<String> {
    let path = word(&program.path);
    let mut words = vec![word(ringfence), "run".to_owned()];
    if program.granted {
        words.extend(["--ro".to_owned(), path.clone()]);
    }
    words.extend(["--".to_owned(), path]);
    words.extend(program.arguments.iter().cloned());
    words
}
