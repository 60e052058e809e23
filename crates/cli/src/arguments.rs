//! The commands and their arguments.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

use crate::flags::PolicyFlags;
use crate::report_file::Target;
use crate::values;

/// Runs a program so that the kernel itself holds it in: it sees the files that it was given, talks to nobody,
/// and nothing of it outlives the command.
#[derive(Debug, Parser)]
#[command(
    name = "ringfence",
    version,
    about = "Runs a program so that the kernel itself holds it in",
    long_about,
    disable_help_subcommand = true,
    arg_required_else_help = false,
    after_help = "`run` is implied before a flag or `--`:  ringfence --rw . -- make"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) task: Task,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Run one command in a fresh sandbox
    Run(Box<RunArguments>),
    /// Print the steps of a run, and the kernel layer behind each guarantee; runs nothing
    Plan(Box<PlanArguments>),
    /// Run many commands from one process: JSON lines in, JSON lines out
    Batch(Box<BatchArguments>),
    /// Say what a program under this policy can reach, tried from inside
    Inspect(Box<InspectArguments>),
    /// Say what this host can enforce, found by trying; why not; and the remedy
    #[command(
        after_help = "Exit status: 0 when everything is there that the full set-up needs (limits by cgroups are beside it), 1\n\
                            when not, 2 for a usage error."
    )]
    Doctor {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List this user's live sandboxes
    Ps {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// End live sandboxes of this user, whole, at once
    #[command(override_usage = "ringfence kill ID|NAME...\n       ringfence kill --all")]
    Kill {
        /// Every one: freezes all, then kills all
        #[arg(long, conflicts_with = "which", required_unless_present = "which")]
        all: bool,

        /// Ids or names, as `ringfence ps` lists them
        #[arg(value_name = "ID|NAME")]
        which: Vec<String>,
    },
    /// Watch what this user's live sandboxes use: q quits, k kills, s sorts
    Top {
        /// Print one table; always so where there is no terminal
        #[arg(long)]
        once: bool,
    },
    /// Print a run's report for people
    Report {
        /// What `ringfence run --report FILE` wrote
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,

        /// As JSON: the report itself, once it has been understood
        #[arg(long)]
        json: bool,
    },
    /// Show the profiles that a policy can begin as
    #[command(subcommand, arg_required_else_help = false, disable_help_subcommand = true)]
    Profile(ProfileTask),
    /// Print a completion script
    Completions {
        /// The shell that reads it
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Print the manual page
    Man,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProfileTask {
    /// List the profiles that a name can mean, and where each comes from
    List {
        /// The names alone, a line each, without those that a shell would not take as one plain word
        #[arg(long)]
        names: bool,
    },
    /// Print one with all that it extends, as JSON
    Show {
        /// The profile's name, or its file
        #[arg(value_name = "NAME|FILE", value_parser = values::ProfileParser)]
        name: String,
    },
    /// Say everything that is wrong with a profile file, line by line
    Check {
        /// A profile, or a filter of a container engine
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Print the JSON Schema of profile files
    Schema,
    /// Print a file of another schema (OCI, Docker, the syscall jail) as a profile
    Import {
        /// The file to read
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Trust a profile of a working directory as it is now, and print what it newly grants
    Trust {
        /// The profile
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
}

#[derive(Args, Debug)]
#[command(
    override_usage = "ringfence run [POLICY] [--] COMMAND [ARG...]",
    after_help = "Exit status: the program's own; 128+N when a signal ended it; 124 at its deadline; 137 out of memory,\n\
                  or killed by its owner; 152 out of processor time; 153 for more output than its limit; 125 when the\n\
                  sandbox was not set up, the request was wrong or refused; 126 not executable; 127 not found.\n\
                  A program may choose the same numbers: the report (--report) decides."
)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) policy: PolicyFlags,

    /// A name for the run, in its report and for `ringfence kill`; no two live ones share it
    #[arg(long, value_name = "NAME", value_parser = values::name, help_heading = "What is said")]
    pub(crate) name: Option<String>,

    /// Where to write the report, as JSON: on every ending, refusals too
    #[arg(
        long,
        value_name = "FILE|fd:N",
        value_parser = OsStringValueParser::new().try_map(Target::parse),
        value_hint = ValueHint::FilePath,
        help_heading = "What is said"
    )]
    pub(crate) report: Option<Target>,

    /// Where to write what happens, as JSON lines, while it happens
    #[arg(
        long,
        value_name = "FILE|fd:N",
        value_parser = OsStringValueParser::new().try_map(Target::parse),
        value_hint = ValueHint::FilePath,
        help_heading = "What is said"
    )]
    pub(crate) events: Option<Target>,

    /// After the run: say what was refused, and what would allow it, on stderr and in the report
    #[arg(long, help_heading = "What is said")]
    pub(crate) explain: bool,

    /// Leave a file open that the caller has open under this number: no folder, no terminal (repeatable)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(3..=1023))]
    #[arg(help_heading = "Streams")]
    pub(crate) pass_fd: Vec<i32>,

    /// When stdin is closed by its other side: let the grace pass, then kill; a file is never closed (on in `mcp`)
    #[arg(long, help_heading = "Streams")]
    pub(crate) end_with_stdin: bool,

    /// Say the steps before the run and the receipt after it, on stderr
    #[arg(long, help_heading = "What is said")]
    pub(crate) verbose: bool,

    /// The program and its arguments; flags end where it begins
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, help_heading = None)]
    #[arg(value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
}

#[derive(Args, Debug)]
#[command(
    override_usage = "ringfence batch [POLICY] [--jobs N]",
    after_help = "A line in: {id, command[], cwd?, env{}?, stdin?|stdin_file?, stdout_file?, files{}?, collect[]?, limits{}?,\n\
                  encoding?}, or {cancel: id}. A line out, in order of completion: {id, report, stdout, stderr, encoding,\n\
                  truncated{}, files{}}, or {id, error}. A request may only tighten the policy."
)]
pub(crate) struct BatchArguments {
    #[command(flatten)]
    pub(crate) policy: PolicyFlags,

    /// How many run at once; as many as the machine has processors when not said
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    #[arg(help_heading = "What is done")]
    pub(crate) jobs: Option<u32>,
}

#[derive(Args, Debug)]
#[command(override_usage = "ringfence plan [POLICY] [--json] [--] COMMAND [ARG...]")]
pub(crate) struct PlanArguments {
    #[command(flatten)]
    pub(crate) policy: PolicyFlags,

    /// As JSON
    #[arg(long, help_heading = "What is said")]
    pub(crate) json: bool,

    /// Plan a run that says what was refused
    #[arg(long, help_heading = "What is said")]
    pub(crate) explain: bool,

    /// Leave a file open that the caller has open under this number: no folder, no terminal (repeatable)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(3..=1023))]
    #[arg(help_heading = "Streams")]
    pub(crate) pass_fd: Vec<i32>,

    /// The program and its arguments; flags end where it begins
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, help_heading = None)]
    #[arg(value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
}

#[derive(Args, Debug)]
#[command(
    override_usage = "ringfence inspect [POLICY] [--json] [--diff NAME|FILE] [[--] COMMAND [ARG...]]",
    after_help = "Exit status: 0; with --diff 0 when nothing differs, 1 when something does, 2 for trouble, as diff(1).\n\
                  Without --diff 1 when it could not be tried, 2 for a usage error."
)]
pub(crate) struct InspectArguments {
    #[command(flatten)]
    pub(crate) policy: PolicyFlags,

    /// As JSON
    #[arg(long, help_heading = "What is said")]
    pub(crate) json: bool,

    /// Say what this policy reaches more, or less, than another profile as it stands, without these flags
    #[arg(long, value_name = "NAME|FILE", value_parser = values::ProfileParser, help_heading = "What is said")]
    pub(crate) diff: Option<String>,

    /// A program whose toolchain is shown as a run of it would show it; it is not run
    #[arg(value_name = "COMMAND", trailing_var_arg = true, help_heading = None)]
    #[arg(value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(words: &[&str]) -> RunArguments {
        let words = ["ringfence", "run"].iter().chain(words);
        match Arguments::try_parse_from(words).unwrap().task {
            Task::Run(arguments) => *arguments,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_end_at_the_first_word_that_is_none() {
        for (words, command) in [
            (&["ls", "--rw", "/x"][..], &["ls", "--rw", "/x"][..]),
            (&["--", "ls", "--help"], &["ls", "--help"]),
            (&["--rw", "/x", "git", "log", "--", "f"], &["git", "log", "--", "f"]),
            (&["--", "git", "log", "--", "f"], &["git", "log", "--", "f"]),
            (&["--", "--", "x"], &["--", "x"]),
            (&["--", "-odd"], &["-odd"]),
            (&["-", "x"], &["-", "x"]),
            (&["plan", "--json"], &["plan", "--json"]),
        ] {
            assert_eq!(run(words).command, command, "{words:?}");
        }
        assert!(run(&["ls", "--verbose"]).policy.is_untouched());
        assert!(!run(&["ls", "--verbose"]).verbose);
    }

    #[test]
    fn a_value_follows_or_is_joined_by_an_equals_sign() {
        assert_eq!(run(&["--name", "a", "x"]).name, run(&["--name=a", "x"]).name);
        assert!(run(&["--verbose", "x"]).verbose);
    }

    #[test]
    fn an_argument_may_be_any_bytes() {
        use std::os::unix::ffi::OsStringExt;
        let odd = OsString::from_vec(vec![b'a', 0xff]);
        let words = ["ringfence".into(), "run".into(), "--".into(), odd.clone()];
        let Task::Run(arguments) = Arguments::try_parse_from(words).unwrap().task else { panic!() };
        assert_eq!(arguments.command, [odd]);
    }

    #[test]
    fn what_is_not_part_of_a_command_is_refused() {
        for words in [
            &["plan", "--report", "x", "ls"][..],
            &["plan", "--name", "x", "ls"],
            &["run", "--json", "ls"],
            &["run", "--verbose=1", "ls"],
            &["run", "--net"],
            &["run"],
            &["plan"],
            &["report"],
            &["report", "a", "b"],
            &["profile", "verify", "x"],
            &["profile", "check"],
            &["profile", "check", "x", "y"],
            &["profile", "schema", "x"],
            &["profile", "show", ""],
            &["completions", "tcsh"],
            &["doctor", "x"],
            &["help"],
        ] {
            assert!(Arguments::try_parse_from(["ringfence"].iter().chain(words)).is_err(), "{words:?}");
        }
    }
}
