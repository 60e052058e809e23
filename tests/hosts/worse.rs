//! Each degraded host beside its control: the reason is the right one, a run is as promised or refused by name, and the
//! remedy mends it where a test can apply it.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{COVERED_PROC, Run, Scene, has_cgroups, is_root, not_reachable, ringfence, worse};

/// A host, by the words that a command is started through.
pub(crate) struct Host {
    name: &'static str,
    words: Vec<OsString>,
}

impl Host {
    pub(crate) fn plain(name: &'static str) -> Self {
        Self { name, words: Vec::new() }
    }

    /// By filters, limits and the like.
    pub(crate) fn worse(name: &'static str, how: &[&str]) -> Self {
        let mut words: Vec<OsString> = vec![worse().into()];
        words.extend(how.iter().map(OsString::from));
        words.push("--".into());
        Self { name, words }
    }

    /// A user and mount namespace where a line ran first.
    pub(crate) fn namespace(name: &'static str, prepare: &str) -> Self {
        let script = format!("{prepare} && exec \"$@\"");
        let words = ["unshare", "-Urm", "/bin/sh", "-c", &script, "sh"].map(OsString::from);
        Self { name, words: words.into() }
    }

    pub(crate) fn run<'a>(&self, scene: &'a Scene) -> Run<'a> {
        Run::new(scene).through(&self.words)
    }

    pub(crate) fn doctor_text(&self, scene: &Scene) -> String {
        let mut line = self.words.clone();
        line.extend([ringfence().into(), "doctor".into()]);
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).env("HOME", scene.home()).env("RINGFENCE_RUNTIME_DIR", scene.runtime());
        let output = command.stdin(Stdio::null()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

/// The mechanisms that were found missing (not those that could not be tried).
pub(crate) fn missing(said: &Value, needed: bool) -> Vec<&Value> {
    let rows = said["mechanisms"].as_array().expect("a list");
    rows.iter().filter(|row| row["found"] == "missing" && row["needed"] == needed).collect()
}

/// The row of a mechanism.
fn row<'a>(said: &'a Value, name: &str) -> &'a Value {
    let rows = said["mechanisms"].as_array().expect("a list");
    rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name}: {said:#}"))
}

/// What a degraded host must show.
struct Shows<'a> {
    /// The mechanism that is missing first.
    mechanism: &'a str,
    /// Words of the reason.
    why: &'a [&'a str],
    /// A word of the remedy.
    remedy: &'a str,
    /// The rung that a waiver gives, as doctor says it.
    rung: Value,
}

/// doctor names the mechanism, the reason and the remedy; a run is refused with the same reason, and leaves nothing.
#[track_caller]
fn refused(host: &Host, shows: &Shows<'_>) {
    let scene = Scene::new();
    let (status, said) = host.run(&scene).doctor();
    assert_eq!(status, 1, "{}: {said:#}", host.name);
    assert_eq!((&said["full"], &said["rung"]), (&false.into(), &shows.rung), "{}", host.name);
    let row = row(&said, shows.mechanism);
    assert_eq!(row["found"], "missing", "{}: {row:#}", host.name);
    let why = row["why"].as_str().unwrap_or_default();
    assert!(shows.why.iter().all(|word| why.contains(word)), "{}: {row:#}", host.name);
    let remedy = row["remedy"].as_str().unwrap_or_default();
    assert!(remedy.contains(shows.remedy), "{}: {row:#}", host.name);
    let before = scene.listing();
    let outcome = host.run(&scene).flag("--rw").flag(scene.path("here")).run(["touch", "made"]);
    outcome.expect_refusal(&[]);
    assert!(shows.why.iter().all(|word| outcome.stderr.contains(word)), "{}: {outcome:#?}", host.name);
    assert!(outcome.field("/error/remedy").is_string(), "{}: {outcome:#?}", host.name);
    let after: Vec<_> = scene.listing().into_iter().filter(|path| !path.contains("/outside")).collect();
    assert_eq!(after, before, "{}: something was left behind", host.name);
}

/// A run gives all that it promises here, and doctor says what is missing beside it.
#[track_caller]
fn holds(host: &Host) -> Value {
    let scene = Scene::new();
    let outcome = host.run(&scene).run(["/bin/sh", "-c", "echo ran"]);
    assert_eq!((outcome.status, outcome.stdout.as_str()), (0, "ran\n"), "{}: {outcome:#?}", host.name);
    let rows = outcome.field("/receipt").as_array().expect("a receipt");
    assert!(rows.iter().all(|row| row["status"] == "enforced"), "{}: {outcome:#?}", host.name);
    assert_eq!(outcome.field("/rung"), "full", "{}", host.name);
    let (_, said) = host.run(&scene).doctor();
    assert_eq!(said["sandbox"]["ran"], true, "{}: {said:#}", host.name);
    said
}

/// The setting of a remedy such as "run `sysctl user.max_net_namespaces=10000`".
fn setting(remedy: &str) -> Option<(String, String)> {
    let (name, value) = remedy.split_once("`sysctl ")?.1.split_once('`')?.0.split_once('=')?;
    Some((format!("/proc/sys/{}", name.replace('.', "/")), value.to_owned()))
}

/// No namespaces of a kind; then doctor's own remedy is applied and all is well.
#[test]
fn a_kind_of_namespace_that_is_forbidden_by_a_setting() {
    for (kind, mechanism) in
        [("user", "user-namespace"), ("net", "network-namespace"), ("cgroup", "cgroup-namespace")]
    {
        let forbid = format!("echo 0 >/proc/sys/user/max_{kind}_namespaces");
        let host = Host::namespace("a setting", &forbid);
        let name = format!("user.max_{kind}_namespaces is 0");
        refused(&host, &Shows { mechanism, why: &[&name], remedy: "sysctl user.max_", rung: Value::Null });
        let scene = Scene::new();
        let (_, said) = host.run(&scene).doctor();
        let remedy = row(&said, mechanism)["remedy"].as_str().unwrap().to_owned();
        let (path, value) = setting(&remedy).unwrap_or_else(|| panic!("no setting in: {remedy}"));
        let mended = Host::namespace("mended", &format!("{forbid} && echo {value} >{path}"));
        let said = holds(&mended);
        assert_eq!(row(&said, mechanism)["found"], "works", "{said:#}");
    }
    holds(&Host::namespace("the control", "true"));
}

#[test]
fn inside_a_sandbox_of_our_own() {
    let scene = Scene::new();
    let tool = ringfence();
    let folder = tool.parent().unwrap();
    let mut words: Vec<OsString> = vec![tool.clone().into(), "run".into(), "--ro".into(), folder.into()];
    words.extend(["--rw".into(), scene.path("").into()]);
    // An ordinary user in there: of one who is root without capabilities something else is told first.
    words.extend(["--uid", "1000", "--gid", "1000", "--"].map(OsString::from));
    let host = Host { name: "a sandbox of ours", words };
    let run = || Run::new(&scene).through(&host.words);
    let (status, said) = run().doctor();
    assert_eq!((status, &said["rung"]), (1, &Value::Null), "{said:#}");
    let why = row(&said, "user-namespace")["why"].as_str().unwrap();
    assert!(why.contains("a filter of system calls") && why.contains("unshare"), "{said:#}");
    let outcome = run().run(["/bin/true"]);
    outcome.expect_refusal(&["a filter of system calls"]);
    // With the filter off, the other lock is told.
    let mut unfiltered = host.words.clone();
    unfiltered.insert(2, support::UNFILTERED.into());
    let (_, said) = Run::new(&scene).through(&unfiltered).doctor();
    let why = row(&said, "user-namespace")["why"].as_str().unwrap();
    assert!(why.contains("user.max_user_namespaces is 0"), "{said:#}");
}

#[test]
fn inside_bubblewrap_everything_holds() {
    if Command::new("bwrap").arg("--version").output().is_err() {
        return not_reachable("inside bubblewrap", "bwrap is not installed");
    }
    let words = ["bwrap", "--bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--unshare-pid"];
    let host = Host { name: "bubblewrap", words: words.map(OsString::from).into() };
    let scene = Scene::new();
    let outcome = host.run(&scene).run(["/bin/echo", "ran"]);
    let (status, said) = host.run(&scene).doctor();
    // As root it covers parts of proc; then that is the reason.
    if row(&said, "fresh-proc")["found"] == "missing" {
        let why = row(&said, "fresh-proc")["why"].as_str().unwrap();
        assert!(why.contains("/proc here is partly covered (/proc/"), "{said:#}");
        assert_eq!(status, 1);
        outcome.expect_refusal(&["partly covered"]);
    } else {
        assert_eq!((outcome.status, status), (0, 0), "{outcome:#?} {said:#}");
    }
}

/// As the engines' default profile: no unshare, no mount, no namespaces by clone.
#[test]
fn a_filter_as_containers_have_it() {
    let host = Host::worse("a container's filter", &["container"]);
    let why = ["a filter of system calls", "clone and unshare"];
    refused(&host, &Shows { mechanism: "user-namespace", why: &why, remedy: "seccomp", rung: Value::Null });
    // The remedy is another filter, or none: the control.
    holds(&Host::worse("the control", &["no-new-privs"]));
}

#[test]
fn no_new_mount_calls() {
    let host = Host::worse("no new mount calls", &["no-mount-api"]);
    refused(
        &host,
        &Shows {
            mechanism: "mount-api",
            why: &["a filter of system calls"],
            remedy: "seccomp",
            rung: Value::Null,
        },
    );
}

#[test]
fn a_caller_under_landlock() {
    let host = Host::worse("a caller under Landlock", &["landlock"]);
    refused(
        &host,
        &Shows {
            mechanism: "mount-api",
            why: &["under Landlock"],
            remedy: "not restricted by Landlock",
            rung: Value::Null,
        },
    );
}

#[test]
fn a_caller_under_no_new_privs_loses_the_helpers_and_nothing_else() {
    let said = holds(&Host::worse("no_new_privs", &["no-new-privs"]));
    assert!(missing(&said, true).is_empty(), "{said:#}");
    if !is_root() {
        let why = row(&said, "id-helpers")["why"].as_str().unwrap_or_default();
        assert!(why.contains("no_new_privs"), "{said:#}");
    }
}

#[test]
fn no_landlock() {
    let said = holds(&Host::worse("no Landlock", &["no-landlock"]));
    let row = row(&said, "landlock");
    assert_eq!((&row["found"], &row["errno"]), (&"missing".into(), &"ENOSYS".into()), "{said:#}");
    assert_eq!(missing(&said, true).len(), 1, "{said:#}");
    assert_eq!(said["full"], false);
}

#[test]
fn no_clone3() {
    let said = holds(&Host::worse("no clone3", &["no-clone3"]));
    assert!(missing(&said, true).is_empty(), "{said:#}");
    assert!(row(&said, "clone3")["why"].as_str().unwrap().contains("a filter of system calls"), "{said:#}");
}

#[test]
fn nobody_may_answer_calls() {
    let host = Host::worse("no listener", &["no-notify"]);
    let said = holds(&host);
    assert_eq!(row(&said, "seccomp-notify")["found"], "missing", "{said:#}");
    let scene = Scene::new();
    // Only what executes once needs it.
    let outcome = host.run(&scene).flags(["-p", "minimal"]).run(["/bin/echo", "ran"]);
    outcome.expect_refusal(&["a filter of system calls", "--allow-degraded=kernel-surface"]);
    let control = Run::new(&scene).flags(["-p", "minimal"]).run(["/bin/echo", "ran"]);
    assert_eq!(control.status, 0, "{control:#?}");
}

/// A whole system by bind mounts, entered by chroot(8): with its /proc, and without.
fn chroot(scene: &Scene, proc: bool) -> Host {
    let root = scene.folder("root");
    let root = root.display();
    let cover = if proc { String::new() } else { format!("mount -t tmpfs none {root}/proc && ") };
    let prepare = format!(
        "mount --rbind / {root} && {cover}set -- /usr/sbin/chroot {root} /bin/sh -c 'cd / && exec \"$@\"' sh \"$@\""
    );
    Host::namespace(if proc { "a chroot" } else { "a chroot without /proc" }, &prepare)
}

#[test]
fn in_a_chroot() {
    let scene = Scene::new();
    let host = chroot(&scene, true);
    if !Command::new(&host.words[0]).args(&host.words[1..]).arg("true").status().unwrap().success() {
        return not_reachable("chroot", "the root cannot be bound here");
    }
    let shows = Shows {
        mechanism: "user-namespace",
        why: &["in a chroot"],
        remedy: "outside of the chroot",
        rung: Value::Null,
    };
    refused(&host, &shows);
}

#[test]
fn in_a_chroot_without_proc() {
    let scene = Scene::new();
    let host = chroot(&scene, false);
    if !Command::new(&host.words[0]).args(&host.words[1..]).arg("true").status().unwrap().success() {
        return not_reachable("chroot without /proc", "the root cannot be bound here");
    }
    let (status, said) = host.run(&scene).doctor();
    assert_eq!(status, 1, "{said:#}");
    assert!(row(&said, "user-namespace")["why"].as_str().unwrap().contains("in a chroot"), "{said:#}");
    let output = host.run(&scene).command(["/bin/true"]).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(125) && message.contains("mount a proc"), "{output:?}");
}

#[test]
fn a_proc_that_is_partly_covered() {
    let host = Host::namespace("a covered proc", COVERED_PROC);
    let why = ["partly covered (/proc/"];
    refused(
        &host,
        &Shows { mechanism: "fresh-proc", why: &why, remedy: "uncovered /proc", rung: "nested".into() },
    );
    // The remedy: the cover goes.
    let uncover = format!("{COVERED_PROC} && {{ umount /proc/scsi 2>/dev/null || umount /proc/fs; }}");
    let said = holds(&Host::namespace("uncovered", &uncover));
    assert_eq!(row(&said, "fresh-proc")["found"], "works");
}

/// No cgroup that can be written: the limits are refused by name, and everything else holds.
#[test]
fn no_writable_cgroup() {
    let nowhere = ["unshare", "-m", "/bin/sh", "-c", r#"umount -R -l /sys/fs/cgroup && exec "$@""#, "sh"];
    let host = if is_root() {
        Host { name: "no cgroup", words: nowhere.map(OsString::from).into() }
    } else if has_cgroups("no writable cgroup") {
        return not_reachable("no writable cgroup", "this user has one; it runs as root too");
    } else {
        Host::plain("no cgroup of this user's")
    };
    let said = holds(&host);
    let row = row(&said, "cgroup-memory");
    assert_eq!((&row["found"], &row["needed"]), (&"missing".into(), &false.into()), "{said:#}");
    assert!(!is_root() || row["why"].as_str().unwrap().contains("no cgroup file system"), "{row:#}");
    let scene = Scene::new();
    let limited = || host.run(&scene).flags(["--memory", "64M"]);
    limited().run(["/bin/true"]).expect_refusal(&["`memory`", "--allow-degraded=memory"]);
    let waived = limited().flag("--allow-degraded=memory").run(["/bin/true"]);
    assert_eq!(waived.status, 0, "{waived:#?}");
    assert_eq!(waived.row("memory")["status"], "partial", "{waived:#?}");
}

#[test]
fn limits_at_their_edges() {
    // What a start never needs.
    holds(&Host::worse("no locked memory", &["memlock=0"]));
    // Too little is a refusal that says which limit; enough is enough.
    for (edge, enough, word) in
        [("nofile=8", "nofile=64", "ulimit -n"), ("fsize=4096", "fsize=1000000", "ulimit -f")]
    {
        let scene = Scene::new();
        let host = Host::worse("a limit", &[edge]);
        // The probe of the tests writes its report where it can; a limit of sizes is for the report too.
        let mut command = host.run(&scene).command(["/bin/true"]);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(125), "{edge}: {said}");
        assert!(said.contains(word), "{edge}: {said}");
        let outcome = Host::worse("enough", &[enough]).run(&scene).run(["/bin/true"]);
        assert_eq!(outcome.status, 0, "{enough}: {outcome:#?}");
    }
}

/// An ordinary user whose processes are as many as it may have.
#[test]
fn no_room_for_another_process() {
    if is_root() {
        return not_reachable("nproc", "RLIMIT_NPROC does not bind root; it runs as an ordinary user too");
    }
    let scene = Scene::new();
    let outcome = Host::worse("no processes", &["nproc=1"]).run(&scene).run(["/bin/true"]);
    outcome.expect_refusal(&["ulimit -u"]);
}
