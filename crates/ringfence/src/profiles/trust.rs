//! Which profiles of working directories the caller trusts: by path and content, kept outside of any repository.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use ringfence_linux::errno_name;
use ringfence_policy::{Problem, Profile};
use rustix::fs::{FlockOperation, Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::read::FileText;
use super::{Demand, Profiles, Reading};

/// The version of the file.
const SCHEMA: u32 = 1;

/// More than any list of profiles.
const LARGEST: u64 = 64 << 20;

/// What `trust` found and remembered.
#[derive(Clone, Debug)]
pub struct Trusted {
    /// The file, without symlinks.
    pub path: PathBuf,
    /// Was an earlier content of it trusted before?
    pub before: bool,
    /// What it says beyond what was trusted before, or else beyond the built-in profile `default`.
    pub changes: Vec<String>,
    /// The other files that it extends, and that are trusted with it.
    pub with: Vec<PathBuf>,
}

#[derive(Default, Serialize, Deserialize)]
struct Store {
    schema: u32,
    trusted: BTreeMap<String, Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    sha256: String,
    /// The effective profile, to say later what changed.
    #[serde(default)]
    profile: serde_json::Value,
}

impl Profiles {
    /// Is a file trusted with this content?
    pub(super) fn check_trusted(&self, file: &FileText) -> Result<(), Problem> {
        let store = self.read_store()?;
        let path = file.path.display();
        let entry = store.trusted.get(&*file.path.to_string_lossy());
        let why = match entry {
            Some(entry) if entry.sha256 == file.sha256 => return Ok(()),
            Some(_) => "has changed since it was trusted",
            None => "comes with the working directory and is not trusted",
        };
        let remedy = format!(
            "`ringfence profile trust {path}` trusts it and shows what it grants; or name it as a path (-p {path})"
        );
        Err(Problem::request("untrusted", format!("the profile `{path}` {why}"))
            .at(&file.path)
            .remedy(remedy))
    }

    /// Trusts a profile as it is now, with the files that it extends.
    ///
    /// # Errors
    /// It cannot be read, it is wrong, others could change it, or nothing can be remembered.
    pub fn trust(&self, path: &Path) -> Result<Trusted, Problem> {
        let mut reading = Reading { trusting: true, ..Reading::default() };
        let profile = self.load(&self.directory.join(path), Demand::Trusted, &mut reading)?;
        let (file, _) = reading.files.first().cloned().unwrap_or_default();
        let location = self.trusted.as_ref().ok_or_else(nowhere)?;
        let _held = lock(location)?;
        let mut store = self.read_store()?;
        let known = store.trusted.get(&*file.to_string_lossy());
        let earlier = known.and_then(|entry| serde_json::from_value::<Profile>(entry.profile.clone()).ok());
        let before = earlier.is_some();
        let changes = profile.changes_since(&earlier.map_or_else(|| Profile::builtin("default"), Ok)?);
        for (other, sha256) in &reading.files {
            let is_it = *other == file;
            let key = other.to_string_lossy().into_owned();
            // A file that another extends is trusted under its own name too; what it said by itself stays known.
            let said = match store.trusted.remove(&key) {
                Some(entry) if !is_it => entry.profile,
                _ if is_it => serde_json::to_value(&profile).unwrap_or_default(),
                _ => serde_json::Value::Null,
            };
            store.trusted.insert(key, Entry { sha256: sha256.clone(), profile: said });
        }
        store.schema = SCHEMA;
        write(location, &store)?;
        let with =
            reading.files.iter().map(|(other, _)| other.clone()).filter(|other| *other != file).collect();
        Ok(Trusted { path: file, before, changes, with })
    }

    fn read_store(&self) -> Result<Store, Problem> {
        let Some(path) = &self.trusted else { return Ok(Store::default()) };
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(file) => fs::File::from(file),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(Store::default()),
            Err(e) => return Err(broken(path, "cannot be read", Some(e.into()))),
        };
        let found = file.metadata().map_err(|e| broken(path, "cannot be read", Some(e)))?;
        let caller = rustix::process::geteuid().as_raw();
        if !found.is_file() || (found.uid() != caller && found.uid() != 0) || found.mode() & 0o022 != 0 {
            return Err(broken(path, "is not a file that only you can write", None));
        }
        let mut text = Vec::new();
        file.take(LARGEST).read_to_end(&mut text).map_err(|e| broken(path, "cannot be read", Some(e)))?;
        let store: Store =
            serde_json::from_slice(&text).map_err(|_| broken(path, "is not what it was", None))?;
        if store.schema != SCHEMA {
            return Err(broken(path, "was written by another version", None));
        }
        Ok(store)
    }
}

fn nowhere() -> Problem {
    Problem::request("trust", "there is no home to remember in what is trusted".to_owned())
        .remedy("set HOME or XDG_STATE_HOME, or name the profile as a path (-p FILE)")
}

fn broken(path: &Path, why: &str, error: Option<std::io::Error>) -> Problem {
    let message = format!("the list of trusted profiles `{}` {why}", path.display());
    let problem = Problem::request("trust", message)
        .at(path)
        .remedy("mend or remove it, and trust what you need again");
    match error {
        None => problem,
        Some(e) => problem.errno(e.raw_os_error().map_or_else(|| e.to_string(), errno_name)),
    }
}

/// Two that trust at once must not forget what the other remembers. The lock ends with the file.
fn lock(location: &Path) -> Result<fs::File, Problem> {
    let folder = location.parent().unwrap_or(Path::new("/"));
    let unwritable = |e: std::io::Error| broken(location, "cannot be written", Some(e));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unwritable)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let lock = rustix::fs::open(location.with_extension("lock"), flags, Mode::from_raw_mode(0o600));
    let lock = fs::File::from(lock.map_err(|e| unwritable(e.into()))?);
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).map_err(|e| unwritable(e.into()))?;
    Ok(lock)
}

/// Whole or not at all.
fn write(location: &Path, store: &Store) -> Result<(), Problem> {
    let unwritable = |e: std::io::Error| broken(location, "cannot be written", Some(e));
    let temporary = location.with_extension("new");
    match fs::remove_file(&temporary) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(unwritable(e)),
        _ => {}
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file =
        rustix::fs::open(&temporary, flags, Mode::from_raw_mode(0o600)).map_err(|e| unwritable(e.into()))?;
    let mut text = serde_json::to_vec_pretty(store).map_err(|e| unwritable(e.into()))?;
    text.push(b'\n');
    let mut file = fs::File::from(file);
    file.write_all(&text).and_then(|()| file.sync_data()).map_err(unwritable)?;
    fs::rename(&temporary, location).map_err(unwritable)
}
