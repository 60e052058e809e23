//! The file that a report is written to: opened before the start, renamed into place after the end.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use ringfence_linux::{errno_name, real_path, without_file_size_signal};
use ringfence_policy::{Problem, Report};
use rustix::fs::{AtFlags, Mode, OFlags, openat, renameat, statat, unlinkat};

use crate::Plan;

/// A report's place. Its folder was opened before the program ran: what the program moves about later does not
/// matter, and no symlink is followed.
#[derive(Debug)]
pub struct ReportFile {
    folder: OwnedFd,
    name: PathBuf,
    temporary: PathBuf,
    file: File,
}

impl ReportFile {
    /// Opens the folder and a temporary file in it.
    ///
    /// # Errors
    /// The folder does not exist or cannot be written.
    pub fn create(path: &Path) -> Result<Self, Problem> {
        let failed = |what: &str, error: std::io::Error| {
            let errno = error.raw_os_error().map_or_else(|| error.to_string(), errno_name);
            let message = format!("the report `{}` cannot be written: {what}", path.display());
            Problem::request("report", message)
                .at(path)
                .errno(errno)
                .remedy("name a file in a folder that exists and that you can write")
        };
        let name = path.file_name().map(PathBuf::from);
        let name =
            name.ok_or_else(|| failed("it has no file name", std::io::ErrorKind::InvalidInput.into()))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = real_path(folder).map_err(|e| failed("its folder cannot be reached", e))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::open(&folder, flags, Mode::empty())
            .map_err(|e| failed("its folder cannot be opened", e.into()))?;
        // It is renamed over what is there: root would replace `/dev/null`, anybody a link to something else.
        let there = statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW).ok();
        if let Some(there) = there.filter(|there| !is_plain_file(there.st_mode)) {
            let kind =
                if is_folder(there.st_mode) { "a folder, not a plain file" } else { "not a plain file" };
            let message = format!("`{}` is {kind}, and a report would replace it", path.display());
            let remedy = "name a file, or open it in the caller and write --report fd:N";
            return Err(Problem::request("report", message).at(path).remedy(remedy));
        }
        let temporary = PathBuf::from(format!(".{}.{}", name.display(), std::process::id()));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&folder, &temporary, flags, Mode::from_raw_mode(0o644))
            .map_err(|e| failed("no file can be made beside it", e.into()))?;
        Ok(Self { folder, name, temporary, file: file.into() })
    }

    /// Refuses a folder that the program could write: it could put a symlink in the report's place.
    ///
    /// # Errors
    /// The plan grants the folder, or one above it, writable.
    pub fn check(&self, plan: &Plan) -> Result<(), Problem> {
        let folder =
            fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&self.folder)));
        let unknown = |why: String| {
            let what = "whether the program could write the report's folder cannot be told".to_owned();
            Problem::request("report", what).errno(why).remedy("mount a proc file system at /proc")
        };
        let folder =
            folder.map_err(|e| unknown(e.raw_os_error().map_or_else(|| e.to_string(), errno_name)))?;
        // Below an empty path nothing would be found to be writable.
        if !folder.is_absolute() {
            return Err(unknown("it has no path".to_owned()));
        }
        match plan.writable().iter().find(|writable| folder.starts_with(writable)) {
            None => Ok(()),
            Some(writable) => {
                let why =
                    format!("the report would be in `{}`, which the program can write", writable.display());
                Err(Problem::request("report", why).at(folder).remedy("put it outside, or use --report fd:N"))
            }
        }
    }

    /// Writes the report and puts it into place.
    ///
    /// # Errors
    /// It could not be written; the file that was there before is still there.
    pub fn write(mut self, report: &Report) -> Result<(), Problem> {
        let failed = |e: std::io::Error| {
            let errno = e.raw_os_error().map_or_else(|| e.to_string(), errno_name);
            Problem::request("report", "the report cannot be written".to_owned()).errno(errno)
        };
        let mut text = serde_json::to_vec_pretty(report).map_err(|e| failed(e.into()))?;
        text.push(b'\n');
        without_file_size_signal(|| self.file.write_all(&text).and_then(|()| self.file.sync_data()))
            .map_err(failed)?;
        renameat(&self.folder, &self.temporary, &self.folder, &self.name).map_err(|e| failed(e.into()))
    }
}

const fn is_folder(mode: u32) -> bool {
    mode & 0o170_000 == 0o040_000
}

const fn is_plain_file(mode: u32) -> bool {
    mode & 0o170_000 == 0o100_000
}

impl Drop for ReportFile {
    fn drop(&mut self) {
        // Gone already when it was renamed.
        let _renamed_is_fine = unlinkat(self.folder.as_fd(), &self.temporary, AtFlags::empty());
    }
}
