//! What hands know from other tools: an error that says our equivalent, never a silent second spelling.

use std::ffi::OsString;

use ringfence::policy::Problem;

use crate::scan::{Seen, scan};
use crate::values::quoted;

/// A flag of another tool.
pub(crate) struct Habit {
    names: &'static [&'static str],
    /// The words that follow it, by what they stand for.
    pub(crate) takes: &'static [&'static str],
    tool: &'static str,
    ours: Ours,
}

enum Ours {
    /// Write this instead, made of the words that follow.
    Write(fn(&[String]) -> String),
    /// Leave it out: this is so anyway.
    Always(&'static str),
    /// There is none, and this is why or what else helps.
    Lacking(&'static str),
}

use Ours::{Always, Lacking, Write};

const DOCKER: &str = "docker";
const BWRAP: &str = "bubblewrap";

const fn habit(
    names: &'static [&'static str],
    takes: &'static [&'static str],
    tool: &'static str,
    ours: Ours,
) -> Habit {
    Habit { names, takes, tool, ours }
}

static HABITS: [Habit; 35] = [
    habit(&["-v", "--volume"], &["SRC:DST"], DOCKER, Write(|v| format!("--bind {}", quoted(&v[0])))),
    habit(&["--mount"], &["SPEC"], DOCKER, Write(|_| "--bind SRC:DST[:ro]".to_owned())),
    habit(&["-e"], &["NAME=VALUE"], DOCKER, Write(|v| format!("--env {}", named(&v[0])))),
    habit(&["-w"], &["DIR"], DOCKER, Write(|v| format!("--workdir {}", quoted(&v[0])))),
    habit(&["-m"], &["SIZE"], DOCKER, Write(|v| format!("--memory {}", quoted(&v[0])))),
    habit(&["-u"], &["UID"], DOCKER, Write(|_| "--uid N --gid N (ids inside)".to_owned())),
    habit(&["-d", "--detach"], &[], DOCKER, Lacking("a run stays in the foreground; end the line with `&`")),
    habit(&["--rm"], &[], DOCKER, Always("nothing of a run is kept")),
    habit(
        &["-it", "-ti", "-i", "--interactive"],
        &[],
        DOCKER,
        Always("the program has your stdin, stdout and stderr"),
    ),
    habit(&["--init"], &[], DOCKER, Always("every sandbox has an init of its own")),
    habit(&["--read-only"], &[], DOCKER, Always("the system is read-only")),
    habit(&["--network"], &["WHICH"], DOCKER, Write(|v| format!("--net {}", network(&v[0])))),
    habit(
        &["--publish"],
        &["PORTS"],
        DOCKER,
        Lacking("this version publishes no ports; --net host shares all"),
    ),
    habit(&["--privileged"], &[], DOCKER, Lacking("name what it needs: --device, --keep-cap, --rw")),
    habit(
        &["--cap-drop"],
        &["NAME"],
        DOCKER,
        Always("every capability is dropped; --keep-cap NAME keeps one"),
    ),
    habit(&["--cap-add"], &["NAME"], DOCKER, Write(|v| format!("--keep-cap {}", quoted(&v[0])))),
    habit(&["--ro-bind", "--ro-bind-try"], &["SRC", "DST"], BWRAP, Write(|v| shown("--ro", v, ":ro"))),
    habit(&["--bind-try"], &["SRC", "DST"], BWRAP, Write(|v| shown("--rw", v, ""))),
    habit(&["--dev-bind", "--dev-bind-try"], &["SRC", "DST"], BWRAP, Write(device)),
    habit(&["--unshare-all", "--unshare-user", "--unshare-user-try"], &[], BWRAP, Always(NAMESPACES)),
    habit(&["--unshare-pid", "--unshare-ipc", "--unshare-uts"], &[], BWRAP, Always(NAMESPACES)),
    habit(&["--unshare-cgroup", "--unshare-cgroup-try"], &[], BWRAP, Always(NAMESPACES)),
    habit(&["--unshare-net"], &[], BWRAP, Always("the network is off unless --net host")),
    habit(&["--share-net"], &[], BWRAP, Write(|_| "--net host".to_owned())),
    habit(&["--die-with-parent"], &[], BWRAP, Always("nothing outlives the command, however it ends")),
    habit(
        &["--as-pid-1"],
        &[],
        BWRAP,
        Lacking("PID 1 is our own init, so that nothing outlives the command"),
    ),
    habit(&["--new-session"], &[], BWRAP, Always("the program has a session of its own")),
    habit(&["--chdir"], &["DIR"], BWRAP, Write(|v| format!("--workdir {}", quoted(&v[0])))),
    habit(&["--setenv"], &["NAME", "VALUE"], BWRAP, Write(|v| format!("--env {}=VALUE", quoted(&v[0])))),
    habit(
        &["--unsetenv"],
        &["NAME"],
        BWRAP,
        Always("only what --env names is passed, beside a few harmless ones"),
    ),
    habit(&["--clearenv"], &[], BWRAP, Always("only what --env names is passed, beside a few harmless ones")),
    habit(&["--dev"], &["DST"], BWRAP, Always("/dev is there with the usual nodes; --device PATH adds one")),
    habit(&["--proc"], &["DST"], BWRAP, Always("/proc is there and shows the sandbox's own processes")),
    habit(&["--dir"], &["DST"], BWRAP, Write(|v| format!("--tmpfs {}", quoted(&v[0])))),
    habit(&["--mqueue"], &["DST"], BWRAP, Lacking("there is no /dev/mqueue inside")),
];

const NAMESPACES: &str = "every namespace is a new one";

/// A variable without its value: the hint may end in a report or a log.
fn named(text: &str) -> String {
    match text.split_once('=') {
        Some((name, _)) => format!("{}=VALUE", quoted(name)),
        None => quoted(text),
    }
}

fn network(which: &str) -> &'static str {
    match which {
        "none" => "none",
        "host" => "host",
        _ => "none, or --net host",
    }
}

/// Our flag for bubblewrap's two words.
fn shown(same: &str, words: &[String], mode: &str) -> String {
    let [source, destination] = words else { return same.to_owned() };
    if source == destination {
        return format!("{same} {}", quoted(source));
    }
    let colon = |path: &str| path.replace(':', "\\:");
    format!("--bind {}", quoted(&format!("{}:{}{mode}", colon(source), colon(destination))))
}

fn device(words: &[String]) -> String {
    match words {
        [source, destination] if source == destination && source != "/dev" => {
            format!("--device {}", quoted(source))
        }
        _ => "--device PATH for each device".to_owned(),
    }
}

/// The habit of this name.
pub(crate) fn named_as(name: &str) -> Option<&'static Habit> {
    HABITS.iter().find(|habit| habit.names.contains(&name))
}

/// Meets the first habit in a `run` or `plan` line that did not parse: what to write instead.
pub(crate) fn find(words: &[OsString]) -> Option<Problem> {
    let scan = scan(words)?;
    scan.flags
        .iter()
        .find_map(|flag| flag.habit.map(|habit| answer(habit, flag)).or_else(|| same_spelling(flag)))
}

fn answer(habit: &Habit, flag: &Seen<'_>) -> Problem {
    let given = flag.values.iter().map(|value| value.to_string_lossy().into_owned());
    let missing = habit.takes.iter().skip(flag.values.len()).map(|word| (*word).to_owned());
    let words: Vec<String> = given.chain(missing).collect();
    let remedy = match habit.ours {
        Write(ours) => format!("write {}", ours(&words)),
        Always(so) => format!("leave it out: {so}"),
        Lacking(why) => why.to_owned(),
    };
    problem(&format!("`{}` is a flag of {}", flag.name, habit.tool), remedy)
}

/// Flags that others spell as we do and mean otherwise.
fn same_spelling(flag: &Seen<'_>) -> Option<Problem> {
    let value = flag.values.first()?.to_str()?;
    match &*flag.name {
        "--bind" if !value.contains(':') => {
            let destination = flag.next.and_then(|word| word.to_str()).filter(|word| word.starts_with('/'));
            let words = [value.to_owned(), destination.unwrap_or("DST").to_owned()];
            Some(problem(
                "`--bind` takes one word here, SRC:DST",
                format!("write {}", shown("--rw", &words, "")),
            ))
        }
        "-p" if value.contains(':') && value.chars().all(|c| c.is_ascii_digit() || ":./".contains(c)) => {
            let remedy = "this version publishes no ports; --net host shares all".to_owned();
            Some(problem("`-p` names a profile here, not ports", remedy))
        }
        _ => None,
    }
}

fn problem(message: &str, remedy: String) -> Problem {
    Problem::request("usage", message.to_owned()).remedy(remedy)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn said(line: &str) -> String {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        find(&words).map(|problem| problem.to_string()).unwrap_or_default()
    }

    #[test]
    fn every_habit_is_answered_with_ours() {
        for (line, part) in [
            ("run -v /a:/b ls", "write --bind /a:/b"),
            ("run -v/a:/b:ro ls", "write --bind /a:/b:ro"),
            ("run --volume=/a:/b ls", "write --bind /a:/b"),
            ("run -e A=1 ls", "write --env A=VALUE"),
            ("run -e A ls", "write --env A"),
            ("run -w /x ls", "write --workdir /x"),
            ("run -m 512M ls", "--memory 512M"),
            ("run --ro-bind /a /b ls", "write --bind /a:/b:ro"),
            ("run --ro-bind /a /a ls", "write --ro /a"),
            ("run --ro-bind /a:b /c ls", r"write --bind '/a\:b:/c:ro'"),
            ("run --bind /a /b ls", "write --bind /a:/b"),
            ("run --bind /a /a ls", "write --rw /a"),
            ("run --bind /a ls", "write --bind /a:DST"),
            ("run --unshare-all ls", "leave it out: every namespace"),
            ("run --die-with-parent ls", "leave it out: nothing outlives"),
            ("run --rm ls", "leave it out"),
            ("run -it ls", "leave it out"),
            ("run -i -t ls", "leave it out"),
            ("run --network=none ls", "write --net none"),
            ("run --network bridge ls", "write --net none, or --net host"),
            ("run --share-net ls", "write --net host"),
            ("run --chdir /x ls", "write --workdir /x"),
            ("run --setenv A 1 ls", "write --env A=VALUE"),
            ("run --dev /dev ls", "leave it out: /dev"),
            ("run --proc /proc ls", "leave it out: /proc"),
            ("run --cap-drop ALL ls", "leave it out: every capability"),
            ("run --cap-add NET_RAW ls", "write --keep-cap NET_RAW"),
            ("run --dev-bind /dev/kvm /dev/kvm ls", "write --device /dev/kvm"),
            ("run -p 8080:80 ls", "names a profile here"),
            ("plan --rw . -v", "write --bind SRC:DST"),
        ] {
            assert!(said(line).contains(part), "{line}: {}", said(line));
        }
    }

    #[test]
    fn what_belongs_to_the_program_is_no_habit() {
        for line in ["run -- docker run -v /a:/b", "run ls -e", "run --rw . ls -it", "report -v"] {
            assert_eq!(said(line), "", "{line}");
        }
        assert_eq!(said("run --bind a:/b ls"), "");
        assert_eq!(said("run -p build ls"), "");
        assert_eq!(said("run --hostname -v ls"), "", "a value of ours, as odd as it is");
    }

    #[test]
    fn a_value_that_may_be_secret_is_not_said_back() {
        for line in ["run -e TOKEN=secret ls", "run -eTOKEN=secret ls", "run --setenv TOKEN secret ls"] {
            assert!(said(line).contains("TOKEN") && !said(line).contains("secret"), "{}", said(line));
        }
    }

    /// A habit of the same name would hide ours: when a flag is built, its habit goes.
    #[test]
    fn no_habit_is_a_flag_of_ours_and_every_flag_that_is_named_exists() {
        let command = crate::arguments::Arguments::command();
        let run = command.find_subcommand("run").unwrap();
        let longs: Vec<String> =
            run.get_arguments().filter_map(|a| a.get_long()).map(|long| format!("--{long}")).collect();
        let shorts: Vec<String> =
            run.get_arguments().filter_map(|a| a.get_short()).map(|short| format!("-{short}")).collect();
        for habit in &HABITS {
            for name in habit.names.iter().map(|name| (*name).to_owned()) {
                assert!(!longs.contains(&name) && !shorts.contains(&name), "{name}");
            }
            let placeholders: Vec<String> = habit.takes.iter().map(|word| (*word).to_owned()).collect();
            let text = match habit.ours {
                Write(ours) => ours(&placeholders),
                Always(text) | Lacking(text) => text.to_owned(),
            };
            for word in text.split([' ', ',', ';', '=']).filter(|word| word.starts_with("--")) {
                assert!(longs.contains(&word.to_owned()), "{word} in `{text}`");
            }
        }
    }
}
