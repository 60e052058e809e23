//! Row 20: sources and targets of binds are exchanged with links while sandboxes start. What was found before is what
//! is shown, or nothing starts. An ordinary run takes a share; `RINGFENCE_RACES` is how many starts are raced.

use std::ffi::CString;
use std::io::{Read as _, Seek as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ringfence::Policy;
use ringfence::policy::BindSpec;
use ringfence_linux::{Host, Plan, Request, Streams, launch, plan, resolve};
use support::Scene;

/// Starts of an ordinary run.
const SHARE: usize = 60;

/// Changes two names with each other, in one step (renameat2(2), `RENAME_EXCHANGE`).
fn exchange(one: &Path, other: &Path) {
    let text = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap();
    let (one, other) = (text(one), text(other));
    // SAFETY: two terminated paths.
    unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            libc::AT_FDCWD,
            one.as_ptr(),
            libc::AT_FDCWD,
            other.as_ptr(),
            libc::RENAME_EXCHANGE,
        )
    };
}

/// A scene in which the last part of a source, a folder above one, and a target have each a link in their place, in turn.
fn pairs(scene: &Scene) -> Vec<(PathBuf, PathBuf)> {
    scene.file("secret/flag", "secret\n");
    scene.file("secret/below/flag", "secret\n");
    scene.file("secret/inner/kept", "");
    let folder = |name: &str| scene.folder(name);
    scene.file("source/flag", "granted\n");
    scene.file("above/below/flag", "granted\n");
    folder("work/target");
    scene.file("extra/flag", "granted\n");
    let mut pairs = Vec::new();
    for (name, leads) in [("source", "secret"), ("above", "secret"), ("work/target", "secret/inner")] {
        let link = scene.path(&format!("{name}-link"));
        symlink(scene.path(leads), &link).unwrap();
        pairs.push((scene.path(name), link));
    }
    pairs
}

/// Exchanges the pairs again and again, while somebody wants it, and rests with every name as it was.
#[derive(Default)]
struct Renamer {
    wanted: AtomicBool,
    over: AtomicBool,
    rests: AtomicBool,
    renames: AtomicUsize,
}

impl Renamer {
    fn work(&self, pairs: &[(PathBuf, PathBuf)]) {
        while !self.over.load(Ordering::SeqCst) {
            if !self.wanted.load(Ordering::SeqCst) {
                self.rests.store(true, Ordering::SeqCst);
                std::thread::yield_now();
                continue;
            }
            self.rests.store(false, Ordering::SeqCst);
            // Each forth and back, so that every name is right for half of the time, and not at the same times.
            for (one, other) in pairs.iter().chain(pairs.iter().rev()) {
                exchange(one, other);
                self.renames.fetch_add(1, Ordering::SeqCst);
                std::thread::yield_now();
            }
        }
    }

    fn rest(&self) {
        self.wanted.store(false, Ordering::SeqCst);
        while !self.rests.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
    }

    /// Until the next rest.
    fn begin(&self) {
        let before = self.renames.load(Ordering::SeqCst);
        self.rests.store(false, Ordering::SeqCst);
        self.wanted.store(true, Ordering::SeqCst);
        while self.renames.load(Ordering::SeqCst) == before {
            std::thread::yield_now();
        }
    }
}

/// It ends with the test, whatever becomes of that.
struct Ends<'a>(&'a Renamer);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::SeqCst);
    }
}

fn a_plan(scene: &Scene) -> Plan {
    let spec: BindSpec =
        format!("{}:{}", shown(scene, "extra"), shown(scene, "work/target")).parse().unwrap();
    let files = ["work/target/flag", "source/flag", "above/below/flag", "secret/flag", "secret/inner/flag"];
    let policy = Policy::builtin("default").unwrap();
    let policy =
        policy.ro(scene.path("source")).ro(scene.path("above/below")).rw(scene.path("work")).bind(spec);
    let request = Request {
        command: std::iter::once("/bin/cat".into())
            .chain(files.map(|file| shown(scene, file).into()))
            .collect(),
        directory: scene.path("here"),
        environment: [("PATH".into(), "/usr/bin:/bin".into())].into(),
        home: scene.home(),
        passed: Vec::new(),
        hidden: Vec::new(),
        terminal: None,
        instead: None,
    };
    let host = Host::read().unwrap();
    let resolved = resolve(&policy, &request, &host).unwrap();
    plan(&policy, &resolved, &host, 7).unwrap()
}

fn shown(scene: &Scene, name: &str) -> String {
    scene.path(name).display().to_string()
}

/// What it printed; `None` when it was refused.
fn start(plan: Plan) -> Option<String> {
    let mut output = tempfile::tempfile().unwrap();
    let standard = [&output, &output, &output].map(|file| Some(OwnedFd::from(file.try_clone().unwrap())));
    let mut running = launch(plan, Streams { standard, ..Streams::default() }, 0).ok()?;
    if running.wait(None).error.is_some() {
        return None;
    }
    let mut text = String::new();
    output.rewind().unwrap();
    output.read_to_string(&mut text).unwrap();
    Some(text.lines().filter(|line| !line.contains("No such file")).collect::<Vec<_>>().join(" "))
}

#[test]
fn row_20_no_rename_during_the_start_leads_out() {
    let starts = std::env::var("RINGFENCE_RACES").ok().and_then(|count| count.parse().ok()).unwrap_or(SHARE);
    let scene = Scene::new();
    let pairs = pairs(&scene);
    let before = listing(&scene);
    let whole = "granted granted granted";
    assert_eq!(start(a_plan(&scene)).as_deref(), Some(whole), "control: nothing is renamed");
    let renamer = Renamer::default();
    let (mut ran, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        let _ends = Ends(&renamer);
        scope.spawn(|| renamer.work(&pairs));
        for _ in 0..starts {
            renamer.rest();
            let plan = a_plan(&scene);
            renamer.begin();
            match start(plan) {
                None => refused += 1,
                Some(text) => {
                    // Less is no escape: what is mounted on a name goes with it when the host exchanges it (rename(2)).
                    let all_granted = text.split_whitespace().all(|word| word == "granted");
                    assert!(all_granted, "it shows something else than was found: {text}");
                    ran += 1;
                }
            }
        }
        renamer.rest();
    });
    let renames = renamer.renames.into_inner();
    println!(
        "row 20: {starts} starts raced by {renames} renames: {ran} ran, {refused} were refused, 0 escapes"
    );
    assert!(ran + refused == starts && renames > starts, "{renames}");
    assert_eq!(listing(&scene), before, "something was made on the host");
}

/// What is in the folders that links lead to, and how many names there are at all.
fn listing(scene: &Scene) -> (Vec<String>, usize) {
    let all = scene.listing();
    let secret = scene.path("secret").display().to_string();
    let inside = all.iter().filter(|line| line.starts_with(&secret)).cloned().collect();
    (inside, all.iter().filter(|line| line.contains("/secret") || line.contains("work")).count())
}
