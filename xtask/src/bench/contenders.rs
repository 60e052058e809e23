//! Who starts the program: nobody, Ringfence, bubblewrap.

use std::path::Path;
use std::process::{Command, Stdio};

use super::program::{Folder, Program};
use super::word;
use crate::failure::Failure;
use crate::process;

/// Who starts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Starter {
    Bare,
    Ringfence,
    Bubblewrap,
}

impl Starter {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare fork+exec",
            Self::Ringfence => "ringfence",
            Self::Bubblewrap => "bubblewrap",
        }
    }
}

/// One start that is measured.
pub(super) struct Contender {
    pub(super) starter: Starter,
    pub(super) program: String,
    /// The command line, the starter first.
    pub(super) words: Vec<String>,
    folder: String,
}

impl Contender {
    /// A fresh command, without streams.
    pub(super) fn command(&self) -> Command {
        self.wrapped(&[])
    }

    /// The same behind another command, such as a tracer.
    pub(super) fn wrapped(&self, before: &[String]) -> Command {
        let mut words = before.iter().chain(&self.words);
        let mut command = Command::new(words.next().map_or("", String::as_str));
        command.args(words).current_dir(&self.folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

/// Every namespace, a system to read, nothing else: what our default gives, without its filters.
const BUBBLEWRAP: &str = "--unshare-all --die-with-parent --new-session --ro-bind /usr /usr --symlink usr/bin /bin \
                          --symlink usr/lib /lib --symlink usr/lib64 /lib64 --proc /proc --dev /dev --tmpfs /tmp \
                          --cap-drop ALL --clearenv";

/// All contenders for one program, each tried once. Ringfence must work; bubblewrap may be missing.
pub(super) fn all(
    program: &Program,
    ringfence: &Path,
    folder: &Folder,
    notes: &mut Vec<String>,
) -> Result<Vec<Contender>, Failure> {
    let contender = |starter, words| Contender {
        starter,
        program: program.label.clone(),
        words,
        folder: word(folder.path()),
    };
    let path = word(&program.path);
    let mut all = vec![
        contender(Starter::Bare, vec![path.clone()]),
        contender(Starter::Ringfence, ringfence_words(program, ringfence)),
    ];
    for contender in &all {
        process::read(&mut contender.command())?;
    }
    let Some(bwrap) = process::find("bwrap") else {
        notes.push(format!("bubblewrap is not installed: {} is not compared with it", program.label));
        return Ok(all);
    };
    let bubblewrap = contender(Starter::Bubblewrap, bubblewrap_words(program, &bwrap));
    match process::read(&mut bubblewrap.command()) {
        Ok(_) => all.push(bubblewrap),
        Err(why) => {
            notes.push(format!("bubblewrap does not run here, {} is not compared: {why}", program.label))
        }
    }
    Ok(all)
}

fn ringfence_words(program: &Program, ringfence: &Path) -> Vec<String> {
    let path = word(&program.path);
    let mut words = vec![word(ringfence), "run".to_owned()];
    if program.granted {
        words.extend(["--ro".to_owned(), path.clone()]);
    }
    words.extend(["--".to_owned(), path]);
    words
}

fn bubblewrap_words(program: &Program, bwrap: &Path) -> Vec<String> {
    let path = word(&program.path);
    let mut words = vec![word(bwrap)];
    words.extend(BUBBLEWRAP.split_whitespace().map(str::to_owned));
    if program.granted {
        words.extend(["--ro-bind".to_owned(), path.clone(), path.clone()]);
    }
    words.push(path);
    words
}
