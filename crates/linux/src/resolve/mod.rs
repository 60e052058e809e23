//! Everything that has to be read from this host's files, read once: what is shown where, which program runs,
//! with which environment, from which folder. It is compared again inside before the program starts.

pub(crate) mod accounts;
mod base;
mod command;
mod commands;
mod deny;
mod environment;
mod grants;
mod interpreter;
mod loader;
pub(crate) mod source;
mod toolchain;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use ringfence_policy::{Policy, Problem};

pub(crate) use base::FURNITURE;
pub use loader::Start;
pub use source::Source;

use crate::host::Host;
use crate::layout::Layout;
use crate::terminal::OwnTerminal;

/// What one run asks for, beside its policy.
#[derive(Clone, Debug)]
pub struct Request {
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// The caller's working directory, absolute.
    pub directory: PathBuf,
    /// The caller's environment.
    pub environment: BTreeMap<OsString, OsString>,
    /// The caller's home.
    pub home: PathBuf,
    /// Numbers, above 2, of open files that the program keeps.
    pub passed: Vec<i32>,
    /// Host folders of the caller's own that are not shown, whatever is granted around them.
    pub hidden: Vec<PathBuf>,
    /// A terminal of its own.
    pub terminal: Option<OwnTerminal>,
    /// What is executed in the command's place; nothing else of the sandbox is another for it.
    pub instead: Option<Instead>,
}

/// A passed file, an executable that needs no loader, and its arguments.
#[derive(Clone, Debug)]
pub struct Instead {
    /// The number that it is passed under.
    pub number: i32,
    /// Which file that is.
    pub file: SameFile,
    /// The arguments, its name first.
    pub arguments: Vec<OsString>,
}

impl Request {
    /// A request of this process: its working directory, its environment, its home.
    ///
    /// # Errors
    /// The working directory is gone.
    pub fn of_this_process(command: Vec<OsString>) -> Result<Self, Problem> {
        let directory = std::env::current_dir().map_err(|e| {
            crate::errno::problem("workdir", "the working directory cannot be found", e)
                .remedy("change to another one")
        })?;
        let (environment, home) = (BTreeMap::new(), PathBuf::new());
        let (passed, hidden) = (Vec::new(), Vec::new());
        let request =
            Self { command, directory, environment, home, passed, hidden, terminal: None, instead: None };
        request.with_environment(std::env::vars_os().collect())
    }

    /// Where the home is inside: at the caller's path, unless that is a folder of the system's (service accounts
    /// have such homes), which an empty one would hide.
    #[must_use]
    pub fn home_inside(&self) -> PathBuf {
        let system =
            ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/proc", "/sys", "/dev"];
        let taken =
            system.iter().any(|folder| self.home.starts_with(folder)) || self.home == Path::new("/run");
        if taken || self.home.parent().is_none() { PathBuf::from("/home/user") } else { self.home.clone() }
    }

    /// The same request from a caller with another environment, and the home that it names; that of the account
    /// where it names none.
    ///
    /// # Errors
    /// The accounts cannot be read.
    pub fn with_environment(self, environment: BTreeMap<OsString, OsString>) -> Result<Self, Problem> {
        let named = environment.get(std::ffi::OsStr::new("HOME")).map(PathBuf::from);
        let home = match named.filter(|home| home.is_absolute()) {
            Some(home) => Some(home),
            None => accounts::by_id(rustix::process::geteuid().as_raw())?.map(|account| account.home.into()),
        };
        Ok(Self { environment, home: home.unwrap_or_else(|| "/".into()), ..self })
    }
}

/// A file by device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SameFile {
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
}

/// The answers of this host's files.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// What is shown where.
    pub layout: Layout,
    /// The program's path inside.
    pub program: PathBuf,
    /// Which file that must be.
    pub program_file: SameFile,
    /// How its start goes on after the exec.
    pub start: Start,
    /// The arguments, the command's name first.
    pub arguments: Vec<OsString>,
    /// The whole environment.
    pub environment: BTreeMap<OsString, OsString>,
    /// Where it starts, inside.
    pub directory: PathBuf,
    /// Lines for a person: what was decided for them.
    pub notes: Vec<String>,
    /// Protected names that do not exist yet, as host paths: nothing can be mounted over them.
    pub unprotected: Vec<PathBuf>,
    /// What the command's toolchain needed to be shown.
    pub toolchains: Vec<PathBuf>,
    /// Folders too large, or closed, to be searched for sockets and FIFOs.
    pub unsearched: Vec<PathBuf>,
    /// Numbers of open files that the program keeps.
    pub passed: Vec<i32>,
    /// A terminal of its own.
    pub terminal: Option<OwnTerminal>,
}

/// Reads the host's files for one run.
///
/// # Errors
/// A path of the policy cannot be shown, the command is not found or would be another program inside, or the
/// request contradicts itself. Nothing has been started or changed.
pub fn resolve(policy: &Policy, request: &Request, host: &Host) -> Result<Resolved, Problem> {
    policy.check()?;
    let name = request.command.first().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Problem::request("command", "no command was given".into()))?;
    check_texts(&request.command)?;
    let mut notes = Vec::new();
    let mut layout = Layout::default();
    base::furnish(&mut layout, policy, request, host)?;
    commands::restrict(&mut layout, policy, request)?;
    grants::show(&mut layout, policy, request, &mut notes)?;
    commands::restrict_grants(&mut layout, policy)?;
    let followed = command::follow(policy, request, name)?;
    let toolchains = toolchain::show(&mut layout, &followed.toolchains, request)?;
    commands::check_names(&layout, policy, request)?;
    commands::check_written(&layout, policy)?;
    let protection = deny::protect(&mut layout, policy, request)?;
    grants::check_mount_points(&layout)?;
    for pattern in &protection.denied_nothing {
        notes.push(format!(
            "--deny {pattern} hides nothing, for nothing of that name is there; look for a misspelling"
        ));
    }
    notes.extend(protection.notes);
    let environment = environment::build(policy, request, host, &layout, &followed.toolchains)?;
    let mut arguments = request.command.clone();
    if followed.took_an_argument {
        arguments.remove(1);
    }
    let (program, program_file, start) = match &request.instead {
        None => {
            let (program, file) = command::settle(&layout, policy, request, &followed, &environment)?;
            let start = loader::start(&layout, &program)?;
            (program, file, start)
        }
        // It needs no loader, and stands on no mount of the sandbox's.
        Some(Instead { number, file, arguments: its_own }) => {
            arguments.clone_from(its_own);
            (format!("/proc/self/fd/{number}").into(), *file, Start::default())
        }
    };
    let directory = directory(&layout, policy, request)?;
    Ok(Resolved {
        start,
        layout,
        program,
        program_file,
        arguments,
        environment,
        directory,
        notes,
        unprotected: protection.unprotected,
        unsearched: protection.unsearched,
        toolchains,
        passed: request.passed.clone(),
        terminal: request.terminal.clone(),
    })
}

/// What the kernel cannot take as an argument.
fn check_texts(texts: &[OsString]) -> Result<(), Problem> {
    /// The kernel's own limit for one argument or variable (MAX_ARG_STRLEN, execve(2)).
    const LONGEST: usize = 131_072;
    for text in texts {
        let bytes = text.as_encoded_bytes();
        if bytes.contains(&0) {
            let shown = text.to_string_lossy().escape_debug().to_string();
            return Err(Problem::request("argument", format!("the argument `{shown}` holds a NUL byte")));
        }
        if bytes.len() >= LONGEST {
            let why =
                format!("an argument of {} bytes is longer than the kernel takes ({LONGEST})", bytes.len());
            return Err(Problem::request("argument", why).remedy("pass it through a file"));
        }
    }
    Ok(())
}

/// Where the program starts: what was asked for, else the caller's working directory if it is shown, else the
/// home, which is empty.
fn directory(layout: &Layout, policy: &Policy, request: &Request) -> Result<PathBuf, Problem> {
    let find = |path: &Path| -> Result<_, Problem> {
        Ok(layout.look_up(path)?.filter(|found| found.folder).map(|found| found.path))
    };
    if let Some(asked) = &policy.filesystem.workdir {
        return find(asked)?.ok_or_else(|| {
            let why = format!("the working directory `{}` is not a folder inside", asked.display());
            Problem::request("workdir", why)
                .at(asked)
                .remedy("show it with --ro or --rw, or make it with --tmpfs")
        });
    }
    // Where the caller stands, if that was shown; not where a folder of the sandbox's own has the same name.
    let here = request.directory.as_path();
    let stays = if layout.host_path(here).is_some() { find(here)? } else { None };
    let found = match stays {
        Some(here) => Some(here),
        None => find(&request.home_inside())?,
    };
    Ok(found.unwrap_or_else(|| PathBuf::from("/")))
}

/// Is the open file a terminal?
#[must_use]
pub fn is_terminal(file: impl std::os::fd::AsFd) -> bool {
    rustix::termios::isatty(file)
}
