//! Another user, whom root can become.

use std::path::Path;
use std::process::Command;

use crate::failure::Failure;
use crate::process;

/// Where an ordinary user's programs are. Root's own folders are closed to that user.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a test may want to know of our environment; the rest is root's.
const PASSED: [&str; 4] = ["CI", "RINGFENCE_TEST_MCP", "RUST_BACKTRACE", "TERM"];

/// A user of this system.
pub(super) struct Identity {
    pub(super) name: String,
    uid: String,
    gid: String,
}

impl Identity {
    /// Looks the user up. Only root can become another user.
    pub(super) fn find(name: &str) -> Result<Self, Failure> {
        let id = |option: &str, name: &[&str]| {
            process::read(Command::new("id").arg(option).args(name)).map(|id| id.trim().to_owned())
        };
        if id("-u", &[])? != "0" {
            return Err(Failure::Work(format!(
                "only root can run the tests as `{name}`: leave --as away to run them as yourself"
            )));
        }
        if process::find("setpriv").is_none() {
            return Err(Failure::Work("setpriv is not installed: install util-linux".to_owned()));
        }
        Ok(Self { name: name.to_owned(), uid: id("-u", &["--", name])?, gid: id("-g", &["--", name])? })
    }

    /// A program run by this user with a login's environment and these variables.
    pub(super) fn command(&self, environment: &[(String, String)], program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &self.uid, "--regid", &self.gid, "--init-groups", "--inh-caps=-all"]);
        command.args(["--reset-env", "--", "env", &format!("PATH={PATH}")]);
        command.args(PASSED.iter().filter_map(|name| Some(format!("{name}={}", std::env::var(name).ok()?))));
        command.args(environment.iter().map(|(name, value)| format!("{name}={value}"))).arg(program);
        command
    }

    /// Can this user reach and read a file?
    pub(super) fn check_access(&self, file: &Path) -> Result<(), Failure> {
        let may = |test: &str, path: &Path| -> Result<bool, Failure> {
            let mut command = self.command(&[], Path::new("test"));
            command.arg(test).arg(path).current_dir("/");
            Ok(command.status().map_err(|error| process::not_started(&command, &error))?.success())
        };
        if may("-r", file)? {
            return Ok(());
        }
        let mut ancestors: Vec<_> = file.ancestors().skip(1).collect();
        ancestors.reverse();
        let mut closed = file;
        for folder in ancestors {
            if !may("-x", folder)? {
                closed = folder;
                break;
            }
        }
        Err(Failure::Work(format!(
            "the user {} cannot read {}: {} is closed to that user. Copy the project to a folder that every user \
             can read, set CARGO_TARGET_DIR to a folder inside it, and run this there (.ci/run does)",
            self.name,
            file.display(),
            closed.display()
        )))
    }
}
