//! CI's view (S3.3): a job of three steps, step by step in a plain shell script, on the machine and in a container
//! without cgroups of its own, with the policy file and the script of `examples/ci`, unchanged.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use support::{Outcome, Scene, finish, has_cgroups, is_root, not_reachable, probe, ringfence, spare_user};

const JOB: &str = include_str!("../../examples/ci/job.sh");
const POLICY: &str = include_str!("../../examples/ci/ci.toml");

const SOURCE: &str = "#include <stdio.h>\nint main(void) { puts(\"built from the mirror\"); return 0; }\n";
const MAKEFILE: &str = "greet: greet.c\n\t$(CC) -O2 -Wall -Werror -o $@ $<\n\
                        check: greet\n\ttest \"$$(./greet)\" = 'built from the mirror'\n.PHONY: check\n";
const FETCH: &str =
    "#!/bin/sh\nset -e\nbusybox wget -q -O greet.c \"$1/greet.c\"\nsha256sum -c greet.sha256\n";

/// Where a job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Machine,
    /// As an engine's: own users, processes and names, no capability, cgroups read-only or not there at all.
    Container {
        cgroups: bool,
    },
    /// As an engine's when it was told nothing: parts of /proc are covered too.
    Covered,
}

impl Place {
    /// What every step is given there.
    const fn flags(self) -> &'static str {
        match self {
            Self::Covered => "--allow-degraded processes",
            Self::Machine | Self::Container { .. } => "",
        }
    }
}

/// A project that is checked out, with its job.
struct Project {
    scene: Scene,
    place: Place,
}

impl Project {
    fn new(job: &str) -> Self {
        let scene = Scene::new();
        for (name, content) in
            [("ci.toml", POLICY), ("job.sh", job), ("fetch.sh", FETCH), ("Makefile", MAKEFILE)]
        {
            let path = scene.file(&format!("project/{name}"), content);
            let mode = if content.starts_with("#!") { 0o755 } else { 0o644 };
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("our own file");
        }
        let hash = scene.file("hashed/greet.c", SOURCE);
        let sum =
            Command::new("sha256sum").arg("greet.c").current_dir(hash.parent().expect("a folder")).output();
        scene.file("project/greet.sha256", &String::from_utf8_lossy(&sum.expect("sha256sum runs").stdout));
        scene.folder("reports");
        scene.folder("neighbour");
        // The name by which the script calls it.
        symlink(ringfence(), scene.folder("bin").join("ringfence")).expect("our own folder");
        scene.runtime();
        Self { scene, place: Place::Machine }
    }

    /// The same files at the same paths, for who runs there; nothing of an earlier job.
    fn move_to(&mut self, place: Place) {
        self.place = place;
        for name in ["project/greet.c", "project/greet", "neighbour/made"] {
            // A job that failed early made none.
            let _ = std::fs::remove_file(self.scene.path(name));
        }
        std::fs::remove_dir_all(self.scene.path("reports")).expect("our own folder");
        self.scene.folder("reports");
        if place != Place::Machine && is_root() {
            let owner = format!("{0}:{0}", spare_user());
            let changed = Command::new("chown").args(["-R", &owner]).arg(self.scene.path("")).status();
            assert!(changed.expect("chown runs").success());
        }
    }

    /// Runs words there, from the project's folder.
    fn run(&self, words: &[&str], mirror: &str) -> Outcome {
        self.finish(container(&self.scene.path(""), self.place), words, mirror)
    }

    /// Runs words behind others.
    fn finish(&self, mut line: Vec<String>, words: &[&str], mirror: &str) -> Outcome {
        line.extend(words.iter().map(|word| (*word).to_owned()));
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).current_dir(self.scene.path("project")).env_clear();
        command.env("PATH", format!("{}:/usr/bin:/bin", self.scene.path("bin").display()));
        command.env("HOME", self.scene.home()).env("RINGFENCE_RUNTIME_DIR", self.scene.runtime());
        command
            .env("FLAGS", self.place.flags())
            .env("MIRROR", mirror)
            .env("REPORTS", self.scene.path("reports"));
        command.env("PROBE", probe()).stdin(std::process::Stdio::null());
        finish(command, Duration::from_secs(300))
    }

    fn reports(&self) -> BTreeMap<String, Value> {
        let entries = std::fs::read_dir(self.scene.path("reports")).expect("our own folder").flatten();
        let read =
            |path: &Path| serde_json::from_slice(&std::fs::read(path).expect("a report")).expect("JSON");
        let name = |path: &Path| path.file_stem().expect("a name").to_string_lossy().into_owned();
        entries.map(|entry| (name(&entry.path()), read(&entry.path()))).collect()
    }
}

/// The words before a command that runs there.
fn container(shared: &Path, place: Place) -> Vec<String> {
    if place == Place::Machine {
        return Vec::new();
    }
    let user = spare_user();
    let mut line = String::new();
    if is_root() {
        line = format!("setpriv --reuid {user} --regid {user} --clear-groups ");
    }
    line += "bwrap --unshare-user --unshare-pid --unshare-ipc --unshare-uts --unshare-cgroup-try --cap-drop ALL \
             --ro-bind / / --dev /dev --proc /proc --tmpfs /run --die-with-parent --new-session";
    if place == (Place::Container { cgroups: false }) {
        line += " --tmpfs /sys";
    }
    if place == Place::Covered {
        line += " --tmpfs /proc/fs --ro-bind /proc/sys /proc/sys";
    }
    let mut words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
    let shared = shared.display().to_string();
    words.extend(["--bind".to_owned(), shared.clone(), shared]);
    words
}

/// What the job needs of the machine is there; where it is not, that is said.
fn is_reachable(test: &str) -> bool {
    let missing = ["bwrap", "setpriv", "gcc", "make", "busybox"]
        .into_iter()
        .find(|program| !["/usr/bin", "/bin"].iter().any(|folder| Path::new(folder).join(program).exists()));
    missing.into_iter().for_each(|program| not_reachable(test, &format!("{program} is not installed")));
    missing.is_none()
}

/// A mirror on loopback, for as long as the test lives.
fn mirror() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                match client.read(&mut byte) {
                    Ok(1) => asked.push(byte[0]),
                    _ => break,
                }
            }
            let length = SOURCE.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            // Who went away needs no answer.
            let _ = client.write_all((head + SOURCE).as_bytes());
        }
    });
    format!("http://{address}")
}

const PLACES: [Place; 4] =
    [Place::Machine, Place::Container { cgroups: true }, Place::Container { cgroups: false }, Place::Covered];

/// The policy by its hash, and what holds each guarantee: but for the one that only a sandbox of root has.
fn held(report: &Value) -> (String, BTreeMap<String, String>) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows = report["receipt"].as_array().into_iter().flatten();
    let rows = rows.filter(|row| row["guarantee"] != "host-root");
    (
        text(&report["policy_sha256"]),
        rows.map(|row| (text(&row["guarantee"]), text(&row["status"]))).collect(),
    )
}

#[test]
fn a_job_of_three_steps_is_the_same_on_the_machine_and_in_a_container() {
    if !is_reachable("a job of CI") {
        return;
    }
    let mirror = mirror();
    let mut all = Vec::new();
    let mut project = Project::new(JOB);
    for place in PLACES {
        project.move_to(place);
        let job = project.run(&["./job.sh"], &mirror);
        assert_eq!(job.status, 0, "{place:?}: {job:#?}");
        let said: Vec<_> = job.stdout.lines().filter(|line| line.ends_with(": 0")).collect();
        assert_eq!(said, ["fetch: 0", "build: 0", "test: 0"], "{place:?}: {job:#?}");
        assert!(project.scene.path("project/greet").is_file(), "{place:?}");
        let reports = project.reports();
        assert_eq!(reports["fetch"]["policy"]["network"], "host");
        assert_eq!(
            (&reports["build"]["policy"]["network"], &reports["test"]["policy"]["network"]),
            (&"none".into(), &"none".into())
        );
        if place == Place::Covered {
            assert!(reports.values().all(|report| report["rung"] == "nested"));
            assert_eq!(held_by(&reports["build"], "processes"), "partial");
            continue;
        }
        all.push(
            reports.iter().map(|(name, report)| (name.clone(), held(report))).collect::<BTreeMap<_, _>>(),
        );
    }
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{all:#?}");
    let (policy, receipt) = &all[0]["build"];
    assert!(
        policy.len() == 64 && receipt.values().filter(|status| *status == "enforced").count() > 8,
        "{receipt:#?}"
    );
}

/// What goes wrong between the first step and the others.
const MISBEHAVES: &str = r#"
step bomb --pids 64 --allow-degraded pids --timeout 2s --grace 100ms --ro "$PROBE" -- "$PROBE" fork-bomb 60000
step loop --timeout 1s --grace 100ms -- sh -c 'while :; do :; done'
step flood --output-limit 64K -- sh -c 'while :; do echo flood; done' >/dev/null
step outside -- sh -c 'echo x >../neighbour/made; echo x >/usr/made; echo x >"$0/made"' "$REPORTS"
step network -- ./fetch.sh "$MIRROR"
step refused --memory 64M -- true
step waived --memory 64M --allow-degraded memory -- true
"#;

#[test]
fn a_step_that_misbehaves_ends_alone_and_its_report_says_why() {
    if !is_reachable("steps of CI that misbehave") {
        return;
    }
    let mirror = mirror();
    let job = JOB.replace("step build", &format!("{MISBEHAVES}step build"));
    let mut project = Project::new(&job);
    for place in PLACES {
        project.move_to(place);
        let with_cgroups = place == Place::Machine && has_cgroups("limits of steps on this machine");
        let outcome = project.run(&["./job.sh"], &mirror);
        let said: BTreeMap<_, _> = outcome.stdout.lines().filter_map(|line| line.rsplit_once(": ")).collect();
        let reports = project.reports();
        let exit = |step: &str| &reports[step]["exit"];
        let reason = |step: &str| exit(step)["reason"].as_str().unwrap_or_default();
        let over = |step: &str, limit: &str| {
            exit(step)["exceeded"].as_array().into_iter().flatten().any(|row| row["limit"] == limit)
        };
        for step in ["fetch", "build", "test", "waived"] {
            assert_eq!((said[step], reason(step)), ("0", "exited"), "{place:?} {step}: {outcome:#?}");
        }
        assert_eq!(outcome.status, 1, "the job itself failed, after its last step");
        for (step, why, limit) in [
            ("bomb", "timeout", "timeout"),
            ("loop", "timeout", "timeout"),
            ("flood", "output", "output-limit"),
        ] {
            assert_eq!((reason(step), over(step, limit)), (why, true), "{place:?} {step}: {}", exit(step));
        }
        assert_eq!((said["bomb"], said["loop"]), ("124", "124"), "{place:?}");
        // Where a cgroup counts them, the bomb is named as one.
        assert_eq!(over("bomb", "pids"), with_cgroups, "{place:?}: {}", exit("bomb"));
        let held = if with_cgroups { "enforced" } else { "partial" };
        assert_eq!(held_by(&reports["bomb"], "pids"), held, "{place:?}");
        for step in ["outside", "network"] {
            assert!(said[step] != "0" && reason(step) == "exited", "{place:?} {step}: {}", exit(step));
        }
        for made in ["neighbour/made", "reports/made"] {
            assert!(!project.scene.path(made).exists(), "{place:?}: {made}");
        }
        let memory = &reports["refused"];
        if with_cgroups {
            assert_eq!((said["refused"], held_by(memory, "memory")), ("0", "enforced"));
        } else {
            assert_eq!((said["refused"], reason("refused")), ("125", "refused"), "{place:?}");
            let error = memory["error"].to_string();
            assert!(
                error.contains("cannot guarantee `memory`") && error.contains("--allow-degraded=memory"),
                "{error}"
            );
            assert_eq!(held_by(&reports["waived"], "memory"), "partial", "{place:?}");
        }
        assert!(reports["waived"]["waived"].to_string().contains("memory"));
    }
}

fn held_by<'a>(report: &'a Value, guarantee: &str) -> &'a str {
    let mut rows = report["receipt"].as_array().into_iter().flatten();
    rows.find(|row| row["guarantee"] == guarantee).and_then(|row| row["status"].as_str()).unwrap_or_default()
}

/// Control: what the steps may not do, the job may; and the container is none that would have a cgroup.
#[test]
fn what_a_step_may_not_do_the_job_itself_may() {
    if !is_reachable("controls of the job of CI") {
        return;
    }
    let mirror = mirror();
    let mut project = Project::new(JOB);
    for place in PLACES {
        project.move_to(place);
        let line = "echo x >../neighbour/made && echo x >\"$REPORTS/made\" && ./fetch.sh \"$MIRROR\"";
        let control = project.run(&["/bin/sh", "-c", line], &mirror);
        assert_eq!(control.status, 0, "{place:?}: {control:#?}");
        if place == Place::Machine {
            continue;
        }
        let line = "grep -h -e ^CapEff -e ^CapBnd /proc/self/status; ls /proc | grep -c '^[0-9]*$'; \
                    for folder in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir \"$folder/made\" 2>/dev/null && echo made; done; \
                    touch /run/writable; ls /run | wc -l";
        let inside = project.run(&["/bin/sh", "-c", line], &mirror);
        let lines: Vec<_> = inside.stdout.split_whitespace().collect();
        let none = "0000000000000000";
        assert_eq!(
            (&lines[..4], lines.last()),
            (&["CapEff:", none, "CapBnd:", none][..], Some(&"1")),
            "{place:?}: {inside:#?}"
        );
        assert!(!inside.stdout.contains("made"), "{place:?}: it can make cgroups: {inside:#?}");
    }
}

/// An engine may run everything as user 0 and keep back every capability (`--cap-drop ALL`).
#[test]
fn user_0_of_a_container_is_told_what_it_lacks() {
    if !is_reachable("user 0 of a container") {
        return;
    }
    let mut project = Project::new(JOB);
    let place = Place::Container { cgroups: false };
    project.move_to(place);
    let user_0 = |more: &[&str], words: &str| {
        let mut line = container(&project.scene.path(""), place);
        line.extend(["--uid", "0", "--gid", "0"].iter().chain(more).map(|word| (*word).to_owned()));
        project.finish(line, &["/bin/sh", "-c", words], "")
    };
    let run = "ringfence run -p ./ci.toml -- id -u";
    user_0(&[], run).expect_refusal(&["user 0 lacks CAP_SETFCAP", "as another user", "give the container"]);
    let doctor = user_0(&[], "ringfence doctor");
    assert!(doctor.status == 1 && doctor.stdout.contains("user 0 lacks CAP_SETFCAP"), "{doctor:#?}");
    let control = user_0(&["--cap-add", "CAP_SETFCAP"], run);
    assert_eq!((control.status, control.stdout.as_str()), (0, "0\n"), "{control:#?}");
    let doctor = user_0(&["--cap-add", "CAP_SETFCAP"], "ringfence doctor");
    assert!(doctor.status == 0 && !doctor.stdout.contains("SETFCAP"), "{doctor:#?}");
}
