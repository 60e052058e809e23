//! `cargo xtask`: what the project does to itself. One command, one file.
#![allow(clippy::print_stdout, reason = "a command's findings and tables are its output")]

mod archive;
mod arguments;
mod bench;
mod console;
mod cross;
mod debian;
mod emulate;
mod failure;
mod kernels;
mod mutants;
mod package;
mod process;
mod test;
mod tidy;
mod verify;
mod workspace;

use std::process::ExitCode;

use arguments::Arguments;
use failure::Failure;

struct Command {
    name: &'static str,
    options: &'static str,
    summary: &'static str,
    run: fn(Arguments) -> Result<(), Failure>,
}

const COMMANDS: [Command; 10] = [
    Command { name: "tidy", options: "", summary: "the house rules over every source file", run: tidy::run },
    Command {
        name: "bench",
        options: "[--filter|--short] [--runs N] [--json] [--write]",
        summary: "what a sandbox costs beside its peers, and the budget (--write: docs/bench); or a filter's cost",
        run: bench::run,
    },
    Command {
        name: "test",
        options: "[--as USER] [--rung RUNG [--share I/N]]",
        summary: "every test executable, as this user or, from root, as another; or the escape checks on a rung",
        run: test::run,
    },
    Command {
        name: "mutants",
        options: "[--shard PART/PARTS] [--only NAME] [--list] [--write]",
        summary: "each hardening step taken out, one at a time: which test notices",
        run: mutants::run,
    },
    Command {
        name: "verify",
        options: "[--quick] [--fuzz MINUTES]",
        summary: "races, injected failures, oracle, mutants, fuzzing; one file with the figures",
        run: verify::run,
    },
    Command {
        name: "messages",
        options: "",
        summary: "docs/MESSAGES.md, made anew from the code",
        run: tidy::write_messages,
    },
    Command {
        name: "package",
        options: "",
        summary: "what would be published, and whether it builds",
        run: package::run,
    },
    Command {
        name: "cross",
        options: "[--optional]",
        summary: "static release binaries for x86_64 and aarch64",
        run: cross::run,
    },
    Command {
        name: "emulate",
        options: "[--cache DIR] [--suite SUITE]",
        summary: "the static binary and the escape checks on an emulated aarch64 machine",
        run: emulate::run,
    },
    Command {
        name: "kernels",
        options: "[--cache DIR] [--suite SUITE] [--systemd | --minimal]",
        summary: "the limits on an emulated machine with cgroup v2 alone; with systemd too; or the smallest host",
        run: kernels::run,
    },
];

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let name = words.next().unwrap_or_default();
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        eprintln!("{}", usage(&name));
        return ExitCode::from(2);
    };
    match (command.run)(Arguments::new(words)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask {name}: {failure}");
            ExitCode::from(failure.status())
        }
    }
}

fn usage(name: &str) -> String {
    let mut text = match name {
        "" => String::new(),
        name => format!("xtask: there is no command `{name}`\n"),
    };
    text.push_str("usage: cargo xtask COMMAND");
    for Command { name, options, summary, .. } in &COMMANDS {
        text.push_str(&format!("\n    {:<38} {summary}", format!("{name} {options}")));
    }
    text
}
