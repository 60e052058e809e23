//! Runs of the command line in one place: without a failure, and with one.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::{Run, Scene, is_root, probe, worse};

use crate::inject::{Both, Fault, Injection, Injector, Recorder};
use crate::nest::{Nest, Outside};
use crate::tracer::{self, Role, Watch};
use crate::verdict::{Fingerprint, LIMIT, Reference, Seen};

/// How many runs may have to come by until the kernel lets go of what a killed one left.
const SWEEPS: usize = 20;

/// Where the runs happen. Every run has the same working directory and home, so that all see the same.
pub(crate) struct Place {
    scene: Scene,
    flags: Vec<String>,
    /// What makes the host worse for a run (tests/worse).
    worse: Option<&'static str>,
    /// A folder that comes first in the caller's PATH.
    first_in_path: Option<PathBuf>,
    /// Standard input is a folder.
    folder_as_input: bool,
    /// Where the cgroups of each worker's runs are, where they ask for limits.
    nests: Vec<Nest>,
    /// The scene's own files, and what is mounted for this thread, before the first run.
    before: Vec<String>,
}

impl Place {
    /// Runs that ask for nothing: the default profile.
    pub(crate) fn plain() -> Self {
        Self::new(Scene::new(), &[])
    }

    /// Runs with these flags.
    pub(crate) fn new(scene: Scene, flags: &[&str]) -> Self {
        join_keyring();
        share_mounts();
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let mut place = Self {
            scene,
            flags,
            worse: None,
            first_in_path: None,
            folder_as_input: false,
            nests: Vec::new(),
            before: Vec::new(),
        };
        place.before = place.things();
        place
    }

    /// Runs that must be refused: standard input would lead out of the sandbox.
    pub(crate) fn with_folder_as_input() -> Self {
        Self { folder_as_input: true, ..Self::plain() }
    }

    /// Runs that ask for one of everything that has a step of its own.
    pub(crate) fn furnished() -> Self {
        let scene = Scene::new();
        let shown = |path: PathBuf| path.display().to_string();
        let (secret, real) = (scene.file("here/secret", "s"), scene.file("here/deep/real", "r"));
        let (link, glob) = (scene.path("here/link"), scene.path("here/deep/*.key"));
        scene.file("here/deep/a.key", "k");
        std::os::unix::fs::symlink(real, &link).expect("a link in our own folder");
        let (secret, link, glob) = (shown(secret), shown(link), shown(glob));
        // The program executes itself, once: that has steps of its own.
        let once = r#"{ "filesystem": { "read": ["."] }, "syscalls": { "allow": ["@default"], "deny": ["@exec"] } }"#;
        let once = shown(scene.file("profile/once.json", once));
        let (writable, elsewhere) = (shown(scene.folder("writable")), shown(scene.folder("elsewhere")));
        let flags = format!(
            "-p {once} --rw {writable} --bind {elsewhere}:/opt/elsewhere:ro --tmpfs /scratch:1M --deny {secret} --deny {link} \
             --deny {glob} --nofile 64 --file-size 1M --stack 4M --timeout 30s --hostname faults \
             --keep-cap net_bind_service --uid 7 --gid 8"
        );
        // No path of a temporary folder has a space in it.
        Self::new(scene, &flags.split(' ').collect::<Vec<_>>())
    }

    /// Runs of root where no user namespace can be made, as a user who stays the same.
    pub(crate) fn without_user_namespaces() -> Self {
        let user = support::spare_user().to_string();
        let place = Self::new(Scene::new(), &["--allow-degraded=privileges", "--user", &user]);
        Self { worse: Some("no-user-namespaces"), ..place }
    }

    /// Runs that have a terminal of their own.
    pub(crate) fn with_terminal() -> Self {
        Self::new(Scene::new(), &["--tty", "always"])
    }

    /// Runs whose supervisor is asked about what is refused; the program executes itself, once.
    pub(crate) fn explained() -> Self {
        let scene = Scene::new();
        let once = r#"{ "filesystem": { "read": ["."] }, "syscalls": { "allow": ["@default"], "deny": ["@exec"] } }"#;
        let once = scene.file("profile/once.json", once).display().to_string();
        Self::new(scene, &["--explain", "-p", &once])
    }

    /// Runs that ask for every limit that a cgroup holds.
    ///
    /// # Errors
    /// Why there can be none here.
    pub(crate) fn limited(flags: &[&str]) -> Result<Self, String> {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let nests = (0..workers).map(|_| Nest::make()).collect::<Result<_, _>>()?;
        Ok(Self { nests, ..Self::new(Scene::new(), flags) })
    }

    /// Runs that look for toolchains: one behind a version manager's shim, one through a virtual environment, each in
    /// a folder with what is not to be shown.
    pub(crate) fn with_toolchains() -> Self {
        let scene = Scene::new();
        let link = |target: &str, at: &str| {
            let at = scene.path(at);
            std::os::unix::fs::symlink(target, at).expect("a link in our own folder");
        };
        scene.file("home/.pyenv/versions/3.9.1/etc/pip.conf", "token");
        scene.file("home/.pyenv/versions/3.9.1/lib/python3.9/os.py", "");
        scene.file("home/.pyenv/versions/3.10.2/bin/other", "#!/bin/sh\n");
        scene.folder("home/.pyenv/versions/3.9.1/bin");
        scene.folder("home/venv/bin");
        scene.file("home/venv/token", "token");
        scene.file("home/venv/pyvenv.cfg", "home = /nowhere/bin\n");
        link("../../.pyenv/versions/3.9.1/bin/python", "home/venv/bin/python");
        link(probe().to_str().expect("a path of ours"), "home/.pyenv/versions/3.9.1/bin/real");
        scene.file("here/.git/config", "");
        scene.file("here/.python-version", "3.9\n");
        for (file, content) in [
            ("home/.pyenv/versions/3.9.1/bin/python", "#!/bin/sh\n".to_owned()),
            ("home/.pyenv/shims/python", "#!/bin/sh\n# pyenv exec\n".to_owned()),
            ("home/.pyenv/shims/in-venv", format!("#!{}\n", scene.path("home/venv/bin/python").display())),
        ] {
            let file = scene.file(file, &content);
            std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).expect("our own file");
        }
        let first_in_path = Some(scene.path("home/.pyenv/shims"));
        Self { first_in_path, ..Self::new(scene, &["--toolchain", "python,in-venv"]) }
    }

    /// What a run without a failure sees. `host` is what the program sees outside.
    pub(crate) fn reference(&self, seen: &Seen) -> Reference {
        let mut command = Command::new(probe());
        command.arg("fingerprint").stdin(Stdio::null());
        as_caller(&mut command);
        let host = command.output().expect("the probe runs outside");
        let host: Vec<_> = String::from_utf8_lossy(&host.stdout).lines().map(str::to_owned).collect();
        Reference { fingerprint: Fingerprint::of(&seen.stdout, &host), host }
    }

    /// A run without a failure, and its calls.
    pub(crate) fn record(&self) -> (Seen, Recorder) {
        let mut recorder = Recorder::default();
        let seen = self.run(0, &mut recorder).expect("it can be traced");
        (seen, recorder)
    }

    /// A run with a failure; whether it was reached.
    pub(crate) fn inject(&self, worker: usize, injection: &Injection) -> io::Result<(Seen, bool)> {
        let mut injector = Injector::new(injection);
        let mut seen = self.run(worker, &mut injector)?;
        if injection.role == Role::Supervisor && (injection.fault == Fault::Kill || injection.every) {
            self.sweep(worker, &mut seen)?;
        }
        Ok((seen, injector.hit))
    }

    /// A run with two failures; whether both were reached.
    pub(crate) fn inject_both(&self, worker: usize, both: [&Injection; 2]) -> io::Result<(Seen, bool)> {
        let [one, other] = both.map(Injector::new);
        let mut injectors = Both { one, other };
        let seen = self.run(worker, &mut injectors)?;
        Ok((seen, injectors.one.hit && injectors.other.hit))
    }

    /// A supervisor that was killed, or may remove nothing, leaves its cgroups to the next run.
    fn sweep(&self, worker: usize, seen: &mut Seen) -> io::Result<()> {
        let Some(nest) = self.nests.get(worker) else { return Ok(()) };
        let left = nest.left();
        seen.left.retain(|thing| !left.contains(thing));
        for _ in 0..SWEEPS {
            if nest.left().is_empty() {
                return Ok(());
            }
            let next = self.run(worker, &mut Recorder::default())?;
            assert_eq!(next.status, 0, "{next:#?}");
        }
        seen.left.extend(nest.left());
        Ok(())
    }

    /// A run under somebody's eyes. Each worker has a folder of its own for the report.
    pub(crate) fn run(&self, worker: usize, watch: &mut dyn Watch) -> io::Result<Seen> {
        let folder = self.scene.folder(&format!("reports/{worker}"));
        let report = folder.join("report.json");
        let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
        let mut command = self.command(&report)?;
        command.stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
        let nest = self.nests.get(worker);
        if let Some(nest) = nest {
            nest.enter(&mut command);
        }
        let mut outside = Outside::new(watch);
        let traced = tracer::run(&mut command, &mut outside, LIMIT)?;
        let mut left: Vec<_> =
            self.things().into_iter().filter(|thing| !self.before.contains(thing)).collect();
        left.extend(files(&folder).filter(|path| *path != report).map(|path| path.display().to_string()));
        left.extend(nest.into_iter().flat_map(Nest::left));
        // A terminal ends lines with two characters.
        let mut stdout = text(&mut stdout)?.replace("\r\n", "\n");
        if nest.is_some() && !stdout.is_empty() {
            stdout = format!("{}\n{stdout}", outside.held.join("\n"));
        }
        let seen = Seen {
            status: traced.status,
            stdout,
            stderr: text(&mut stderr)?,
            report: std::fs::read(&report).ok().and_then(|text| serde_json::from_slice(&text).ok()),
            time: traced.time,
            survivors: traced.survivors,
            left,
        };
        files(&folder).try_for_each(std::fs::remove_file)?;
        Ok(seen)
    }

    fn command(&self, report: &Path) -> io::Result<Command> {
        let run =
            Run::new(&self.scene).flags(&self.flags).flag("--report").flag(report).flag("--ro").flag(probe());
        let run = match &self.first_in_path {
            Some(folder) => run.env("PATH", format!("{}:/usr/bin:/bin", folder.display())),
            None => run,
        };
        let run = match self.worse {
            Some(how) => run.through([worse().as_path(), Path::new(how), Path::new("--")]),
            None => run,
        };
        let mut command = run.command([probe(), PathBuf::from("fingerprint")]);
        if self.folder_as_input {
            command.stdin(File::open(self.scene.home())?);
        }
        as_caller(&mut command);
        Ok(command)
    }

    /// What runs could leave: files where they work, mounts of their caller.
    fn things(&self) -> Vec<String> {
        let folders = ["here", "home", "writable", "elsewhere"].map(|name| self.scene.path(name));
        let mut things: Vec<_> =
            folders.iter().flat_map(|folder| files(folder)).map(|path| path.display().to_string()).collect();
        // Others may mount things meanwhile, but nothing that has to do with this place or with the root.
        let here = self.scene.home().parent().map(|here| here.display().to_string()).unwrap_or_default();
        let mounts = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap_or_default();
        let ours = mounts.lines().filter(|line| line.contains(&here) || line.contains(" / / "));
        things.extend(ours.map(str::to_owned));
        things
    }
}

/// Makes a command's process a caller from whom there is something to take: supplementary groups, where it may
/// have them. (Its session keyring is this thread's.)
fn as_caller(command: &mut Command) {
    if !is_root() {
        return;
    }
    let set_groups = || {
        let groups: [libc::gid_t; 3] = [4, 20, 24];
        // SAFETY: a list of the length that is given.
        let set = unsafe { libc::setgroups(groups.len(), groups.as_ptr()) };
        if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: a plain system call, which may be made between fork and exec.
    unsafe { command.pre_exec(set_groups) };
}

/// As root, gives this thread, and what it starts, mounts that tell each other of changes, as on most hosts:
/// elsewhere nothing would be lost by a sandbox that does not cut itself off.
fn share_mounts() {
    if !is_root() {
        return;
    }
    let set = |propagation| {
        let nothing = std::ptr::null();
        // SAFETY: a terminated path; a change of propagation reads nothing else (mount(2)).
        unsafe { libc::mount(nothing, c"/".as_ptr(), nothing, libc::MS_REC | propagation, nothing.cast()) }
    };
    // SAFETY: a flag only. The thread leaves the others' mounts, root and working directory, which it has not
    // changed.
    let own = unsafe { libc::unshare(libc::CLONE_NEWNS) } == 0;
    // First away from the host's, which must not hear of anything.
    let shared = own && set(libc::MS_SLAVE) == 0 && set(libc::MS_SHARED) == 0;
    assert!(shared, "root cannot have mounts of its own here: {}", io::Error::last_os_error());
}

/// Gives this thread, and what it starts, a session keyring that a sandbox must not share. A container may forbid
/// it; then there is none to share.
fn join_keyring() {
    const JOIN_SESSION_KEYRING: libc::c_int = 1;
    // SAFETY: a null name is a new keyring without one.
    unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>()) };
}

fn files(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn text(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
