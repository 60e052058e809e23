//! What `ringfence` says when nothing was asked: eight lines, not the whole help.

use crate::messages;

const LINES: [&str; 8] = [
    "runs a program so that the kernel itself holds it in",
    "  ringfence run -- python3 job.py       no network, a read-only system, an empty HOME",
    "  ringfence run --rw . -- make          the same, and the working directory is writable",
    "  ringfence plan -- python3 job.py      the steps and the guarantees; runs nothing",
    "  ringfence report FILE                 what `run --report FILE` wrote, for people",
    "  ringfence profile list                what a policy can begin as",
    "  ringfence run --help                  every flag; `ringfence man` prints the manual",
    "nothing was done: no command was given",
];

pub(crate) fn say() {
    for line in LINES {
        messages::say(line);
    }
}
