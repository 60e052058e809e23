//! A small Debian in a folder, for tests of base `rootfs`. Fetching it takes half a minute, so it is made once and
//! kept in /var/tmp: by root, whose copy an ordinary user reads too.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use support::is_root;

use crate::tools::find_program;

const SUITE: &str = "bookworm";

/// The folder, or why there is none here. For root there is one, or the test fails.
pub(crate) fn root() -> Result<PathBuf, String> {
    // SAFETY: no arguments; it cannot fail.
    let own = unsafe { libc::geteuid() };
    let of_root = kept_in(0).join(SUITE);
    if is_ours(&of_root, 0) {
        return Ok(of_root);
    }
    let kept = kept_in(own).join(SUITE);
    if !is_root() && is_ours(&kept, own) {
        return Ok(kept);
    }
    let folder = private_folder(&kept_in(own), own);
    let lock = File::create(folder.join("lock")).expect("our own folder");
    // SAFETY: a number only; the descriptor is ours until the end of this function.
    assert_eq!(unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX) }, 0, "a lock on our own file");
    // Somebody else may have made it while we waited.
    if is_ours(&kept, own) {
        return Ok(kept);
    }
    let unfinished = folder.join("unfinished");
    let _of_a_run_that_was_killed = fs::remove_dir_all(&unfinished);
    let begun = Instant::now();
    bootstrap(&unfinished)?;
    fs::rename(&unfinished, &kept).expect("both are in our own folder");
    // Straight to the stream: what is printed by a test that passes is not shown.
    let said =
        format!("{SUITE} was made in {} s and is kept in {}\n", begun.elapsed().as_secs(), kept.display());
    std::io::stderr().write_all(said.as_bytes()).expect("standard error is open");
    Ok(kept)
}

fn kept_in(user: u32) -> PathBuf {
    PathBuf::from(format!("/var/tmp/ringfence-tests-{user}"))
}

/// /var/tmp is everybody's: what somebody else put there is not taken.
fn is_ours(folder: &Path, user: u32) -> bool {
    let parent = folder.parent().unwrap_or(folder);
    let owned = |path: &Path| {
        fs::symlink_metadata(path).is_ok_and(|m| m.is_dir() && (m.uid() == user || m.uid() == 0))
    };
    owned(parent) && owned(folder)
}

fn private_folder(folder: &Path, user: u32) -> PathBuf {
    let _already_there_is_fine = fs::create_dir(folder);
    crate::tools::set_mode(folder, 0o755);
    assert_eq!(fs::symlink_metadata(folder).expect("it was just made").uid(), user, "{}", folder.display());
    folder.to_owned()
}

fn bootstrap(folder: &Path) -> Result<(), String> {
    // debootstrap is in sbin, which is not in everybody's PATH.
    let debootstrap =
        ["/usr/sbin/debootstrap", "/usr/bin/debootstrap"].map(Path::new).into_iter().find(|p| p.is_file());
    let mut command = match (is_root(), debootstrap, find_program("mmdebstrap")) {
        (true, Some(program), _) => {
            let mut command = Command::new(program);
            command.args(["--variant=minbase", SUITE]).arg(folder);
            command
        }
        (true, None, _) => panic!("debootstrap is not installed: apt-get install debootstrap"),
        (false, _, Some(program)) => {
            let mut command = Command::new(program);
            command.args(["--mode=unshare", "--variant=minbase", SUITE]).arg(folder);
            command
        }
        (false, _, None) => {
            return Err("mmdebstrap is not installed, debootstrap needs root, and root's copy is not there (the same \
                        test as root makes it)"
                .to_owned());
        }
    };
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(!is_root(), "{said}{}", String::from_utf8_lossy(&output.stdout));
    Err(said)
}
