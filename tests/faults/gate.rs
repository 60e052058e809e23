//! The mutation gate in small: a verdict that cannot fail is worth nothing, so here it must.

use std::time::Duration;

use serde_json::json;
use support::{Scene, is_root};

use crate::campaign::tracing_works;
use crate::inject::{Fault, Injection, Recorded};
use crate::place::Place;
use crate::tracer::Role;
use crate::verdict::{Ended, Reference, Seen, judge};

fn injection(fault: Fault) -> Injection {
    let call = Recorded { number: libc::SYS_prctl, before: 0, shown: "prctl".to_owned() };
    Injection { role: Role::Init, index: 0, call, every: false, fault }
}

/// A run without a failure, to be changed.
fn plain() -> (Seen, Reference) {
    let place = Place::plain();
    let (seen, _) = place.record();
    let reference = place.reference(&seen);
    (seen, reference)
}

#[test]
fn a_fingerprint_that_lacks_anything_fails() {
    if !tracing_works() {
        return;
    }
    let (seen, reference) = plain();
    let failure = injection(Fault::FalseSuccess);
    assert_eq!(judge(&reference, Some(&failure), &seen), Ok(Ended::Ran), "control: as it is, it passes");
    let host = |name: &str| reference.host.iter().find(|line| line.starts_with(name)).unwrap().clone();
    let own = |name: &str| seen.stdout.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    let mut changes = vec![
        ("NoNewPrivs:\t1".to_owned(), "NoNewPrivs:\t0".to_owned()),
        ("mount /tmp rw,nosuid".to_owned(), "mount /tmp rw".to_owned()),
        ("mount /usr ro".to_owned(), "mount /usr rw".to_owned()),
        (own("mount /proc/sys "), String::new()),
        ("files [0, 1, 2]".to_owned(), "files [0, 1, 2, 7]".to_owned()),
        ("environment [".to_owned(), "environment [(\"TOKEN\", \"x\"), ".to_owned()),
        ("its session true".to_owned(), "its session false".to_owned()),
        ("further user namespaces 0".to_owned(), "further user namespaces 9".to_owned()),
        ("names ringfence".to_owned(), format!("names {}", host("names ").trim_start_matches("names "))),
        ("secure bits 0xef".to_owned(), "secure bits 0x0".to_owned()),
        ("interfaces 1".to_owned(), "interfaces 2".to_owned()),
        ("init Err(PermissionDenied)".to_owned(), "init Ok(\"\")".to_owned()),
        (own("landlock: "), "landlock: a signal to PID 1 ok, a device EPERM".to_owned()),
        ("NSpid:\t2".to_owned(), "NSpid:\t1".to_owned()),
        (own("limit Max core file size"), String::new()),
    ];
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        changes.push((own(set), format!("{set}:\t0000000000000400")));
    }
    for name in ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"] {
        let line = format!("namespace {name}");
        changes.push((own(&line), host(&line)));
    }
    for (from, to) in changes {
        assert!(seen.stdout.contains(&from), "`{from}` is in the fingerprint: {}", seen.stdout);
        let worse = Seen { stdout: seen.stdout.replace(&from, &to), ..seen.clone() };
        assert!(judge(&reference, Some(&failure), &worse).is_err(), "`{from}` became `{to}`, and it passed");
    }
}

/// Real runs, each with one layer off.
#[test]
fn a_run_with_a_layer_off_fails() {
    if !tracing_works() {
        return;
    }
    let (_, reference) = plain();
    let failure = injection(Fault::FalseSuccess);
    let mut loosened = vec![
        vec!["--net", "host"],
        vec!["--keep-cap", "net_bind_service"],
        vec!["--nofile", "63"],
        vec!["--tmpfs", "/scratch"],
        vec!["--hostname", "other"],
    ];
    if is_root() {
        loosened.push(vec!["--allow-degraded", "host-root"]);
    }
    for flags in loosened {
        let (seen, _) = Place::new(Scene::new(), &flags).record();
        assert_eq!(seen.status, 0, "{seen:#?}");
        assert!(judge(&reference, Some(&failure), &seen).is_err(), "{flags:?} passed for the default");
    }
}

/// The same for what a cgroup holds, which is read from outside.
#[test]
fn a_run_with_other_limits_fails() {
    if !tracing_works() || !support::has_cgroups("other limits") {
        return;
    }
    let limits = |memory, pids| [["--memory", memory], ["--pids", pids], ["--cpus", "0.5"]].concat();
    let run = |memory, pids| {
        let place = Place::limited(&limits(memory, pids))?;
        let (seen, _) = place.record();
        assert_eq!(seen.status, 0, "{seen:#?}");
        Ok::<_, String>((place.reference(&seen), seen))
    };
    let (reference, same) = match run("64M", "8") {
        Ok(run) => run,
        Err(why) => return support::not_reachable("other limits", &why),
    };
    let failure = injection(Fault::FalseSuccess);
    assert_eq!(judge(&reference, Some(&failure), &same), Ok(Ended::Ran), "control: the same limits pass");
    for (memory, pids) in [("65M", "8"), ("64M", "9")] {
        let (_, other) = run(memory, pids).unwrap();
        assert!(judge(&reference, Some(&failure), &other).is_err(), "{memory}, {pids}: {other:#?}");
    }
    let held = same.stdout.lines().find(|line| line.starts_with("held by ") && line.contains(" 67108864"));
    let lifted = Seen { stdout: same.stdout.replace(held.expect("the limit of memory"), ""), ..same.clone() };
    assert!(judge(&reference, Some(&failure), &lifted).is_err(), "{lifted:#?}");
}

#[test]
fn a_refusal_that_leaves_anything_out_fails() {
    if !tracing_works() {
        return;
    }
    let (_, reference) = plain();
    let failure = injection(Fault::Errno(libc::EPERM));
    let error = json!({ "code": "step", "message": "cannot do it", "errno": "EPERM", "step": "do it" });
    let refusal = Seen {
        status: 125,
        stdout: String::new(),
        stderr: "ringfence: cannot do it (EPERM)\n".to_owned(),
        report: Some(json!({ "error": error })),
        time: Duration::from_millis(20),
        survivors: Vec::new(),
        left: Vec::new(),
    };
    let verdict = |change: &dyn Fn(&mut Seen)| {
        let mut seen = refusal.clone();
        change(&mut seen);
        judge(&reference, Some(&failure), &seen)
    };
    assert_eq!(verdict(&|_| ()), Ok(Ended::Refused), "control: as it is, it passes");
    let changes: [&dyn Fn(&mut Seen); 11] = [
        &|seen| seen.status = 0,
        &|seen| seen.status = 126,
        &|seen| seen.status = 101,
        &|seen| seen.stderr.clear(),
        &|seen| seen.stderr = "ringfence: cannot do it\n".to_owned(),
        &|seen| seen.report = None,
        &|seen| seen.report = Some(json!({ "error": null })),
        &|seen| seen.report.as_mut().unwrap()["error"]["step"] = json!(null),
        &|seen| seen.time = Duration::from_secs(6),
        &|seen| seen.survivors = vec![Role::Init],
        &|seen| seen.left = vec!["/somewhere/.report.json.7".to_owned()],
    ];
    for (index, change) in changes.iter().enumerate() {
        assert!(verdict(change).is_err(), "change {index} passed");
    }
}
