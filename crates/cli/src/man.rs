//! The manual page, made from the same definitions as `--help`.

use clap::{Arg, Args, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::arguments::Arguments;
use crate::flags::PolicyFlags;

/// `ringfence.1`
pub(crate) fn page() -> Vec<u8> {
    let mut ringfence = Arguments::command();
    ringfence.build();
    let version = format!("ringfence {}", env!("CARGO_PKG_VERSION"));
    // By hand: the generator drops an empty date, and the rest would move up into its place.
    let mut page = format!(".TH RINGFENCE 1 \"\" \"{version}\" \"User Commands\"\n").into_bytes();
    let mut head = Roff::new();
    head.control("SH", ["NAME"]);
    head.text([roman("ringfence - run a program so that the kernel itself holds it in")]);
    synopsis(&mut head, &ringfence);
    paragraphs(&mut head, "DESCRIPTION", &DESCRIPTION);
    page.extend(head.render().into_bytes());

    page.extend(b".SH COMMANDS\n");
    for command in ringfence.get_subcommands() {
        page.extend(section(command));
    }
    page.extend(b".SH POLICY FLAGS\n");
    let policy = PolicyFlags::augment_args(Command::new("policy").disable_help_flag(true));
    page.extend(options(policy));

    let mut tail = Roff::new();
    paragraphs(&mut tail, "PROFILES", &PROFILES);
    paragraphs(&mut tail, "PATHS", &PATHS);
    tail.control("SH", ["EXIT STATUS"]);
    entries(&mut tail, &EXIT_STATUS);
    tail.control("SH", ["EXAMPLES"]);
    entries(&mut tail, &EXAMPLES);
    tail.control("SH", ["ENVIRONMENT"]);
    entries(&mut tail, &ENVIRONMENT);
    paragraphs(
        &mut tail,
        "SEE ALSO",
        &[
            "namespaces(7), user_namespaces(7), mount_namespaces(7), landlock(7), seccomp(2), capabilities(7), subuid(5)",
        ],
    );
    page.extend(tail.render().into_bytes());
    page
}

const DESCRIPTION: [&str; 3] = [
    "Runs one command in a sandbox that the kernel enforces. Unless a flag says otherwise the program sees the \
     system's programs and the working directory read-only, its own processes, a private /tmp and an empty HOME; \
     it has no network, no capabilities and no way to gain any; and nothing of it outlives the command.",
    "A guarantee that this host cannot give is refused, and nothing is started, unless --allow-degraded waives it \
     by name. The report (--report) says for each guarantee which layer of the kernel held it.",
    "When the first argument is a flag or --, run is implied. Flags end at the first word that is none. run writes \
     nothing to stdout; every line of its own on stderr begins with `ringfence: `.",
];

const PROFILES: [&str; 4] = [
    "A profile is JSON, or TOML where its name ends in .toml; `ringfence profile schema` prints its JSON Schema. A word \
     that holds a / or ends in .json or .toml is a path. A name is a built-in profile, or NAME.json or NAME.toml in \
     /etc/ringfence/profiles, in ringfence/profiles below XDG_CONFIG_HOME (~/.config), or in profiles below the working \
     directory; one that is in two of them is refused. A file that is found by its name must belong to its user or to \
     root, and nobody else may write it.",
    "A profile of the working directory counts once it is trusted with `ringfence profile trust FILE`, and until it or \
     what it extends changes. Named as a path it counts as it is.",
    "With extends a profile adds to others: lists append, scalars replace, and of one path the nearer word holds. Of all \
     that is said of a system call the strictest answer holds.",
    "filesystem.commands names the programs of the system that are there; a run's own command and the interpreters of \
     #! lines, env too, must be among them. What the caller shows, and the command's toolchain, stays. Nothing that the \
     program can write can be executed then.",
];

const PATHS: [&str; 2] = [
    "A path of the host may be relative to the working directory or begin with ~/; a path inside is absolute. The \
     longest path wins, whatever the order of the flags; a flag overrides the profile on the same path; what is \
     denied stays hidden. Two flags that say different things of one path are an error.",
    "Sizes are bytes, or have a unit that is a power of 1024 (64K, 512M, 1.5GiB). Durations are seconds, or have a \
     unit (500ms, 10s, 2m, 1h).",
];

const EXIT_STATUS: [(&str, &str); 11] = [
    ("N", "run: the program exited with N."),
    ("128+N", "run: signal N ended the program."),
    ("124", "run: the program missed its --timeout, even if it then exited with 0."),
    (
        "125",
        "run: the sandbox was not set up, the request was wrong, or it was refused; or no report could be written.",
    ),
    ("126", "run: the command was found and cannot be executed."),
    ("127", "run: the command was not found."),
    ("152", "run: the program used up its --cpu-time."),
    ("153", "run: the program printed more than its --output-limit, and was killed for it."),
    ("137", "run: the program was killed: at its --memory, by its owner's second signal or after the grace."),
    ("1", "other commands: what was asked could not be done."),
    ("2", "other commands: a usage error."),
];

const ENVIRONMENT: [(&str, &str); 4] = [
    ("NO_COLOR", "When set, nothing of ours is in colour, --help neither."),
    ("FORCE_COLOR", "When set, and not 0: headings and errors are in colour where no terminal is, too."),
    (
        "XDG_RUNTIME_DIR",
        "Where the list of live sandboxes is kept, in the folder ringfence; else /run/user/UID (/run for root) or \
         /tmp/ringfence-UID. ps and kill look in all of them.",
    ),
    ("RINGFENCE_RUNTIME_DIR", "The same, and the only place: a list apart from all others."),
];

const EXAMPLES: [(&str, &str); 8] = [
    ("ringfence run -- python3 job.py", "Run a script that reads the working directory and changes nothing."),
    ("ringfence --rw . -- make", "The same with a writable working directory; run is implied."),
    ("ringfence -p minimal -- /bin/echo hi", "Begin as the least profile."),
    (
        "ringfence --bind /data:/sandbox/data:ro -- python3 job.py",
        "Show a folder elsewhere, read-only with all that is mounted below it.",
    ),
    ("ringfence --timeout 10s --report run.json -- ./job", "End it after ten seconds and keep the report."),
    ("ringfence report run.json", "Read that report."),
    (
        "ringfence inspect --rw . --diff default",
        "See what a program could reach by that flag, tried from inside.",
    ),
    ("ringfence plan --net host -- curl example.org", "See the steps, and what would hold each guarantee."),
];

fn synopsis(roff: &mut Roff, ringfence: &Command) {
    roff.control("SH", ["SYNOPSIS"]);
    for (index, command) in ringfence.get_subcommands().enumerate() {
        if index > 0 {
            roff.control("br", []);
        }
        let usage = usage(command);
        let rest = usage.strip_prefix("ringfence ").unwrap_or(&usage).to_owned();
        roff.text([bold("ringfence"), roman(format!(" {rest}"))]);
    }
}

/// The usage line of a command, as its help shows it.
fn usage(command: &Command) -> String {
    let text = command.clone().render_usage().to_string();
    text.trim_start_matches("Usage: ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A command: what it does, and the flags that are its own.
fn section(command: &Command) -> Vec<u8> {
    let shared = PolicyFlags::augment_args(Command::new("policy"));
    let is_shared = |id| shared.get_arguments().any(|argument| argument.get_id() == id);
    let own = command
        .get_arguments()
        .filter(|argument| argument.get_id() != "help" && !is_shared(argument.get_id()));
    // One heading for the whole command, not one for each theme.
    let own: Vec<_> = own.cloned().map(|argument| argument.help_heading(None::<&str>)).collect();
    let mut roff = Roff::new();
    roff.control("SS", [usage(command).as_str()]);
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    roff.text([roman(format!("{about}."))]);
    for nested in command.get_subcommands() {
        roff.control("TP", []);
        roff.text([bold(usage(nested))]);
        roff.text([roman(format!("{}.", nested.get_about().map(ToString::to_string).unwrap_or_default()))]);
    }
    let mut section = roff.render().into_bytes();
    if !own.is_empty() {
        let text = options(Command::new("own").disable_help_flag(true).args(own));
        section.extend(text.strip_prefix(b".SS OPTIONS\n").unwrap_or(&text));
    }
    section
}

/// The flags of a command as the generator prints them, its sections one level lower.
fn options(command: Command) -> Vec<u8> {
    let mut text = Vec::new();
    let command = command.mut_args(with_values_in_a_line);
    // A vector takes all that is written.
    let _ = Man::new(command).render_options_section(&mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines = text.lines().filter(|line| !PREAMBLE.contains(line));
    let lines = lines.map(|line| line.replacen(".SH ", ".SS ", usize::from(line.starts_with(".SH "))));
    lines.map(|line| line + "\n").collect::<String>().into_bytes()
}

/// The generator gives every possible value a paragraph of its own.
fn with_values_in_a_line(argument: Arg) -> Arg {
    let values: Vec<_> =
        argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if values.is_empty() || !argument.get_action().takes_values() {
        return argument;
    }
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    argument.hide_possible_values(true).help(format!("{help}. One of: {}.", values.join(", ")))
}

/// What every document of the generator begins with: needed once in a page.
const PREAMBLE: [&str; 2] = [r".ie \n(.g .ds Aq \(aq", r".el .ds Aq '"];

fn paragraphs(roff: &mut Roff, heading: &str, paragraphs: &[&str]) {
    roff.control("SH", [heading]);
    for (index, paragraph) in paragraphs.iter().enumerate() {
        if index > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(*paragraph)]);
    }
}

fn entries(roff: &mut Roff, entries: &[(&str, &str)]) {
    for (term, text) in entries {
        roff.control("TP", []);
        roff.text([bold(*term)]);
        roff.text([roman(*text)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_command_and_flag_and_its_own_sections() {
        let page = String::from_utf8(page()).unwrap().replace(r"\-", "-");
        let mut ringfence = Arguments::command();
        ringfence.build();
        for command in ringfence.get_subcommands() {
            assert!(page.contains(&format!("ringfence {}", command.get_name())), "{}", command.get_name());
            for long in
                command.get_arguments().filter_map(|argument| argument.get_long()).filter(|l| *l != "help")
            {
                assert!(page.contains(&format!("--{long}")), "--{long}");
            }
        }
        for heading in ["NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "EXAMPLES", "ENVIRONMENT"] {
            assert_eq!(page.lines().filter(|line| *line == format!(".SH {heading}")).count(), 1, "{heading}");
        }
        assert!(page.contains(".SH \"EXIT STATUS\"") || page.contains(".SH EXIT STATUS"), "{page}");
    }

    /// What an example shows must be a line that works.
    #[test]
    fn the_examples_parse() {
        use clap::Parser;
        for (line, _) in EXAMPLES {
            let words: Vec<std::ffi::OsString> = line.split(' ').skip(1).map(Into::into).collect();
            let mut words = words;
            if crate::implies_run(&words) {
                words.insert(0, "run".into());
            }
            Arguments::try_parse_from(std::iter::once("ringfence".into()).chain(words)).unwrap();
        }
    }
}
