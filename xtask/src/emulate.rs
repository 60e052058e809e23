//! `cargo xtask emulate`: the static binary and the escape checks on an aarch64 kernel, in an emulated machine.
//!
//! Kernel and tools are Debian's, taken by name with an apt configuration of their own: no foreign architecture
//! is set up here, and nothing of it is installed. All of it goes into the first root that the kernel unpacks, so
//! the machine has no disk and nothing here needs root. programs/guest.sh is what it runs.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::arguments::Arguments;
use crate::cross;
use crate::failure::Failure;
use crate::process;
use crate::test::tally::{self, Counts, Tally};
use crate::workspace::{Workspace, text_of};

const TARGET: &str = "aarch64-unknown-linux-musl";
const ARCHITECTURE: &str = "arm64";
/// Linux 6.12. Before 6.3 root cannot be tested without a disk: see programs/guest.sh.
const SUITE: &str = "bookworm-backports";
const KERNEL: &str = "linux-image-cloud-arm64";
/// Beside the unit tests.
const TESTS: [&str; 1] = ["escape"];
/// What the tests call. Apt adds what these need.
const TOOLS: [&str; 7] =
    ["busybox-static", "coreutils", "dash", "grep", "libpam-modules", "mount", "util-linux"];
/// What no test reads, and most of the size.
const LEFT_OUT: [&str; 3] = ["usr/share", "usr/lib/aarch64-linux-gnu/gconv", "var"];
const EMULATOR: &str = "qemu-system-aarch64";
const EMULATOR_PACKAGE: &str = "qemu-system-arm";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A machine that says nothing for so long has stalled; the longest test is silent for a quarter of it.
const SILENCE: Duration = Duration::from_secs(90);
/// A run takes 70 s on an idle machine, and four minutes on a busy one.
const LONGEST: Duration = Duration::from_secs(600);
/// Emulated machines stall now and then, and that says nothing about us.
const ATTEMPTS: u32 = 2;

pub(crate) fn run(mut arguments: Arguments) -> Result<(), Failure> {
    let cache = arguments.value("--cache")?.map(PathBuf::from);
    let suite = arguments.value("--suite")?.unwrap_or_else(|| SUITE.to_owned());
    arguments.finish()?;
    let workspace = Workspace::load()?;
    let cache = cache.unwrap_or_else(|| workspace.target.join("emulate"));
    let cache = std::path::absolute(&cache).map_err(|error| Failure::io("find", &cache, &error))?;
    install_emulator()?;
    let system = System::get(&cache, &suite)?;
    let programs = build(&workspace)?;
    let image = cache.join(format!("image-{}", std::process::id()));
    pack(&system, &programs, &image)?;
    let console = boot_until_done(&system.kernel, &image);
    let _only_wastes_space = fs::remove_file(&image);
    Summary::read(&console?).conclude()
}

fn install_emulator() -> Result<(), Failure> {
    for tool in ["apt-get", "apt-cache", "dpkg-deb"] {
        if process::find(tool).is_none() {
            return Err(Failure::Work(format!(
                "there is no {tool}: this needs Debian, or a system made from it"
            )));
        }
    }
    if process::find(EMULATOR).is_some() {
        return Ok(());
    }
    println!("emulate: installing {EMULATOR_PACKAGE}");
    let words = ["-qq", "install", "--yes", "--no-install-recommends", EMULATOR_PACKAGE];
    process::read(Command::new("apt-get").args(["-qq", "update"]))
        .and_then(|_| process::read(Command::new("apt-get").args(words)))
        .map_err(|why| {
            Failure::Work(format!("there is no {EMULATOR}; as root, install {EMULATOR_PACKAGE}: {why}"))
        })?;
    Ok(())
}

/// What comes from Debian, unpacked.
struct System {
    kernel: PathBuf,
    root: PathBuf,
}

impl System {
    /// From the cache, or from Debian into the cache. What is there stays as it is: remove the folder for newer.
    fn get(cache: &Path, suite: &str) -> Result<Self, Failure> {
        let folder = cache.join(suite);
        if !folder.is_dir() {
            let partial = cache.join(format!("{suite}-{}", std::process::id()));
            let filled = Self::download(&partial, suite)
                .and_then(|()| fs::rename(&partial, &folder).map_err(|e| Failure::io("make", &folder, &e)));
            let _only_wastes_space = fs::remove_dir_all(&partial);
            filled.map_err(|why| Failure::Work(format!("no arm64 system from {suite}: {why}")))?;
        }
        println!("emulate: the system of {suite} is in {}", folder.display());
        Ok(Self { kernel: folder.join("kernel"), root: folder.join("root") })
    }

    fn download(folder: &Path, suite: &str) -> Result<(), Failure> {
        let apt = Apt::new(&folder.join("apt"), suite)?;
        let kernel = apt.kernel(suite)?;
        println!("emulate: fetching {kernel}, {}", TOOLS.join(", "));
        let boot = folder.join("boot");
        unpack(&apt.fetch("download", &[&kernel])?, &boot)?;
        let image = only(&boot.join("boot"), "vmlinuz-")?;
        let kernel = folder.join("kernel");
        fs::rename(&image, &kernel).map_err(|error| Failure::io("move", &image, &error))?;
        let root = folder.join("root");
        unpack(&apt.fetch("install", &TOOLS)?, &root)?;
        let useless = LEFT_OUT.map(|name| root.join(name)).into_iter().chain([boot, folder.join("apt")]);
        for path in useless.filter(|path| path.is_dir()) {
            fs::remove_dir_all(&path).map_err(|error| Failure::io("remove", &path, &error))?;
        }
        Ok(())
    }
}

/// The one file of a folder whose name begins so.
fn only(folder: &Path, beginning: &str) -> Result<PathBuf, Failure> {
    let mut files = list(folder)?;
    files.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(beginning)));
    match files.as_slice() {
        [file] => Ok(file.clone()),
        _ => Err(Failure::Work(format!(
            "{} has {} files {beginning}*, not one",
            folder.display(),
            files.len()
        ))),
    }
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failure = |error| Failure::io("list", folder, &error);
    let entries = fs::read_dir(folder).map_err(failure)?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>().map_err(failure)?;
    paths.sort_unstable();
    Ok(paths)
}

fn make_folder(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| Failure::io("make", path, &error))
}

fn unpack(packages: &[PathBuf], folder: &Path) -> Result<(), Failure> {
    make_folder(folder)?;
    packages
        .iter()
        .try_for_each(|package| process::run(Command::new("dpkg-deb").arg("-x").args([package, folder])))
}

/// Debian's package tool with a state, a cache and an architecture of its own, and this machine's mirror.
struct Apt {
    folder: PathBuf,
}

impl Apt {
    fn new(folder: &Path, suite: &str) -> Result<Self, Failure> {
        let apt = Self { folder: folder.to_owned() };
        for name in ["lists/partial", "archives/partial"] {
            make_folder(&folder.join(name))?;
        }
        let mirror = mirror()?;
        let keyring =
            if Path::new(KEYRING).is_file() { format!(" signed-by={KEYRING}") } else { String::new() };
        let base = suite.trim_end_matches("-backports");
        let mut sources = String::new();
        for suite in if base == suite { vec![base] } else { vec![base, suite] } {
            sources.push_str(&format!("deb [arch={ARCHITECTURE}{keyring}] {mirror} {suite} main\n"));
        }
        for (name, text) in [("sources.list", sources.as_str()), ("status", "")] {
            let path = folder.join(name);
            fs::write(&path, text).map_err(|error| Failure::io("write", &path, &error))?;
        }
        process::read(apt.command("apt-get").arg("update"))?;
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let at = |name: &str| self.folder.join(name).to_string_lossy().into_owned();
        let mut command = Command::new(program);
        for (option, value) in [
            ("APT::Architecture", ARCHITECTURE.to_owned()),
            ("APT::Architectures", ARCHITECTURE.to_owned()),
            // Its unprivileged user cannot reach a folder of ours.
            ("APT::Sandbox::User", "root".to_owned()),
            ("Acquire::IndexTargets::deb::DEP-11::DefaultEnabled", "false".to_owned()),
            ("Acquire::Languages", "none".to_owned()),
            ("Dir::Cache::archives", at("archives")),
            ("Dir::Cache::pkgcache", String::new()),
            ("Dir::Cache::srcpkgcache", String::new()),
            ("Dir::Etc::preferences", "/dev/null".to_owned()),
            ("Dir::Etc::preferencesparts", "/dev/null".to_owned()),
            ("Dir::Etc::sourcelist", at("sources.list")),
            ("Dir::Etc::sourceparts", "/dev/null".to_owned()),
            ("Dir::State", at("")),
            ("Dir::State::lists", at("lists")),
            // Nothing is installed there, so whatever is needed is fetched.
            ("Dir::State::status", at("status")),
        ] {
            command.args(["-o", &format!("{option}={value}")]);
        }
        command.current_dir(self.folder.join("archives"));
        command
    }

    /// The package with the kernel, which the one with the constant name depends on.
    fn kernel(&self, suite: &str) -> Result<String, Failure> {
        let shown =
            process::read(self.command("apt-cache").args(["--target-release", suite, "depends", KERNEL]))?;
        let name = shown.lines().find_map(|line| line.trim().strip_prefix("Depends: linux-image-"));
        name.map(|name| format!("linux-image-{name}"))
            .ok_or_else(|| Failure::Work(format!("{KERNEL} depends on no kernel: {}", shown.trim_end())))
    }

    /// Fetches packages and, with `install`, all that they need. Answers the files and forgets them.
    fn fetch(&self, how: &str, packages: &[&str]) -> Result<Vec<PathBuf>, Failure> {
        let archives = self.folder.join("archives");
        let before = list(&archives)?;
        let words = ["-qq", "--yes", "--download-only", "--no-install-recommends", how];
        process::read(self.command("apt-get").args(words).args(packages))?;
        let mut files = list(&archives)?;
        files.retain(|file| file.extension().is_some_and(|ending| ending == "deb") && !before.contains(file));
        Ok(files)
    }
}

/// The Debian mirror that this machine uses, as its own apt knows it.
fn mirror() -> Result<String, Failure> {
    let words =
        ["indextargets", "--format", "$(SITE)", "Created-By: Packages", "Origin: Debian", "Label: Debian"];
    let mut asked = process::read(Command::new("apt-get").args(words))?;
    if asked.is_empty() {
        // A fresh container knows its mirrors only after the first update, which is root's.
        process::read(Command::new("apt-get").args(["-qq", "update"]))?;
        asked = process::read(Command::new("apt-get").args(words))?;
    }
    asked.lines().next().map(str::to_owned).ok_or_else(|| {
        Failure::Work("apt has no Debian mirror among its sources: run this on Debian".to_owned())
    })
}

/// Builds what the machine runs: its paths there, and the files here.
fn build(workspace: &Workspace) -> Result<BTreeMap<String, PathBuf>, Failure> {
    cross::add(TARGET)?;
    let mut programs = BTreeMap::new();
    programs.insert("usr/local/bin/ringfence".to_owned(), cross::build(workspace, TARGET)?);
    let mut cargo = cross::cargo("test", TARGET);
    cargo.args(["--no-run", "--message-format=json-render-diagnostics"]);
    cargo.args(["--workspace", "--exclude=xtask", "--lib"]);
    cargo.args(TESTS.map(|name| format!("--test={name}")));
    // A tenth of the size: the machine holds it all in memory.
    cargo.env("CARGO_PROFILE_DEV_DEBUG", "false").env("CARGO_PROFILE_DEV_STRIP", "symbols");
    println!("emulate: building the tests for {TARGET}");
    for line in process::read(&mut cargo)?.lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
        let Some(executable) = message["executable"].as_str() else { continue };
        // The folders that the tests know from cargo: helpers stand above the tests.
        let folder = if message["profile"]["test"] == true { "opt/ringfence/deps" } else { "opt/ringfence" };
        programs.insert(format!("{folder}/{}", text_of(&message["target"], "name")), executable.into());
    }
    Ok(programs)
}

/// Writes the machine's first root.
fn pack(system: &System, programs: &BTreeMap<String, PathBuf>, image: &Path) -> Result<(), Failure> {
    let mut archive = Archive::default();
    archive.tree(&system.root, "")?;
    for folder in ["opt", "opt/ringfence", "opt/ringfence/deps", "usr/local", "usr/local/bin"] {
        archive.entry(folder, 0o040_755, &[]);
    }
    archive.entry("init", 0o100_755, include_bytes!("../programs/guest.sh"));
    for (name, file) in programs {
        archive.entry(name, 0o100_755, &fs::read(file).map_err(|error| Failure::io("read", file, &error))?);
    }
    archive.entry("TRAILER!!!", 0, &[]);
    fs::write(image, &archive.bytes).map_err(|error| Failure::io("write", image, &error))?;
    println!("emulate: the image has {} MiB", archive.bytes.len() >> 20);
    Ok(())
}

/// A cpio archive as the kernel unpacks it (Documentation/driver-api/early-userspace/buffer-format.rst). All is
/// root's.
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
}

impl Archive {
    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        // Magic, inode, mode, uid, gid, links, time, size, device (2), special device (2), name's length, checksum.
        let (size, length) = (content.len(), name.len() + 1);
        let header = format!(
            "070701{0:08x}{mode:08x}{0:08x}{0:08x}{1:08x}{0:08x}{size:08x}{0:032x}{length:08x}{0:08x}",
            0, 1
        );
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(content);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Everything below a folder, parents before children.
    fn tree(&mut self, folder: &Path, prefix: &str) -> Result<(), Failure> {
        for path in list(folder)? {
            let name = format!("{prefix}{}", path.file_name().unwrap_or_default().to_string_lossy());
            let failure = |error| Failure::io("read", &path, &error);
            let found = path.symlink_metadata().map_err(failure)?;
            let mode = found.permissions().mode();
            if found.is_dir() {
                self.entry(&name, mode, &[]);
                self.tree(&path, &format!("{name}/"))?;
            } else if found.is_symlink() {
                let target = fs::read_link(&path).map_err(failure)?;
                self.entry(&name, mode, target.to_string_lossy().as_bytes());
            } else {
                self.entry(&name, mode, &fs::read(&path).map_err(failure)?);
            }
        }
        Ok(())
    }
}

/// Boots until the machine has said its last word, and answers all that it said.
fn boot_until_done(kernel: &Path, image: &Path) -> Result<Vec<String>, Failure> {
    for attempt in 1..=ATTEMPTS {
        println!("emulate: boot {attempt} of at most {ATTEMPTS}");
        let console = boot(kernel, image)?;
        if console.iter().any(|line| line == "guest: done") {
            return Ok(console);
        }
        println!("emulate: the machine did not come to its end");
    }
    Err(Failure::Work(format!(
        "the machine did not come to its end in {ATTEMPTS} boots; its last words are above"
    )))
}

fn boot(kernel: &Path, image: &Path) -> Result<Vec<String>, Failure> {
    let mut command = Command::new(EMULATOR);
    command.args(["-M", "virt", "-cpu", "cortex-a57", "-smp", "2", "-m", "1536"]);
    command.args(["-accel", "tcg,thread=multi,tb-size=512", "-nodefaults", "-no-user-config", "-no-reboot"]);
    command.args(["-display", "none", "-serial", "stdio"]);
    command.arg("-kernel").arg(kernel).arg("-initrd").arg(image);
    command.args(["-append", "console=ttyAMA0 quiet loglevel=1 panic=-1"]);
    let begun = Instant::now();
    let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut machine = started.map_err(|error| process::not_started(&command, &error))?;
    let lines = machine.stdout.take().map(lines_of);
    let (console, stalled) = lines.map_or_else(Default::default, |lines| listen(&lines, begun + LONGEST));
    if stalled {
        println!("emulate: it stalled, and is switched off");
        machine.kill().map_err(|error| process::not_started(&command, &error))?;
    }
    let status = machine.wait().map_err(|error| process::not_started(&command, &error))?;
    println!("emulate: the machine ran for {} s ({status})", begun.elapsed().as_secs());
    Ok(console)
}

/// Reads in a thread, so that we can wait no longer than we want.
fn lines_of(stdout: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Collects and shows what is said until the end; the second answer is whether there was none.
fn listen(lines: &Receiver<String>, end: Instant) -> (Vec<String>, bool) {
    let mut console = Vec::new();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left.min(SILENCE)) {
            Ok(line) => {
                let _shown_if_possible = writeln!(std::io::stdout(), "{line}");
                console.push(line);
            }
            Err(why) => return (console, why == mpsc::RecvTimeoutError::Timeout),
        }
    }
}

/// What the machine said of itself and of the tests.
#[derive(Default)]
struct Summary {
    kernel: String,
    users: Vec<User>,
}

#[derive(Default)]
struct User {
    name: String,
    tally: Tally,
    /// The results of the executable that runs.
    results: Vec<Counts>,
    /// What could not be tried, and why.
    notes: Vec<String>,
}

impl Summary {
    fn read(console: &[String]) -> Self {
        let mut summary = Self::default();
        for line in console {
            if let Some(kernel) = line.strip_prefix("guest: kernel ") {
                kernel.clone_into(&mut summary.kernel);
            } else if let Some(name) = line.strip_prefix("guest: user ") {
                summary.users.push(User { name: name.to_owned(), ..User::default() });
            } else if let Some(user) = summary.users.last_mut() {
                user.read(line);
            }
        }
        summary
    }

    fn conclude(&self) -> Result<(), Failure> {
        println!("\nemulate: Linux {}", self.kernel);
        let mut bad = Vec::new();
        for User { name, tally, notes, .. } in &self.users {
            notes.iter().for_each(|note| println!("emulate: as {name}: {note}"));
            println!("emulate: as {name}: {tally}");
            bad.extend(tally.bad.iter().map(|what| format!("{what} as {name}")));
        }
        match bad.len() {
            0 => Ok(()),
            _ => Err(Failure::Work(format!("failed: {}", bad.join(", ")))),
        }
    }
}

impl User {
    fn read(&mut self, line: &str) {
        self.results.extend(tally::counts(line));
        if let Some((number, label)) =
            line.strip_prefix("guest: status ").and_then(|rest| rest.split_once(' '))
        {
            // As wait(2) has it: the exit status is the second byte.
            let status = ExitStatus::from_raw(number.parse().map_or(1, |number: i32| number << 8));
            self.tally.add(label, &std::mem::take(&mut self.results), status);
        } else if line.contains(": not reachable here: ") {
            self.notes.push(line.to_owned());
        } else if let Some(why) = line.strip_prefix("guest: skipped: ") {
            self.notes.push(format!("skipped: {why}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_what_the_kernel_unpacks() {
        let mut archive = Archive::default();
        archive.entry("a/file", 0o100_755, b"text!");
        let text = String::from_utf8(archive.bytes).unwrap();
        assert_eq!(text.len(), 110 + 10 + 8);
        assert!(text.starts_with("07070100000000000081ed"), "{text}");
        assert_eq!(&text[54..62], "00000005");
        assert_eq!(&text[94..102], "00000007");
        assert_eq!(&text[110..], "a/file\0\0\0\0text!\0\0\0");
    }

    #[test]
    fn a_console_is_summed_for_each_user() {
        let console = "guest: kernel 6.12 aarch64\nguest: user root\n\
            test result: ok. 27 passed; 0 failed; 0 ignored\nguest: status 0 the command line\n\
            row 9: not reachable here: why\ntest result: FAILED. 2 passed; 1 failed; 0 ignored\n\
            guest: status 101 escape\nguest: user user\nguest: skipped: no disk\nguest: done";
        let console: Vec<_> = console.lines().map(str::to_owned).collect();
        let summary = Summary::read(&console);
        assert_eq!(summary.kernel, "6.12 aarch64");
        let [root, user] = summary.users.as_slice() else { panic!("two users") };
        assert_eq!(root.tally.to_string(), "29 passed, 1 failed, 0 ignored in 2 executables");
        assert_eq!(root.tally.bad.len(), 1);
        assert_eq!(
            (root.notes.len(), user.notes.as_slice()),
            (1, ["skipped: no disk".to_owned()].as_slice())
        );
        assert!(summary.conclude().is_err());
    }
}
