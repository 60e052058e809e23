//! Profiles by name and by file: where they are looked for, whether they may be believed, what they extend.
//!
//! ```no_run
//! use ringfence::{Sandbox, profiles::Profiles};
//!
//! let policy = Profiles::of_caller()?.find("./profiles/job.toml")?.into_policy();
//! let out = Sandbox::new(policy).command("python3").arg("job.py").output()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub(crate) mod read;
mod search;
mod trust;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ringfence_policy::{
    BUILTIN_PROFILES, Capability, Facts, Format, Mistakes, OciFilter, Policy, Problem, Profile,
};

use read::FileText;
pub use read::{LARGEST, sha256};
pub use search::Listed;
pub use trust::Trusted;

/// A profile that extends one that extends another, and so on, is this long at most.
const DEEPEST: usize = 8;

/// Where a profile comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// It is part of Ringfence.
    BuiltIn,
    /// The system's folder.
    System,
    /// The user's folder.
    User,
    /// `profiles/` in the working directory.
    WorkingDirectory,
    /// A path that the caller named.
    Path,
}

impl Origin {
    /// One or two words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BuiltIn => "built in",
            Self::System => "system",
            Self::User => "user",
            Self::WorkingDirectory => "working directory",
            Self::Path => "path",
        }
    }
}

/// The folders that profiles are looked for in, and the file that remembers which are trusted.
#[derive(Clone, Debug)]
pub struct Profiles {
    /// The system's folder of profiles.
    pub system: PathBuf,
    /// The user's folder of profiles.
    pub user: Option<PathBuf>,
    /// The working directory: its `profiles/` is looked into.
    pub directory: PathBuf,
    /// What `~` is.
    pub home: Option<PathBuf>,
    /// The file that remembers what is trusted.
    pub trusted: Option<PathBuf>,
}

/// A profile, whole: with all that it extends.
#[derive(Clone, Debug)]
pub struct Found {
    /// The effective profile.
    pub profile: Profile,
    /// Where it comes from.
    pub origin: Origin,
    /// The word that it was found by.
    pub word: String,
    /// Every file that was read for it, without symlinks.
    pub files: Vec<PathBuf>,
}

impl Found {
    /// The policy that it says. The files that it was read from stay read-only inside, whatever is granted.
    ///
    /// A file cannot take another profile's name: the policy's is the word that it was found by.
    #[must_use]
    pub fn into_policy(self) -> Policy {
        let builtin = self.origin == Origin::BuiltIn;
        let mut policy = self.profile.into_policy();
        if !builtin {
            policy.profile = self.word;
        }
        policy.files = self.files;
        policy
    }
}

fn home() -> Option<PathBuf> {
    std::env::home_dir().filter(|path| path.is_absolute())
}

/// A folder of the caller's: what a variable says, else its usual place in the home. A relative path there is to be
/// ignored (XDG Base Directory Specification).
pub(crate) fn below_home(variable: &str, usual: &str) -> Option<PathBuf> {
    let set = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    set.or_else(|| home().map(|home| home.join(usual)))
}

/// What must hold of a file before it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Demand {
    /// The caller named it: nothing more.
    Named,
    /// It was found: its owner is the caller or root, and nobody else may write it.
    Owned,
    /// It came with the working directory: that, and the caller trusts it as it is.
    Trusted,
}

/// What is being read, outermost first, and what was read.
#[derive(Default)]
struct Reading {
    within: Vec<PathBuf>,
    files: Vec<(PathBuf, String)>,
    /// For `trust`: what would need to be trusted is taken as it is.
    trusting: bool,
}

impl Profiles {
    /// Those of this process' surroundings: its working directory, its HOME and XDG variables.
    ///
    /// # Errors
    /// The working directory is gone.
    pub fn of_caller() -> Result<Self, Problem> {
        let directory = std::env::current_dir().map_err(|e| {
            let message = format!("the working directory cannot be found: {e}");
            Problem::request("workdir", message).remedy("change to another one")
        })?;
        Ok(Self {
            system: "/etc/ringfence/profiles".into(),
            user: below_home("XDG_CONFIG_HOME", ".config").map(|folder| folder.join("ringfence/profiles")),
            trusted: below_home("XDG_STATE_HOME", ".local/state")
                .map(|folder| folder.join("ringfence/trusted.json")),
            directory,
            home: home(),
        })
    }

    /// The profile of a name or a path. A built-in name is never another's.
    ///
    /// # Errors
    /// There is none, there are two, it may not be believed, or it is wrong.
    pub fn find(&self, word: &str) -> Result<Found, Problem> {
        let mut reading = Reading::default();
        let (profile, origin) = self.find_within(word, &self.directory, Demand::Named, &mut reading)?;
        let files = reading.files.into_iter().map(|(path, _)| path).collect();
        Ok(Found { profile, origin, word: word.to_owned(), files })
    }

    /// A word of the caller's, or of a file's `extends`: then paths are relative to that file.
    fn find_within(
        &self,
        word: &str,
        folder: &Path,
        demand: Demand,
        reading: &mut Reading,
    ) -> Result<(Profile, Origin), Problem> {
        if is_path(word) {
            let path = match (word.strip_prefix("~/"), &self.home) {
                (Some(rest), Some(home)) => home.join(rest),
                _ => folder.join(word),
            };
            return Ok((self.load(&path, demand, reading)?, Origin::Path));
        }
        if BUILTIN_PROFILES.iter().any(|(name, _)| *name == word) {
            return Ok((Profile::builtin(word)?, Origin::BuiltIn));
        }
        let (path, origin) = self.search(word)?;
        let demand = if origin == Origin::WorkingDirectory { Demand::Trusted } else { Demand::Owned };
        Ok((self.load(&path, demand, reading)?, origin))
    }

    /// Reads one file, and what it extends.
    fn load(&self, path: &Path, demand: Demand, reading: &mut Reading) -> Result<Profile, Problem> {
        let file = read::read(read::PROFILE, path, demand != Demand::Named)?;
        self.take(path, file, demand, reading)
    }

    /// Takes what was read of a file, and reads what it extends.
    fn take(
        &self,
        path: &Path,
        file: FileText,
        demand: Demand,
        reading: &mut Reading,
    ) -> Result<Profile, Problem> {
        if reading.within.contains(&file.path) {
            let message = format!("the profile `{}` extends itself, through what it extends", path.display());
            return Err(Problem::request("profile", message)
                .at(path)
                .remedy("take one of the `extends` out"));
        }
        if reading.within.len() >= DEEPEST {
            let message = format!("`{}` is extended by {DEEPEST} profiles, each by the next", path.display());
            return Err(Problem::request("profile", message).at(path).remedy("extend fewer"));
        }
        if demand == Demand::Trusted && !reading.trusting {
            self.check_trusted(&file)?;
        }
        let shown = path.strip_prefix(&self.directory).unwrap_or(path);
        let profile = Profile::parse(&file.text, format_of(path, &file.text))
            .map_err(|mistakes| mistakes.in_file(shown))?;
        let folder = file.path.parent().unwrap_or(Path::new("/")).to_owned();
        reading.within.push(file.path.clone());
        reading.files.push((file.path, file.sha256));
        let profile =
            profile.extended(&mut |word| Ok(self.find_within(word, &folder, demand, reading)?.0))?;
        reading.within.pop();
        Ok(profile)
    }
}

/// What `ringfence profile check` says of a file without mistakes, or its mistakes.
pub type Checked = Result<Vec<String>, Mistakes>;

impl Profiles {
    /// Judges a file: a profile, or a filter of a container engine. What it extends is judged too.
    ///
    /// # Errors
    /// It cannot be read, or what it extends cannot.
    pub fn check(&self, file: &Path) -> Result<Checked, Problem> {
        let path = self.directory.join(file);
        let read = read::read_given(&path, &self.directory)?;
        let format = format_of(&path, &read.text);
        let is_filter = format == Format::Json && OciFilter::is_one(&read.text);
        let checked = if is_filter {
            OciFilter::parse(&read.text, &facts(BTreeSet::new())).map(OciFilter::into_notes)
        } else {
            Profile::parse(&read.text, format).map(|profile| profile.notes().to_vec())
        };
        if checked.is_ok() && !is_filter {
            self.take(&path, read, Demand::Named, &mut Reading::default())?;
        }
        Ok(checked.map_err(|mistakes| mistakes.in_file(file)))
    }

    /// A file of any schema that is known, as a profile of ours; and what was decided where two schemas do not
    /// say the same.
    ///
    /// # Errors
    /// It cannot be read, or it is wrong.
    pub fn import(&self, file: &Path) -> Result<(Profile, Vec<String>), Problem> {
        let path = self.directory.join(file);
        let text = read::read_given(&path, &self.directory)?.text;
        let format = format_of(&path, &text);
        let wrong = |mistakes: Mistakes| mistakes.in_file(file);
        if format == Format::Json && OciFilter::is_one(&text) {
            let filter = OciFilter::parse(&text, &facts(BTreeSet::new())).map_err(wrong)?;
            let notes = filter.clone().into_notes();
            let mut profile = filter.into_profile();
            profile.name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            return Ok((profile, notes));
        }
        let profile = Profile::parse(&text, format).map_err(wrong)?;
        let notes = profile.notes().to_vec();
        Ok((profile, notes))
    }

    /// A filter of a container engine, for a program that keeps these capabilities.
    ///
    /// # Errors
    /// It cannot be read, or it is wrong.
    pub fn filter(&self, file: &Path, kept: BTreeSet<Capability>) -> Result<(OciFilter, PathBuf), Problem> {
        let read = read::read(read::PROFILE, &self.directory.join(file), false)?;
        let filter = OciFilter::parse(&read.text, &facts(kept)).map_err(|mistakes| mistakes.in_file(file))?;
        Ok((filter, read.path))
    }
}

/// What a filter may ask of this host. A kernel whose version cannot be read is an old one.
fn facts(kept: BTreeSet<Capability>) -> Facts {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|word| word.parse().unwrap_or(0));
    Facts { kernel: (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)), kept }
}

/// Is the word a path rather than a name?
fn is_path(word: &str) -> bool {
    word.contains('/') || [".json", ".toml"].iter().any(|end| word.len() > end.len() && word.ends_with(end))
}

/// TOML where the name says so, else JSON; without a file's name it is JSON where it begins as JSON does.
fn format_of(path: &Path, text: &str) -> Format {
    let toml = match path.extension() {
        Some(end) => end == "toml",
        None => {
            ["/dev", "/proc"].iter().any(|of| path.starts_with(of)) && !text.trim_start().starts_with('{')
        }
    };
    if toml { Format::Toml } else { Format::Json }
}

#[cfg(test)]
mod tests;
