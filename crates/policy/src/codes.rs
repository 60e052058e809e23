//! Every code that a [`Problem`](crate::Problem) can have: where it comes from, why, and what to do where its message says
//! nothing nearer. docs/MESSAGES.md is made from this list and from the places that use it.

/// A class of problems, by the stable word that scripts read.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    /// The word.
    pub word: &'static str,
    /// The part of a request, or of its start, that it is about.
    pub place: &'static str,
    /// Why it is said.
    pub why: &'static str,
    /// What to do when the message itself does not say it.
    pub remedy: &'static str,
}

const fn code(word: &'static str, place: &'static str, why: &'static str, remedy: &'static str) -> Code {
    Code { word, place, why, remedy }
}

const BUG: &str =
    "nothing was run; this is a bug of Ringfence: report it with the output of `ringfence run --verbose`";
const MORE: &str = "raise this process' own limits (`ulimit -a`), or run fewer at once";

/// All of them, in the order of the alphabet.
pub const CODES: &[Code] = &[
    code(
        "argument",
        "the command's arguments",
        "the kernel cannot take them (execve(2))",
        "leave out what is named",
    ),
    code("batch", "`batch` itself", "its threads or signals could not be had", MORE),
    code(
        "cancel",
        "a batch's `cancel`",
        "no request of that id runs or waits",
        "it has been answered, or was never asked",
    ),
    code("cancelled", "the caller", "it was cancelled before it began", "run it again"),
    code(
        "cannot-start",
        "the filter of system calls",
        "the policy refuses what a start needs",
        "allow it in the profile",
    ),
    code(
        "capability",
        "`--keep-cap`",
        "the kernel has no such capability, or it cannot be kept",
        "name one of capabilities(7)",
    ),
    code(
        "cgroup",
        "the cgroup that holds the limits",
        "the kernel or the service manager did not do what was asked",
        "start from a cgroup that is delegated to this user as a whole, or run as root",
    ),
    code(
        "changed",
        "a granted path",
        "it was replaced while the sandbox started",
        "run it again when nobody changes it",
    ),
    code("command", "the command", "it cannot be followed to a program", "name a program by its path"),
    code(
        "commands",
        "`filesystem.commands`",
        "the list and the request contradict each other",
        "add what is named to the list, or leave it out of the request",
    ),
    code(
        "config",
        "`config.toml`",
        "it is not the system's or this user's alone, or wrong",
        "mend or remove the file that is named",
    ),
    code("contradiction", "two flags or keys", "they say different things of one path", "keep one of them"),
    code(
        "cpuset",
        "`--cpuset`",
        "these processors are not this process' to give",
        "name processors that `nproc` counts",
    ),
    code(
        "deny",
        "`--deny`",
        "it cannot be looked for, or hides what is needed",
        "name a path, or a narrower glob",
    ),
    code("device", "`--device`", "it is no device node that can be shown", "name a device node below /dev"),
    code(
        "encoding",
        "a request of a batch",
        "it is not encoded as it says",
        "send base64 with padding (RFC 4648), or \"utf-8\"",
    ),
    code(
        "ending",
        "`doctor`",
        "its sandbox ended otherwise than it was to",
        "`ringfence doctor --json` says which step",
    ),
    code(
        "env-file",
        "`--env-file`",
        "it cannot be read, or a line of it is no variable",
        "write NAME=VALUE lines",
    ),
    code(
        "environment",
        "`--env`",
        "a variable cannot have this name or value",
        "write NAME=VALUE, or NAME to pass the caller's",
    ),
    code(
        "events",
        "`--events`",
        "they have no place that the program cannot write",
        "name a file in a folder of yours, or fd:N",
    ),
    code("exec", "the start of the program", "the kernel does not execute it", "try it outside the sandbox"),
    code("execute", "the library's `execute`", "its thread ended early", BUG),
    code(
        "folder",
        "a request's own folder",
        "the file of a batch could not be made or read",
        "see that the temporary folder has room",
    ),
    code("hidden", "the command", "the policy hides the program", "show it with --ro"),
    code(
        "hostname",
        "`--hostname`",
        "the kernel or other programs cannot take it (sethostname(2))",
        "use letters, digits, dots and hyphens",
    ),
    code("id", "`--uid`, `--gid`, or a batch's id", "it is no id that can be used", "choose another"),
    code(
        "id-map",
        "the ids inside",
        "the kernel or newuidmap(1) does not map them",
        "see subuid(5), or use --id-map single",
    ),
    code("init", "PID 1's executable", "the memory file that holds it could not be made, or is gone", MORE),
    code("init-died", "PID 1", "it ended without a word", "was it killed from outside, or out of memory?"),
    code(
        "inspect",
        "`inspect`",
        "its prober could not be made, passed or heard",
        "raise `ulimit -f` and `ulimit -n`, and see `ringfence doctor`",
    ),
    code(
        "interpreter",
        "a `#!` line or a loader",
        "the program's interpreter cannot be used inside",
        "show it with --ro, or run the interpreter itself",
    ),
    code("kill", "`kill`", "the word means none, or more than one", "`ringfence ps` lists them"),
    code(
        "landlock",
        "Landlock",
        "the kernel did not take the rules",
        "`ringfence doctor` says what it can do",
    ),
    code("launch", "the start of PID 1", "the kernel gave no process, memory or descriptor", MORE),
    code("limit", "a limit", "it cannot be set so, or read", "ask for less"),
    code(
        "line",
        "a line of a batch",
        "it is no request",
        "send one JSON object a line, as `ringfence batch --help` shows it",
    ),
    code("look", "a path of the host", "it cannot be looked at", "see that this user may enter its folders"),
    code(
        "looser",
        "a request of a batch",
        "it may only tighten the policy",
        "give the batch's own flags what the request needs",
    ),
    code(
        "mount-point",
        "a path inside",
        "there is nothing to mount on, and the folder is read-only",
        "make it on the host, or show its folder with --tmpfs",
    ),
    code("name", "`--name`", "a live sandbox has it", "choose another --name"),
    code(
        "namespace",
        "the kernel",
        "it was built without this kind of namespace",
        "use a kernel that has it",
    ),
    code(
        "namespaces",
        "the kernel or the container",
        "it makes no namespace for this user",
        "`ringfence doctor` says what is in the way",
    ),
    code(
        "not-executable",
        "the command",
        "the kernel cannot execute it",
        "make it executable (chmod +x), or run its interpreter",
    ),
    code(
        "not-found",
        "the command",
        "no such program is in PATH, or at that path",
        "install it, or name it by its path",
    ),
    code(
        "other-program",
        "the command",
        "inside it would be another program than outside",
        "name the one that is meant by its path",
    ),
    code(
        "pass-fd",
        "`--pass-fd`",
        "this descriptor would be a way out, or is not open",
        "pass a pipe, a socket or a file that is open for writing",
    ),
    code(
        "path",
        "a path of the request",
        "it is no path that can be used there",
        "write an absolute path without `..`",
    ),
    code("plan", "the plan", "it could not be handed to PID 1", BUG),
    code("proc", "/proc", "it says not what it should", "mount a proc on /proc"),
    code(
        "profile",
        "the profile",
        "it is not there, not clear, or wrong",
        "`ringfence profile list` lists them, `profile check FILE` says what is wrong",
    ),
    code(
        "reach",
        "a granted path",
        "the program's host user may not reach it, and nothing maps its owner here",
        "run it with --user as one who may, or change its mode",
    ),
    code("refused", "a guarantee", "this host cannot give it", "`ringfence doctor` says what would"),
    code(
        "registry",
        "the list of live sandboxes",
        "its folder cannot be used",
        "set RINGFENCE_RUNTIME_DIR to a folder that is yours",
    ),
    code(
        "report",
        "`--report`, `report`",
        "it cannot be written there, or read",
        "name a file in a folder that exists and is yours",
    ),
    code("rootfs", "`--rootfs`", "it cannot be shown as a system", "name a folder with a system's programs"),
    code("signals", "this process", "its signals cannot be taken over", MORE),
    code(
        "source",
        "a path to be shown",
        "it is not there, or cannot be shown",
        "name a file or a folder that this user can read",
    ),
    code("start", "the set-up of the sandbox", "a step of it failed", "`ringfence doctor` tries every step"),
    code(
        "stream",
        "a request's streams",
        "the file cannot be one",
        "name a plain file that the policy shows",
    ),
    code("streams", "the three streams", "one of them cannot be connected", MORE),
    code(
        "syscalls",
        "the rules of system calls",
        "they are wrong, or too many for the kernel",
        "`ringfence profile check FILE` points at them",
    ),
    code(
        "too-many",
        "what is shown",
        "more than one start can carry",
        "show folders instead of single files",
    ),
    code(
        "toolchain",
        "`--toolchain`",
        "the command's toolchain is not clear, or not installed",
        "name the program itself, or --toolchain none",
    ),
    code("top", "`top`", "the terminal cannot be used", "`ringfence top --once` prints one table"),
    code("trust", "`profile trust`", "this file cannot be trusted", "name a profile that only you can write"),
    code(
        "unanswered",
        "`--explain`, `--on-violation log`",
        "nobody could answer what the program asks any longer, so it was ended",
        "leave it out: something filters or fakes system calls here",
    ),
    code(
        "untrusted",
        "a profile of the working directory",
        "nobody has trusted it as it is now",
        "read it, then `ringfence profile trust FILE`",
    ),
    code("usage", "the command line", "it is not understood", "`ringfence --help` says what there is"),
    code("user", "`--user`", "this host identity cannot be taken", "name a user that is not root, or auto"),
    code(
        "verify",
        "the set-up of the sandbox",
        "the kernel reported success, and it is not so",
        "nothing was run; report it with the kernel's version",
    ),
    code("waiver", "`--allow-degraded`", "this guarantee is never waived", "leave it out"),
    code(
        "workdir",
        "`--workdir`",
        "the program cannot start there",
        "name a folder that is shown inside, by its absolute path",
    ),
];

/// The code of this word.
#[must_use]
pub fn find(word: &str) -> Option<&'static Code> {
    CODES.iter().find(|code| code.word == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_there_once_in_its_place_and_says_what_to_do() {
        assert!(CODES.windows(2).all(|pair| pair[0].word < pair[1].word), "in order, and none twice");
        for code in CODES {
            let said = [code.place, code.why, code.remedy];
            assert!(said.iter().all(|text| !text.is_empty() && !text.ends_with('.')), "{code:?}");
            assert_eq!(find(code.word).map(|found| found.word), Some(code.word));
        }
    }
}
