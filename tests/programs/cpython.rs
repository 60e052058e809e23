//! CPython's own tests. Every test that passes outside passes inside, but for the few that a sandbox must refuse.
//!
//! An ordinary run takes the modules that ask the kernel for most. `RINGFENCE_PROGRAMS=all` takes every module of the
//! package libpython3.11-testsuite and prints a table; `RINGFENCE_PROGRAMS="test_os test_time"` takes those.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::chown;
use std::process::Command;
use std::sync::Mutex;

use support::{Outcome, Scene, is_root, ringfence};

use crate::compare::{finish, variables};

const PYTHON: &str = "/usr/bin/python3.11";

/// What runs a module and says how each of its tests ended.
const RUNNER: &str = include_str!("cpython.py");

/// A user of every Linux with an entry in its list of users, which some tests look up.
const NOBODY: u32 = 65_534;

/// No module takes longer: one that does hangs.
const LONGEST: &str = "1200";

/// The modules of an ordinary run: files, processes, threads, signals, sockets, terminals, memory, clocks.
const EVERYDAY: [&str; 40] = [
    "test_asyncore",
    "test_cmd_line",
    "test_ctypes",
    "test_dbm_gnu",
    "test_eintr",
    "test_epoll",
    "test_fcntl",
    "test_file_eintr",
    "test_fileio",
    "test_fork1",
    "test_getpass",
    "test_glob",
    "test_grp",
    "test_hashlib",
    "test_httpservers",
    "test_ioctl",
    "test_mmap",
    "test_multiprocessing_main_handling",
    "test_openpty",
    "test_os",
    "test_pathlib",
    "test_pipes",
    "test_platform",
    "test_poll",
    "test_posix",
    "test_pty",
    "test_pwd",
    "test_resource",
    "test_select",
    "test_shutil",
    "test_socketserver",
    "test_stat",
    "test_tempfile",
    "test_thread",
    "test_threadsignals",
    "test_time",
    "test_timeout",
    "test_uuid",
    "test_wait3",
    "test_wait4",
];

/// What a sandbox must refuse.
struct Refused {
    /// How the names of the tests begin.
    tests: &'static str,
    /// Part of what they then say.
    said: &'static str,
    why: &'static str,
}

const READ_ONLY: &str = "removing a name that is not there is EROFS on a read-only mount and ENOENT elsewhere: the system \
                         is read-only";
const ROOTS_NAME: &str =
    "where root calls, its name stands for the number that was asked for, so nobody has number 0";
const ONE_ID: &str = "one user and one group are mapped: asking for another is EINVAL, not EPERM";

const REFUSED: &[Refused] = &[
    Refused { tests: "test.", said: "[Errno 30] Read-only file system: '/usr/lib/", why: READ_ONLY },
    Refused { tests: "test.test_os.ChownFileTests.", said: "more than one user", why: ROOTS_NAME },
    Refused { tests: "test.test_os.ChownFileTests.", said: "[Errno 22]", why: ONE_ID },
    Refused {
        tests: "test.test_shutil.TestArchives.test_tarfile_root_owner",
        said: "65534",
        why: ROOTS_NAME,
    },
    Refused {
        tests: "distutils.tests.test_archive_util.ArchiveUtilTestCase.test_tarfile_root_owner",
        said: "65534",
        why: ROOTS_NAME,
    },
    Refused {
        tests: "distutils.tests.test_sdist.SDistTestCase.test_make_distribution_owner_group",
        said: "65534",
        why: ROOTS_NAME,
    },
    Refused {
        tests: "test.test_tarfile.NumericOwnerTest.test_extract_without_numeric_owner",
        said: "65534",
        why: ROOTS_NAME,
    },
    Refused {
        tests: "test.test_subprocess.POSIXProcessTestCase.test_group",
        said: "[Errno 22]",
        why: ONE_ID,
    },
    Refused { tests: "test.test_subprocess.POSIXProcessTestCase.test_user", said: "[Errno 22]", why: ONE_ID },
    Refused {
        tests: "test.test_socket.GeneralModuleTests.",
        said: "[Errno 97] Address family not supported",
        why: "the names of interfaces come from a netlink socket, which the floor refuses",
    },
    Refused {
        tests: "test.test_uuid.",
        said: "requires i",
        why: "the network holds loopback alone, which has no hardware address",
    },
    Refused {
        tests: "test.test_largefile.",
        said: "of free disk space",
        why: "/tmp is memory of a bounded size",
    },
];

/// What a module's run said.
struct Answer {
    outcome: Outcome,
    /// How each test ended: the ending and, when it did not pass, the reason.
    endings: BTreeMap<String, (String, String)>,
}

impl Answer {
    fn read(outcome: Outcome) -> Self {
        let lines = outcome.stdout.lines().filter_map(|line| line.strip_prefix("@@ "));
        let endings = lines.filter_map(|line| {
            let (ending, rest) = line.split_once(' ')?;
            // The test's name may hold words in brackets; the reason follows two spaces.
            let (test, reason) = rest.split_once("  ").unwrap_or((rest, ""));
            Some((test.to_owned(), (ending.to_owned(), reason.to_owned())))
        });
        Self { endings: endings.collect(), outcome }
    }

    /// Why a test did not pass. The parts of a test have names of their own, which begin with the test's.
    fn said_of(&self, test: &str) -> &str {
        let mut found = self.endings.range(test.to_owned()..).take_while(|(name, _)| name.starts_with(test));
        found.find(|(_, ending)| ending.0 != "passed").map_or("did not run", |(_, ending)| &ending.1)
    }

    fn tests_that(&self, ended: &str) -> BTreeSet<&str> {
        self.endings.iter().filter(|(_, ending)| ending.0 == ended).map(|(test, _)| test.as_str()).collect()
    }
}

/// One row of the table.
struct Row {
    module: String,
    outside: i32,
    inside: i32,
    /// How many tests passed outside, and how many of them inside.
    passed: (usize, usize),
    /// Those that did not, and those that failed inside alone, with the reason that the test gave and the one that we
    /// know.
    lost: Vec<(String, String, Option<&'static str>)>,
}

impl Row {
    fn is_unexpected(&self) -> bool {
        let passes_outside = self.outside == 0;
        let unexplained = self.lost.iter().any(|(_, _, why)| why.is_none());
        passes_outside && (unexplained || self.lost.is_empty() && self.inside != 0)
    }

    /// In one piece: rows come from several threads.
    fn print(&self) {
        let Self { module, outside, inside, passed, lost } = self;
        let mut text = format!("{module:36} {outside:>4} {inside:>4} {:>5} {:>5}\n", passed.0, passed.1);
        let mut known: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
        for (test, said, why) in lost {
            match why {
                Some(why) => known.entry(why).or_insert((0, test)).0 += 1,
                None => text += &format!("    NOT EXPECTED: {test}: {said}\n"),
            }
        }
        for (why, (count, first)) in known {
            text += &format!("    {count} refused, {first} first: {why}\n");
        }
        print!("{text}");
    }
}

fn outside(module: &str) -> Answer {
    let scene = Scene::new();
    let tmp = scene.folder("tmp");
    let mut command = Command::new("timeout");
    // Who starts the tests may ignore signals; the tests of signals need them as they are.
    command.args(["--kill-after=9", LONGEST, "env", "--default-signal"]);
    if is_root() {
        // A sandbox of root is an ordinary user; so is what it is compared with.
        for folder in [&tmp, &scene.home(), &scene.path("here")] {
            chown(folder, Some(NOBODY), Some(NOBODY)).expect("root may");
        }
        let user = NOBODY.to_string();
        command.args(["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups", "--"]);
    }
    command.args([PYTHON, "-c", RUNNER, module]).current_dir(scene.path("here")).env_clear();
    command.envs(variables(&scene)).env("TMPDIR", tmp);
    Answer::read(finish(module, command))
}

fn inside(module: &str) -> Answer {
    let scene = Scene::new();
    let mut command = Command::new(ringfence());
    command.args(["run", "-p", "python-safe", "--timeout", LONGEST]);
    if is_root() {
        let user = NOBODY.to_string();
        command.args(["--uid", &user, "--gid", &user]);
    }
    command.args(["--", PYTHON, "-c", RUNNER, module]);
    command.current_dir(scene.path("here")).env_clear().envs(variables(&scene));
    command.env("RINGFENCE_RUNTIME_DIR", scene.runtime());
    Answer::read(finish(module, command))
}

fn compare(module: &str) -> Row {
    let outside = outside(module);
    let mut row = row(module, &outside, &inside(module));
    if row.is_unexpected() {
        // Some of these tests fail now and then anywhere: what is refused is refused every time.
        println!("{module}: once more: {:?}", row.lost);
        row = self::row(module, &outside, &inside(module));
    }
    row
}

fn row(module: &str, outside: &Answer, inside: &Answer) -> Row {
    let passed = outside.tests_that("passed");
    let still = inside.tests_that("passed");
    let failed: BTreeSet<_> = &inside.tests_that("failed") - &outside.tests_that("failed");
    let lost: BTreeSet<_> = &(&passed - &still) | &failed;
    let lost = lost.iter().map(|test| {
        let said = inside.said_of(test);
        let fits = |refused: &&Refused| test.starts_with(refused.tests) && said.contains(refused.said);
        ((*test).to_owned(), said.to_owned(), REFUSED.iter().find(fits).map(|refused| refused.why))
    });
    Row {
        module: module.to_owned(),
        outside: outside.outcome.status,
        inside: inside.outcome.status,
        passed: (passed.len(), passed.intersection(&still).count()),
        lost: lost.collect(),
    }
}

/// Every module that the package has.
fn all() -> Vec<String> {
    let mut command = Command::new(PYTHON);
    command.args(["-m", "test", "--list-tests"]);
    let listed = finish("the list of modules", command);
    let modules: Vec<_> = listed.stdout.lines().map(str::to_owned).collect();
    assert!(modules.len() > 400, "{listed:#?}");
    modules
}

/// Runs modules, four at a time: most of them wait for something most of the time.
fn table(modules: Vec<String>) -> Vec<Row> {
    let waiting = Mutex::new(modules.into_iter());
    let next = || waiting.lock().expect("no panic").next();
    let row = |module: String| {
        let row = compare(&module);
        row.print();
        row
    };
    let work = || std::iter::from_fn(next).map(row).collect::<Vec<_>>();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect()
    })
}

#[test]
fn cpythons_own_tests_pass_inside_as_they_do_outside() {
    let package = std::path::Path::new("/usr/lib/python3.11/test/test_os.py");
    if !package.is_file() {
        return support::not_reachable("CPython's own tests", "install Debian's libpython3.11-testsuite");
    }
    let modules = match std::env::var("RINGFENCE_PROGRAMS") {
        Ok(wanted) if wanted == "all" => all(),
        Ok(wanted) => wanted.split_whitespace().map(str::to_owned).collect(),
        Err(_) => EVERYDAY.map(str::to_owned).to_vec(),
    };
    println!("{:36} {:>4} {:>4} {:>5} {:>5}", "module", "out", "in", "tests", "in");
    let rows = table(modules);
    let passing: Vec<_> = rows.iter().filter(|row| row.outside == 0).collect();
    let same = passing.iter().filter(|row| row.inside == 0 && row.lost.is_empty()).count();
    println!("{} modules; {} pass outside, {same} of them do the same inside", rows.len(), passing.len());
    assert!(!passing.is_empty(), "no module passes outside");
    let unexpected: Vec<_> = rows.iter().filter(|row| row.is_unexpected()).map(|row| &row.module).collect();
    assert!(unexpected.is_empty(), "they differ inside: {unexpected:?}");
}
