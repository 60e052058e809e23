//! The prober in its sandbox: started, heard, and started again without what ended it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::time::{Duration, Instant};

use ringfence_linux::told::{CALLS, Head, Kind, LONGEST_TEXT, Section};
use ringfence_linux::{Instead, prober};
use ringfence_policy::{Policy, Problem, Report};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::command::Plan;
use crate::{Command, Sandbox, Stdio};

/// Numbers of the prober's two files inside: the least, because every file of ours stands above what is passed, and the
/// caller's limit may be low.
const EXECUTABLE: i32 = 3;
const OUT: i32 = 4;

/// How long one prober may take, how much it may say, and how many are started.
const LONGEST: Duration = Duration::from_secs(30);
const MOST: usize = 256 << 20;
const ATTEMPTS: usize = 64;

/// Stands for the command where none is given: nothing has this name.
const NO_COMMAND: &str = "/.ringfence-inspect";

/// SIGSYS (signal(7)), the same on both architectures.
const SIGSYS: u64 = 31;

/// One record.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) kind: Kind,
    pub(super) head: Head,
    pub(super) text: Vec<u8>,
}

/// Everything that was said.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) records: Vec<Record>,
    /// Sections that were not looked at to the end, and why.
    pub(super) failed: Vec<(Section, String)>,
    /// Calls that end who makes them: found by making them.
    pub(super) deadly: BTreeSet<u32>,
    /// How many probers it took.
    pub(super) probers: usize,
}

impl Told {
    pub(super) fn of(&self, kind: Kind) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(move |record| record.kind == kind)
    }

    /// A file of /proc that was told.
    pub(super) fn file(&self, path: &str) -> Option<String> {
        let start = [path.as_bytes(), b"\0"].concat();
        let pieces = self.of(Kind::Text).filter_map(|record| record.text.strip_prefix(&start[..]));
        let text = pieces.collect::<Vec<_>>().concat();
        (!text.is_empty()).then(|| String::from_utf8_lossy(&text).into_owned())
    }
}

/// Probes a sandbox of exactly this policy, and of what a command brings with it; its plan, too.
pub(super) fn probe(policy: &Policy, words: &[OsString]) -> Result<(Told, Plan), Problem> {
    let (executable, file) = prober()?;
    let executable = File::from(executable);
    let mut told = Told::default();
    let mut left: BTreeMap<u32, Section> =
        Section::ALL.into_iter().map(|section| (section as u32, section)).collect();
    loop {
        told.probers += 1;
        let mut command = command(policy, words, &executable)?;
        command.instead(Instead { number: EXECUTABLE, file, arguments: arguments(&left, &told.deadly) });
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|e| failed("no pipe for the prober's answers", e.into()))?;
        command.pass_fd(OUT, writer);
        let plan = command.plan_with(None)?;
        let (records, report) = run(command, plan.clone(), File::from(reader))?;
        // What a run would be refused for.
        if let Some(problem) = report.error.clone().filter(|_| records.is_empty()) {
            return Err(problem);
        }
        let before = (left.len(), told.deadly.len());
        hear(&mut told, &mut left, records, &report);
        let stands_still = (left.len(), told.deadly.len()) == before;
        if stands_still || told.probers == ATTEMPTS {
            let more = std::mem::take(&mut left).into_values();
            told.failed.extend(more.map(|section| (section, "too much of it ends the prober".to_owned())));
        }
        if left.is_empty() {
            return Ok((told, plan));
        }
    }
}

fn command(policy: &Policy, words: &[OsString], executable: &File) -> Result<Command, Problem> {
    let none = [OsString::from(NO_COMMAND)];
    let [program, rest @ ..] = (if words.is_empty() { &none[..] } else { words }) else {
        return Err(Problem::request("inspect", "no command is left".to_owned()));
    };
    // How long the program may run says nothing of what it reaches, and would cut the answer off.
    let mut policy = policy.clone();
    policy.limits.timeout = None;
    let mut command = Sandbox::new(policy).command(program);
    command.args(rest).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let copy = executable
        .try_clone()
        .map_err(|e| Problem::request("inspect", format!("the prober's file cannot be passed: {e}")))?;
    command.pass_fd(EXECUTABLE, copy);
    Ok(command)
}

/// The words that the prober is started with.
fn arguments(left: &BTreeMap<u32, Section>, deadly: &BTreeSet<u32>) -> Vec<OsString> {
    let sections = left.keys().fold(0_u32, |set, section| set | 1 << section);
    let digit = |place: usize| {
        let bits = (0..4).filter(|bit| deadly.contains(&((place * 4 + bit) as u32)));
        char::from_digit(bits.fold(0, |digit, bit| digit | 1 << bit), 16).unwrap_or('0')
    };
    let avoid: String = (0..CALLS / 4).map(digit).collect();
    let words = ["inspect".to_owned(), OUT.to_string(), EXECUTABLE.to_string(), sections.to_string(), avoid];
    words.map(OsString::from).into()
}

fn failed(what: &str, e: std::io::Error) -> Problem {
    Problem::request("inspect", format!("{what}: {e}"))
}

/// Runs one prober, and reads what it says until nobody is left who could say more.
fn run(mut command: Command, plan: Plan, reader: File) -> Result<(Vec<Record>, Report), Problem> {
    let until = Instant::now() + LONGEST;
    let mut child = command.spawn_from(|_| Ok(plan)).map_err(|failure| failure.problem)?;
    let heard = listen(reader, until);
    // Whoever said everything ends by itself; the report must say how.
    while heard.is_ok() && Instant::now() < until {
        if let Some(report) = child.try_wait() {
            return Ok((records(&heard?), report));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill();
    let report = child.wait();
    Ok((records(&heard?), report))
}

/// Everything up to the end, or to what is too long or too much.
fn listen(mut reader: File, until: Instant) -> Result<Vec<u8>, Problem> {
    let (mut bytes, mut piece) = (Vec::new(), vec![0; 1 << 16]);
    while bytes.len() < MOST {
        let left = until.saturating_duration_since(Instant::now());
        let mut files = [PollFd::new(&reader, PollFlags::IN)];
        let wait = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut files, Some(&wait)) {
            Ok(0) => break,
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(e) => return Err(failed("the prober cannot be waited for", e.into())),
        }
        match reader.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => bytes.extend_from_slice(&piece[..length]),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(failed("the prober cannot be heard", e)),
        }
    }
    Ok(bytes)
}

/// The records in bytes that anybody may have written: what is none, and all behind it, is left out.
fn records(mut bytes: &[u8]) -> Vec<Record> {
    let mut records = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<{ Head::SIZE }>() {
        let head = Head::from_bytes(head);
        let length = head.length as usize;
        let kind = Kind::ALL.into_iter().find(|kind| *kind as u32 == head.kind);
        let (Some(kind), Some(text)) = (kind, rest.get(..length)) else { break };
        if length > LONGEST_TEXT {
            break;
        }
        records.push(Record { kind, head, text: text.to_vec() });
        bytes = &rest[length..];
    }
    records
}

/// Takes the records of sections that are whole; of the others finds what ended them, so that the next prober leaves that
/// out.
fn hear(told: &mut Told, left: &mut BTreeMap<u32, Section>, records: Vec<Record>, report: &Report) {
    let mut current: Option<(u32, Vec<Record>)> = None;
    let mut trying = BTreeMap::new();
    let mut done = false;
    for record in records {
        let [first, second, _] = record.head.numbers;
        match record.kind {
            Kind::Begin => {
                current = left.contains_key(&(first as u32)).then(|| (first as u32, Vec::new()));
                trying.remove(&1);
            }
            Kind::Trying => drop(trying.insert(second, first as u32)),
            Kind::End => {
                if let Some((section, said)) =
                    current.take().filter(|(section, _)| u64::from(*section) == first)
                {
                    told.records.extend(said);
                    left.remove(&section);
                }
            }
            Kind::Died => {
                let Some((section, said)) = current.take() else { continue };
                let call = trying.get(&1).copied().filter(|_| second & 0x7f == SIGSYS);
                give_up(
                    told,
                    left,
                    section,
                    said,
                    call,
                    &format!("it was ended by signal {}", second & 0x7f),
                );
            }
            Kind::Done => done = true,
            _ => {
                if let Some((_, said)) = &mut current {
                    said.push(record);
                }
            }
        }
    }
    if done {
        return;
    }
    let signal = report.exit.signal.map_or(0, i32::unsigned_abs);
    let call = trying.get(&0).copied().filter(|_| u64::from(signal) == SIGSYS);
    let why = format!("the prober ended early: {}", how(report));
    match current {
        Some((section, said)) => give_up(told, left, section, said, call, &why),
        None => {
            let all = std::mem::take(left).into_values().map(|section| (section, why.clone()));
            told.failed.extend(all);
        }
    }
}

/// A section that was not said to its end: once more without the call that ended it; else what was said is all.
fn give_up(
    told: &mut Told,
    left: &mut BTreeMap<u32, Section>,
    section: u32,
    said: Vec<Record>,
    call: Option<u32>,
    why: &str,
) {
    if call.is_some_and(|call| told.deadly.insert(call)) {
        return;
    }
    if let Some(section) = left.remove(&section) {
        told.records.extend(said);
        told.failed.push((section, why.to_owned()));
    }
}

fn how(report: &Report) -> String {
    match (&report.error, report.exit.signal, report.exit.code) {
        (Some(problem), ..) => problem.message.clone(),
        (None, Some(signal), _) => format!("signal {signal}"),
        (None, None, code) => format!("{:?}, status {}", report.exit.reason, code.unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(kind: u32, numbers: [u64; 3], text: &[u8]) -> Vec<u8> {
        let length = text.len() as u32;
        let head = Head { kind, length, numbers, ..Head::default() };
        [&head.to_bytes()[..], text].concat()
    }

    #[test]
    fn what_is_no_record_ends_the_reading() {
        let good = bytes(Kind::Variable as u32, [0; 3], b"HOME");
        assert_eq!(records(&[&good[..], &good].concat()).len(), 2);
        for bad in [bytes(0, [0; 3], b""), bytes(99, [0; 3], b"x"), vec![0; 39]] {
            assert_eq!(records(&[&good[..], &bad, &good].concat()).len(), 1, "{bad:?}");
        }
        let mut cut = good.clone();
        cut.pop();
        assert_eq!(records(&cut).len(), 0);
        let long = bytes(Kind::Variable as u32, [0; 3], &vec![b'x'; LONGEST_TEXT + 1]);
        assert_eq!(records(&long).len(), 0);
    }

    #[test]
    fn whatever_is_said_is_heard_to_an_end() {
        let mut state = 0x853c_49e6_748f_ea9b_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        for _ in 0..2_000 {
            let mut said = Vec::new();
            for _ in 0..random() % 12 {
                said.extend(bytes((random() % 19) as u32, [random() % 9, random() % 3, random() % 40], b"x"));
            }
            let mut told = Told::default();
            let mut left: BTreeMap<u32, Section> =
                Section::ALL.into_iter().map(|section| (section as u32, section)).collect();
            let mut report = Report::begin(String::new(), Vec::new(), None, String::new());
            report.exit.signal = Some((random() % 40) as i32);
            let before = (left.len(), told.deadly.len());
            let heard = records(&said);
            let done = heard.iter().any(|record| record.kind == Kind::Done);
            hear(&mut told, &mut left, heard, &report);
            // Each prober that did not say that it was done tells of a section, or of a call to leave out: so they end.
            assert!(done || (left.len(), told.deadly.len()) != before, "{said:?}");
        }
    }

    #[test]
    fn calls_to_avoid_are_written_four_to_a_digit() {
        let left = [(1, Section::Processes), (4, Section::Files)].into();
        let words = arguments(&left, &[0, 5, 511].into());
        assert_eq!(words[3], "18");
        let digits = words[4].to_str().unwrap();
        assert_eq!((digits.len(), &digits[..2], &digits[126..]), (128, "12", "08"));
    }
}
