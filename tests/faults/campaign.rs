//! Many runs, each with one failure, on every processor.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::calls;
use crate::inject::{self, Fault, Injection, Recorder};
use crate::place::Place;
use crate::tracer::{self, Role};
use crate::verdict::{self, Ended, Reference, Seen};

/// How often a run is repeated in which the call did not come at its place: one poll more or less is no matter.
const TRIES: usize = 3;

/// Can programs be traced here? Says so when not: under an emulator of single programs, or behind a filter.
pub(crate) fn tracing_works() -> bool {
    let works = tracer::works();
    if let Err(e) = &works {
        support::not_reachable("injected failures", &format!("programs cannot be traced: {e}"));
    }
    works.is_ok()
}

/// What came of the runs.
#[derive(Default)]
struct Tally {
    ended: BTreeMap<Role, BTreeMap<String, usize>>,
    failures: Vec<String>,
    /// Refusals that do not name the error that was injected.
    unnamed: usize,
    /// A line for each run.
    log: Vec<String>,
}

#[test]
fn every_failure_of_the_start_is_closed() {
    if !tracing_works() {
        return;
    }
    let place = Place::plain();
    let (seen, recorder) = place.record();
    assert_eq!(seen.status, 0, "without a failure it runs: {seen:#?}");
    let calls = &recorder.calls;
    for (role, fewest) in [(Role::Supervisor, 100), (Role::Child, 5), (Role::Init, 100), (Role::Target, 20)] {
        let count = calls.get(&role).map_or(0, Vec::len);
        println!("{role:?}: {count} calls");
        assert!(count >= fewest, "the calls of {role:?} are not seen");
    }
    for (reason, count) in &recorder.left_alone {
        println!("default: {count} calls are left alone: {reason}");
    }
    let injections = if everything() { inject::all(calls) } else { inject::sample(calls) };
    campaign("default", &place, &place.reference(&seen), &injections);
}

/// The same for the steps that only some policies have.
#[test]
fn every_failure_of_a_furnished_start_is_closed() {
    if !tracing_works() {
        return;
    }
    let (_, known) = Place::plain().record();
    let furnished = Place::furnished();
    let (seen, recorder) = furnished.record();
    assert_eq!(seen.status, 0, "without a failure it runs: {seen:#?}");
    let calls = new(&recorder, &known);
    let injections =
        if everything() { inject::all(&recorder.calls) } else { inject::sample(&recorder.calls) };
    let is_new = |injection: &Injection| {
        !injection.every && calls.contains(&(injection.role, injection.call.shown.clone()))
    };
    let injections: Vec<_> = injections.into_iter().filter(is_new).collect();
    campaign("furnished", &furnished, &furnished.reference(&seen), &injections);
}

/// The same for the terminal of its own.
#[test]
fn every_failure_of_a_start_with_a_terminal_is_closed() {
    if !tracing_works() {
        return;
    }
    let (_, known) = Place::plain().record();
    let place = Place::with_terminal();
    let (seen, recorder) = place.record();
    assert_eq!(seen.status, 0, "without a failure it runs: {seen:#?}");
    assert!(seen.stdout.contains("leads its session false and group true"), "it has a terminal: {seen:#?}");
    // Others are new for the number of a file alone.
    let own = ["ioctl", "setpgid", "getpgid", "sendmsg", "recvmsg", "/dev/pts/ptmx"];
    let mut calls = new(&recorder, &known);
    calls.retain(|(_, shown)| own.iter().any(|own| shown.contains(own)));
    // The loopback interface is set up by one, too.
    calls.insert((Role::Init, "ioctl".to_owned()));
    for role in [Role::Supervisor, Role::Init, Role::Target] {
        assert!(calls.iter().any(|(of, _)| *of == role), "none of {role:?}: {calls:?}");
    }
    let mut injections =
        if everything() { inject::all(&recorder.calls) } else { inject::sample(&recorder.calls) };
    injections.retain(|injection| {
        !injection.every && calls.contains(&(injection.role, injection.call.shown.clone()))
    });
    campaign("terminal", &place, &place.reference(&seen), &injections);
}

/// The same where the supervisor is asked: the listener of its filter is made and handed out.
#[test]
fn every_failure_of_a_start_that_explains_is_closed() {
    if !tracing_works() {
        return;
    }
    let (_, known) = Place::plain().record();
    let place = Place::explained();
    let (seen, recorder) = place.record();
    assert_eq!(seen.status, 0, "without a failure it runs: {seen:#?}");
    let own = [
        "ioctl",
        "sendmsg",
        "recvmsg",
        "clone",
        "eventfd2",
        "socketpair",
        "fcntl",
        "call 317",
        "ppoll",
        "write",
    ];
    let inside = |role: &Role| *role == Role::Target || *role == Role::Init;
    let mut calls = new(&recorder, &known);
    calls.retain(|(role, shown)| inside(role) || own.iter().any(|own| shown.starts_with(own)));
    for (role, shown) in &calls {
        println!("explain: {role:?}: {shown}");
    }
    let mut injections =
        if everything() { inject::all(&recorder.calls) } else { inject::sample(&recorder.calls) };
    // Of the thread that answers, what it does until the program runs: hears of the exec, answers, looks.
    let answers = recorder.calls[&Role::Holder].iter().enumerate();
    let last = answers.filter(|(_, call)| call.shown == "ioctl").map(|(index, _)| index).nth(2);
    injections.retain(|injection| {
        let early = injection.role != Role::Holder || last.is_some_and(|last| injection.index <= last);
        let ours = calls.contains(&(injection.role, injection.call.shown.clone()));
        let shown = &injection.call.shown;
        let of_target = injection.role == Role::Target && own.iter().any(|own| shown.starts_with(own));
        !injection.every && early && (ours || of_target)
    });
    campaign("explain", &place, &place.reference(&seen), &injections);
}

/// The same where root can make no user namespace: every call of PID 1 and of the program's process, which have
/// capabilities of the host's until they are dropped.
#[test]
fn every_failure_of_a_start_without_user_namespaces_is_closed() {
    if !tracing_works() {
        return;
    }
    if !support::is_root() {
        return support::not_reachable("the rung of root", "this user is not root");
    }
    let place = Place::without_user_namespaces();
    let (seen, recorder) = place.record();
    assert_eq!(seen.status, 0, "without a failure it runs: {seen:#?}");
    assert_eq!(seen.report.as_ref().map(|report| &report["rung"]), Some(&"root".into()), "{seen:#?}");
    let secure_bits = |call: &&inject::Recorded| call.number == libc::SYS_prctl;
    let child = recorder.calls.get(&Role::Child).into_iter().flatten();
    assert!(child.filter(secure_bits).count() >= 5, "the calls between clone and exec are seen");
    let mut injections =
        if everything() { inject::all(&recorder.calls) } else { inject::sample(&recorder.calls) };
    injections.retain(|injection| injection.role != Role::Supervisor && injection.role != Role::Holder);
    // What acts on the host where it is not held, or gives privileges up; the rest is as on the full rung.
    let acts = [
        "mount_setattr",
        "fsmount",
        "move_mount",
        "pivot_root",
        "mount",
        "umount2",
        "open_tree",
        "setgroups",
        "setresuid",
        "setresgid",
        "prctl",
        "capset",
        "capget",
        "sethostname",
        "setdomainname",
        "ioctl",
        "unshare",
        "statx",
    ];
    injections.retain(|injection| {
        let name = calls::name(injection.call.number);
        everything() || !injection.every && (injection.role == Role::Child || acts.contains(&name.as_str()))
    });
    campaign("root", &place, &place.reference(&seen), &injections);
}

/// The same for the looks at version managers, environments and what lies around programs.
#[test]
fn every_failure_of_a_start_with_toolchains_is_closed() {
    if !tracing_works() {
        return;
    }
    let (_, known) = Place::plain().record();
    let place = Place::with_toolchains();
    let (seen, recorder) = place.record();
    assert_eq!(seen.status, 0, "without a failure it runs: {seen:#?}");
    assert!(seen.stdout.contains("versions/3.9.1"), "the toolchain is shown: {seen:#?}");
    let calls = new(&recorder, &known);
    // Every look gets its errors and its lie: this is where a wrong answer would show more.
    let mut injections = inject::all(&recorder.calls);
    injections.retain(|injection| {
        injection.role == Role::Supervisor
            && !injection.every
            && calls.contains(&(injection.role, injection.call.shown.clone()))
    });
    if !everything() {
        let sample: Vec<_> = inject::sample(&recorder.calls).iter().map(ToString::to_string).collect();
        injections.retain(|injection| {
            injection.fault == Fault::FalseSuccess || sample.contains(&injection.to_string())
        });
    }
    campaign("toolchains", &place, &place.reference(&seen), &injections);
}

/// The same for what makes, fills, reads back and removes cgroups.
#[test]
fn every_failure_of_a_start_with_limits_is_closed() {
    const FLAGS: [&str; 10] =
        ["--memory", "64M", "--pids", "8", "--cpus", "0.5", "--cpuset", "0", "--cpu-time", "10s"];
    if !tracing_works() || !support::has_cgroups("failures of cgroups") {
        return;
    }
    let (_, known) = Place::plain().record();
    let place = match Place::limited(&FLAGS) {
        Ok(place) => place,
        Err(why) => return support::not_reachable("failures of cgroups", &why),
    };
    let (seen, recorder) = place.record();
    assert_eq!(seen.status, 0, "without a failure it runs: {seen:#?}");
    assert!(seen.left.is_empty(), "without a failure it leaves nothing: {seen:#?}");
    let points = of_cgroups(&recorder, &known);
    for (role, count) in points.iter().fold(BTreeMap::<Role, usize>::new(), |mut counts, (role, _)| {
        *counts.entry(*role).or_default() += 1;
        counts
    }) {
        println!("limits: {role:?}: {count} calls");
    }
    let mut injections =
        if everything() { inject::all(&recorder.calls) } else { inject::sample(&recorder.calls) };
    let few = ["close", "fstat", "fcntl", "getdents64"];
    injections.retain(|injection| {
        points.contains(&(injection.role, injection.index))
            && (everything() || !few.contains(&calls::name(injection.call.number).as_str()))
    });
    campaign("limits", &place, &place.reference(&seen), &injections);
}

/// Role and index of the calls that a run makes for its cgroups: those that name one, and what follows on the file that
/// was opened; calls that a run without limits does not make as often; the start, and the word that PID 1 waits for.
fn of_cgroups(recorder: &Recorder, known: &Recorder) -> BTreeSet<(Role, usize)> {
    const FOLLOW: [&str; 8] =
        ["read", "write", "close", "fstat", "statx", "newfstatat", "fcntl", "getdents64"];
    let name = |call: &inject::Recorded| calls::name(call.number);
    let count = |of: &Recorder, role, number| {
        of.calls.get(&role).into_iter().flatten().filter(|call| call.number == number).count()
    };
    let mut found = BTreeSet::new();
    for (role, calls) in &recorder.calls {
        let mut follows = false;
        for (index, call) in calls.iter().enumerate() {
            let names = call.shown.contains(inject::CGROUPS) || call.shown.ends_with("/cgroup)");
            follows = names || follows && FOLLOW.contains(&name(call).as_str());
            let inside = *role != Role::Supervisor && *role != Role::Holder;
            let more = count(recorder, *role, call.number) > count(known, *role, call.number);
            let more = more && (inside || !calls::only_looks(call.number) && name(call) != "write");
            if follows || more || ["clone3", "eventfd2", "sendto"].contains(&name(call).as_str()) {
                found.insert((*role, index));
            }
        }
    }
    found
}

/// The calls that one recording has and another lacks.
fn new(recorder: &Recorder, known: &Recorder) -> BTreeSet<(Role, String)> {
    let each = |recorder: &Recorder| -> BTreeSet<_> {
        let calls = recorder
            .calls
            .iter()
            .flat_map(|(role, calls)| calls.iter().map(|call| (*role, call.shown.clone())));
        calls.collect()
    };
    each(recorder).difference(&each(known)).cloned().collect()
}

/// What must be refused stays refused, whatever fails in the process that would become the program.
#[test]
fn no_failure_lets_a_folder_in_as_a_stream() {
    if !tracing_works() {
        return;
    }
    let place = Place::with_folder_as_input();
    let (seen, recorder) = place.record();
    assert_eq!((seen.status, seen.stdout.as_str()), (125, ""), "{seen:#?}");
    let calls = recorder.calls.into_iter().filter(|(role, _)| *role == Role::Target).collect();
    let mut failures = Vec::new();
    for injection in inject::all(&calls) {
        let (seen, _) = place.inject(0, &injection).unwrap();
        if !seen.stdout.is_empty() || seen.status != 125 || !seen.survivors.is_empty() {
            failures.push(format!("{injection}: {seen:?}"));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

pub(crate) fn everything() -> bool {
    std::env::var_os("RINGFENCE_FAULTS").is_some_and(|which| which == "all")
}

pub(crate) fn campaign(name: &str, place: &Place, reference: &Reference, injections: &[Injection]) {
    let begun = Instant::now();
    let mut reasons = BTreeMap::<&str, usize>::new();
    for (_, reason) in injections.iter().filter_map(crate::allowed::after) {
        *reasons.entry(reason).or_default() += 1;
    }
    reasons.iter().for_each(|(reason, count)| println!("{name}: {count} may end otherwise: {reason}"));
    let tally = run_all(place, reference, injections);
    for (role, ended) in &tally.ended {
        println!("{name}: {role:?}: {ended:?}");
    }
    println!("{name}: {} messages name what an error led to instead of it", tally.unnamed);
    let (count, failed) = (injections.len(), tally.failures.len());
    println!("{name}: {count} injections, {failed} failures, {:.1} s", begun.elapsed().as_secs_f64());
    println!("{name}: {}", tally.line(injections));
    if let Some(path) = std::env::var_os("RINGFENCE_FAULTS_LOG") {
        let mut file = std::fs::File::options().create(true).append(true).open(path).unwrap();
        writeln!(file, "{}", tally.log.join("\n")).unwrap();
    }
    assert!(tally.failures.is_empty(), "{failed} of {count} failed:\n{}", tally.failures.join("\n"));
}

fn run_all(place: &Place, reference: &Reference, injections: &[Injection]) -> Tally {
    let next = AtomicUsize::new(0);
    let tally = Mutex::new(Tally::default());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let (next, tally) = (&next, &tally);
            scope.spawn(move || {
                while let Some(injection) = injections.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (seen, hit) = run_one(place, worker, injection);
                    let verdict = verdict::judge(reference, hit.then_some(injection), &seen);
                    tally.lock().unwrap().add(injection, &seen, hit, verdict);
                }
            });
        }
    });
    tally.into_inner().unwrap()
}

fn run_one(place: &Place, worker: usize, injection: &Injection) -> (Seen, bool) {
    let once = || place.inject(worker, injection).unwrap_or_else(|e| panic!("{injection}: {e}"));
    let mut run = once();
    for _ in 1..TRIES {
        if !run.1 {
            run = once();
        }
    }
    run
}

impl Tally {
    /// The figures that count.
    fn line(&self, injections: &[Injection]) -> String {
        let points: BTreeSet<_> =
            injections.iter().map(|i| (i.role, i.call.number, i.call.before, i.every)).collect();
        let ended = |name: &str| self.ended.values().filter_map(|ended| ended.get(name)).sum::<usize>();
        let failed = |words: &[&str]| {
            self.failures.iter().filter(|why| words.iter().any(|word| why.contains(word))).count()
        };
        format!(
            "{} points, {} runs, {} refused, {} ran with the full fingerprint, {} ended with their owner, {} ran with less, \
             {} leftovers, {} messages that do not name step and errno",
            points.len(),
            injections.len(),
            ended("refused"),
            ended("ran") + ended("cut"),
            ended("gone"),
            failed(&["another fingerprint"]),
            failed(&["left behind", "alive at its end"]),
            failed(&["does not name", "no message", "no error in the report"]),
        )
    }

    fn add(&mut self, injection: &Injection, seen: &Seen, hit: bool, verdict: Result<Ended, String>) {
        let said = seen.stderr.trim().replace('\n', " / ");
        if let (Ok(Ended::Refused), Fault::Errno(errno)) = (&verdict, injection.fault) {
            self.unnamed += usize::from(!seen.stderr.contains(calls::errno_name(errno)));
        }
        let name = match verdict {
            Ok(_) if !hit => "not reached".to_owned(),
            Ok(ended) => format!("{ended:?}").to_lowercase(),
            Err(why) => {
                self.failures.push(format!("{injection}: {why}; it said: {said}"));
                "failed".to_owned()
            }
        };
        let time = Duration::from_millis(seen.time.as_millis().try_into().unwrap_or(u64::MAX));
        self.log.push(format!("{name}: {injection}: status {} after {time:?}: {said}", seen.status));
        *self.ended.entry(injection.role).or_default().entry(name).or_default() += 1;
    }
}
