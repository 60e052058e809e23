//! A judge's view: programs that run for known times and sizes around their limits, two at a time, one by `run` and
//! one by `batch`. Every verdict must be right, on a loaded machine too, so no margin decides about a time:
//!
//! - who sleeps or computes as long as the limit, or longer, is over it: by the program's own clock, which begins after
//!   the exec and ends before the end;
//! - who ends below a limit of time says by its own clock that it did; who is judged late all the same was alive that
//!   long by this test's clock, from the making of its process to its answer. The machine held it up;
//! - who uses less processor time than its limit by 30 ms or more is below it, with all that its start costs;
//! - sizes are exact, but for memory: 16 MiB on either side are more than what a program needs beside its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Map, Value, json};
use support::{Run, Scene, has_cgroups, probe};

use crate::wire::Client;

const WALL: Duration = Duration::from_millis(600);
const GRACE: Duration = Duration::from_millis(100);
const CPU: Duration = Duration::from_millis(300);
/// More than a program uses before and after what it measures: up to 4 ms were seen. The machine's load adds nothing.
const CPU_OF_ITS_START: Duration = Duration::from_millis(30);
const MEMORY: u64 = 64 << 20;
const PRINTED: u64 = 64 << 10;
const FILE: u64 = 1 << 20;

/// What is known of a program.
#[derive(Clone, Copy, Debug)]
enum Known {
    /// It sleeps so long; at the deadline it takes so long to end.
    Wall {
        sleeps: Duration,
        ends_late: Duration,
    },
    Cpu {
        burns: Duration,
    },
    Memory {
        eats: u64,
    },
    Output {
        prints: u64,
    },
    File {
        writes: u64,
    },
    Exits(u8),
    Dies(i32),
}

#[derive(Debug)]
struct Case {
    known: Known,
    /// By the name of the flag.
    limits: Vec<(&'static str, String)>,
    words: Vec<String>,
}

impl Case {
    fn new(known: Known, limits: &[(&'static str, String)], words: &[&str]) -> Self {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Self { known, limits: limits.to_vec(), words }
    }
}

/// What was answered.
struct Verdict {
    /// Of `run`; a batch has none.
    status: Option<i32>,
    stdout: String,
    report: Value,
    /// From the boot to the answer.
    answered: Duration,
}

fn millis(time: Duration) -> String {
    format!("{}ms", time.as_millis())
}

/// Parts of a limit from half of it to one and a half, all different.
fn parts(whole: Duration, count: u32) -> impl Iterator<Item = Duration> {
    (0..count).map(move |number| whole / 2 + whole * number / (count - 1))
}

fn times(cases: &mut Vec<Case>, with_cgroups: bool) {
    for (number, sleeps) in parts(WALL, 60).enumerate() {
        let manner = ["plain", "catch", "ignore"][number % 3];
        let ends_late = if manner == "ignore" { GRACE } else { Duration::ZERO };
        let limits = [("timeout", millis(WALL)), ("grace", millis(GRACE))];
        let words = ["judged", "sleep", &sleeps.as_micros().to_string(), manner];
        cases.push(Case::new(Known::Wall { sleeps, ends_late }, &limits, &words));
    }
    for burns in parts(CPU, 24).filter(|_| with_cgroups) {
        let limits = [("cpu-time", millis(CPU))];
        let words = ["judged", "burn", &burns.as_micros().to_string()];
        cases.push(Case::new(Known::Cpu { burns }, &limits, &words));
    }
}

fn sizes(cases: &mut Vec<Case>, with_cgroups: bool) {
    for eats in (1..=16).map(|number| MEMORY / 8 * number).filter(|_| with_cgroups) {
        if eats.abs_diff(MEMORY) >= 16 << 20 {
            let limits = [("memory", MEMORY.to_string())];
            cases.push(Case::new(Known::Memory { eats }, &limits, &["eat-heap", &eats.to_string()]));
        }
    }
    for number in 0..30 {
        // Around the limit to the byte, and far from it; on one stream or on both.
        let prints =
            if number < 11 { PRINTED - 5 + number } else { PRINTED / 2 + PRINTED * (number - 11) / 18 };
        let other = [0, prints / 3, prints][number as usize % 3];
        let words = ["judged", "print", &(prints - other).to_string(), &other.to_string()];
        cases.push(Case::new(Known::Output { prints }, &[("output-limit", PRINTED.to_string())], &words));
    }
    for number in 0..20 {
        let writes = if number < 11 { FILE - 5 + number } else { FILE / 2 + FILE * (number - 11) / 8 };
        let words = ["judged", "write", "/tmp/file", &writes.to_string()];
        cases.push(Case::new(Known::File { writes }, &[("file-size", FILE.to_string())], &words));
    }
}

fn endings(cases: &mut Vec<Case>) {
    let codes = [
        0, 1, 2, 3, 4, 7, 10, 42, 64, 77, 99, 100, 124, 125, 126, 127, 128, 129, 130, 137, 139, 143, 152,
        153, 159,
    ];
    for code in codes.into_iter().chain([200, 255]) {
        cases.push(Case::new(Known::Exits(code), &[], &["judged", "exit", &code.to_string()]));
    }
    let signals = (1..=15).chain([24, 25, 26, 27, 29, 30, 31, 34, 50, 64]).chain([16]);
    for signal in signals {
        cases.push(Case::new(Known::Dies(signal), &[], &["judged", "signal", &signal.to_string()]));
    }
}

fn by_run(scene: &Scene, case: &Case) -> Verdict {
    let flags = case.limits.iter().map(|(flag, value)| format!("--{flag}={value}"));
    let outcome = Run::new(scene).flags(flags).probe(&case.words);
    let report = outcome.report.unwrap_or_default();
    Verdict { status: Some(outcome.status), stdout: outcome.stdout, report, answered: since_boot() }
}

fn by_batch(client: &mut Client, number: usize, case: &Case) -> Verdict {
    let key = |flag: &str| if flag == "output-limit" { "output".to_owned() } else { flag.replace('-', "_") };
    let value = |text: &str| text.parse::<u64>().map_or_else(|_| text.into(), Value::from);
    let limits: Map<_, _> = case.limits.iter().map(|(flag, text)| (key(flag), value(text))).collect();
    let mut command = vec![probe().display().to_string()];
    command.extend_from_slice(&case.words);
    let answer = client.run(&json!({"id": number, "command": command, "limits": limits}));
    let answered = since_boot();
    let stdout = answer["stdout"].as_str().unwrap_or_default().to_owned();
    Verdict { status: None, stdout, report: answer["report"].clone(), answered }
}

fn since_boot() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: room for one time.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut now) };
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}

impl std::fmt::Debug for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stdout = &self.stdout[..self.stdout.len().min(60)];
        let Self { status, report, .. } = self;
        write!(f, "{status:?} {} {} {}; {stdout:?}", report["exit"], report["error"], report["usage"])
    }
}

impl Verdict {
    fn reason(&self) -> &str {
        self.report["exit"]["reason"].as_str().unwrap_or("no report")
    }

    fn usage(&self, field: &str) -> u64 {
        self.report["usage"][field].as_u64().unwrap_or(u64::MAX)
    }

    /// A number that the program said.
    fn said(&self, word: &str) -> Option<u64> {
        self.stdout.lines().find_map(|line| line.strip_prefix(word)?.trim().parse().ok())
    }

    fn lived(&self) -> Duration {
        // SAFETY: no pointers.
        let second = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).unwrap_or(100);
        let started = self.said("started").unwrap_or(0);
        self.answered.saturating_sub(Duration::from_millis(started * 1000 / second))
    }

    /// Reason, code, signal, exceeded limits and status are these, and no others.
    fn is(&self, reason: &str, code: Option<u8>, signal: Option<i32>, exceeded: &[&str]) -> bool {
        let exit = &self.report["exit"];
        let names: Vec<_> =
            exit["exceeded"].as_array().into_iter().flatten().map(|row| &row["limit"]).collect();
        let status = match reason {
            "exited" => code.map(i32::from),
            "timeout" => Some(124),
            "cpu-time" => Some(152),
            "output" => Some(153),
            "memory" => Some(137),
            _ => signal.map(|signal| 128 + signal),
        };
        // How a limit's end looks to the program depends on what it was doing.
        let of_program =
            !exceeded.is_empty() || (exit["code"] == json!(code) && exit["signal"] == json!(signal));
        let rows_are_over = exit["exceeded"].as_array().into_iter().flatten().all(|row| {
            row["used"].as_u64().zip(row["allowed"].as_u64()).is_some_and(|(used, allowed)| used >= allowed)
        });
        self.reason() == reason
            && of_program
            && names == exceeded
            && rows_are_over
            && self.status.is_none_or(|there| Some(there) == status)
    }
}

/// How a verdict was found to be right.
enum Right {
    Plainly,
    /// The machine held the program up, beyond its limit.
    HeldUp,
}

fn judge(case: &Case, verdict: &Verdict) -> Option<Right> {
    let ends_well = verdict.is("exited", Some(0), None, &[]);
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let exact = |fits: bool, over: bool| if fits { ends_well } else { over };
    let right = match case.known {
        Known::Wall { sleeps, ends_late } => {
            let own = verdict.said("done");
            let late = verdict.is("timeout", None, None, &["timeout"]);
            if late && sleeps < WALL {
                return (verdict.lived() >= WALL && verdict.usage("wall_us") >= micros(WALL))
                    .then_some(Right::HeldUp);
            }
            // Whoever ignores the polite signal may still end by itself before the kill.
            let least = micros(sleeps.min(WALL + ends_late));
            exact(sleeps < WALL, late && verdict.usage("wall_us") >= least)
                && (late || own.is_some_and(|own| own <= verdict.usage("wall_us") && own < micros(WALL)))
        }
        Known::Cpu { burns } => {
            let used_up = verdict.is("cpu-time", None, None, &["cpu-time"]);
            if used_up && burns < CPU {
                return (burns + CPU_OF_ITS_START > CPU).then_some(Right::HeldUp);
            }
            let own = verdict.said("done").is_some_and(|own| own <= verdict.usage("cpu_us"));
            exact(burns < CPU, used_up) && (used_up || own)
        }
        Known::Memory { eats } => {
            let full = verdict.is("memory", None, None, &["memory"])
                && verdict.report["usage"]["oom_killed"] == true;
            exact(eats < MEMORY, full) && (eats > MEMORY || verdict.usage("peak_memory_bytes") >= eats)
        }
        Known::Output { prints } => {
            let counted = verdict.usage("stdout_bytes").saturating_add(verdict.usage("stderr_bytes"));
            let over = verdict.is("output", None, None, &["output-limit"]) && counted >= PRINTED;
            exact(prints <= PRINTED, over) && (prints > PRINTED || counted == prints)
        }
        // One process may not write further: the signal is its own, and the tree is not ended for it.
        Known::File { writes } => {
            exact(writes <= FILE, verdict.is("signalled", None, Some(libc::SIGXFSZ), &["file-size"]))
        }
        Known::Exits(code) => verdict.is("exited", Some(code), None, &[]),
        Known::Dies(signal) => verdict.is("signalled", None, Some(signal), &[]),
    };
    right.then_some(Right::Plainly)
}

/// What was reported beside what is known, in microseconds (of memory: KiB).
fn difference(case: &Case, verdict: &Verdict) -> Option<(&'static str, i64)> {
    let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    let reported = |field: &str| i64::try_from(verdict.usage(field)).unwrap_or(i64::MAX);
    let own = verdict.said("done").and_then(|own| i64::try_from(own).ok());
    Some(match case.known {
        Known::Wall { .. } if verdict.reason() == "exited" => ("wall, in time", reported("wall_us") - own?),
        Known::Wall { sleeps, ends_late } => {
            ("wall, over its limit", reported("wall_us") - micros(sleeps.min(WALL + ends_late).max(WALL)))
        }
        Known::Cpu { .. } if verdict.reason() == "exited" => {
            ("processor, in time", reported("cpu_us") - own?)
        }
        Known::Cpu { .. } => ("processor, over its limit", reported("cpu_us") - micros(CPU)),
        Known::Memory { eats } if verdict.reason() == "exited" => {
            ("peak memory, KiB", (reported("peak_memory_bytes") - i64::try_from(eats).ok()?) >> 10)
        }
        _ => return None,
    })
}

/// Works off what is there, whoever comes first.
fn work(
    cases: &[Case],
    next: &AtomicUsize,
    mut run: impl FnMut(usize, &Case) -> Verdict,
) -> Vec<(usize, Verdict)> {
    let mut verdicts = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::SeqCst);
        let Some(case) = cases.get(number) else { return verdicts };
        verdicts.push((number, run(number, case)));
    }
}

#[test]
fn every_verdict_on_programs_around_their_limits_is_right() {
    let with_cgroups = has_cgroups("memory and processor time of judged programs");
    let mut cases = Vec::new();
    times(&mut cases, with_cgroups);
    sizes(&mut cases, with_cgroups);
    endings(&mut cases);
    assert_eq!(cases.len(), if with_cgroups { 200 } else { 163 });
    let next = AtomicUsize::new(0);
    let verdicts: Vec<_> = std::thread::scope(|threads| {
        let runs = threads.spawn(|| {
            let scene = Scene::new();
            work(&cases, &next, |_, case| by_run(&scene, case))
        });
        let batch = threads.spawn(|| {
            let scene = Scene::new();
            let mut client = Client::new(&scene, &["--jobs", "1", "--ro", &probe().display().to_string()]);
            let verdicts = work(&cases, &next, |number, case| by_batch(&mut client, number, case));
            client.end();
            verdicts
        });
        [runs, batch].into_iter().flat_map(|worker| worker.join().expect("it judged")).collect()
    });
    let judged: Vec<_> = verdicts
        .iter()
        .map(|(number, verdict)| (&cases[*number], verdict, judge(&cases[*number], verdict)))
        .collect();
    let wrong: Vec<_> = judged
        .iter()
        .filter(|(.., right)| right.is_none())
        .map(|(case, verdict, _)| (case, verdict))
        .collect();
    let held_up = judged.iter().filter(|(.., right)| matches!(right, Some(Right::HeldUp))).count();
    println!("judge: {} programs, {} wrong, {held_up} held up by the machine", judged.len(), wrong.len());
    spread(&judged.iter().filter_map(|(case, verdict, _)| difference(case, verdict)).collect::<Vec<_>>());
    let wrong: Vec<_> =
        wrong.iter().map(|(case, verdict)| format!("{:?}: {verdict:?}", case.known)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(judged.len(), cases.len());
    // A machine holds some up; a supervisor that ends or keeps programs too long would do it to all.
    let short = judged
        .iter()
        .filter(|(case, ..)| matches!(case.known, Known::Wall { sleeps, .. } if sleeps < WALL * 3 / 4));
    let (ended, all) = short.fold((0, 0), |(ended, all), (_, verdict, _)| {
        (ended + usize::from(verdict.reason() == "exited"), all + 1)
    });
    assert!(
        ended * 4 >= all * 3,
        "{ended} of {all} programs that sleep far less than their limit ended in time"
    );
}

/// Control: verdicts that are not right are seen, of every kind.
#[test]
fn a_wrong_verdict_is_seen() {
    let mut cases = Vec::new();
    times(&mut cases, true);
    sizes(&mut cases, true);
    endings(&mut cases);
    let verdict = |reason: &str, code: Option<u8>, signal: Option<i32>, exceeded: &[&str], said: &str| {
        let rows: Vec<_> =
            exceeded.iter().map(|limit| json!({"limit": limit, "allowed": 1, "used": 2})).collect();
        let exit = json!({"reason": reason, "code": code, "signal": signal, "exceeded": rows});
        // Nothing that a program did is beyond these.
        let usage = json!({"wall_us": 900_000, "cpu_us": 500_000, "peak_memory_bytes": MEMORY * 3,
            "stdout_bytes": PRINTED * 2, "stderr_bytes": 0, "oom_killed": true});
        let report = json!({"exit": exit, "usage": usage});
        Verdict { status: None, stdout: said.to_owned(), report, answered: Duration::from_millis(500) }
    };
    for case in &cases {
        let all = [
            ("timeout", verdict("timeout", None, Some(15), &["timeout"], "started 0\n")),
            ("cpu-time", verdict("cpu-time", None, Some(9), &["cpu-time"], "")),
            ("memory", verdict("memory", None, Some(9), &["memory"], "")),
            ("output", verdict("output", None, Some(9), &["output-limit"], "")),
            ("file-size", verdict("signalled", None, Some(libc::SIGXFSZ), &["file-size"], "")),
            ("its signal", verdict("signalled", None, Some(libc::SIGXFSZ), &[], "")),
            ("exited", verdict("exited", Some(0), None, &[], "done 700000")),
            ("other code", verdict("exited", Some(250), None, &[], "done 1")),
            ("other signal", verdict("signalled", None, Some(40), &[], "")),
            ("killed", verdict("killed", None, Some(9), &[], "")),
        ];
        // Each case has its right verdict among these, or none of them.
        let right: Vec<_> = all.iter().filter(|(_, verdict)| judge(case, verdict).is_some()).collect();
        let names: Vec<_> = right.iter().map(|(name, _)| *name).collect();
        let over: &[&str] = match case.known {
            Known::Wall { sleeps, .. } if sleeps >= WALL => &["timeout"],
            Known::Cpu { burns } if burns + CPU_OF_ITS_START > CPU => &["cpu-time"],
            Known::Memory { eats } if eats > MEMORY => &["memory"],
            Known::Output { prints } if prints > PRINTED => &["output"],
            Known::File { writes } if writes > FILE => &["file-size"],
            Known::Exits(0) => &["exited"],
            Known::Dies(libc::SIGXFSZ) => &["its signal"],
            // Ends in time, but what these say of themselves was beyond it, or is not what it printed.
            Known::Wall { .. }
            | Known::Cpu { .. }
            | Known::Output { .. }
            | Known::Exits(_)
            | Known::Dies(_) => &[],
            Known::Memory { .. } | Known::File { .. } => &["exited"],
        };
        assert_eq!(names, over, "{case:?}");
    }
}

fn spread(differences: &[(&str, i64)]) {
    let mut names: Vec<_> = differences.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let mut of: Vec<_> =
            differences.iter().filter(|(there, _)| *there == name).map(|(_, value)| *value).collect();
        of.sort_unstable();
        let at = |part: usize| of[(of.len() - 1) * part / 100];
        println!(
            "  reported - known, {name} ({}): min {} median {} p95 {} max {}",
            of.len(),
            at(0),
            at(50),
            at(95),
            at(100)
        );
    }
}
