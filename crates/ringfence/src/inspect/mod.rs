//! What a program under a policy can reach: tried from inside, by a prober that runs as the program of a real sandbox.
//!
//! Nothing is simulated. The plan is that of a run, but for the executable, which is the prober in a sealed memory
//! file: it brings no file, no loader and no right into the sandbox. What it says is taken for data.

mod diff;
mod files;
mod kernel;
mod own;
mod prober;
mod sockets;

use std::ffi::OsString;

use ringfence_linux::told::Section;
use ringfence_linux::{Passes, Ruled};
use ringfence_policy::{Policy, Problem};
use serde::Serialize;

pub use diff::{Change, Difference, Direction, difference};

use crate::command::Plan;
use prober::Told;

/// The version of the JSON.
pub const SCHEMA: u32 = 1;

/// The calls that execute a program.
const EXECUTES: [&str; 2] = ["execve", "execveat"];

/// What a finding is about, what matters most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// A file or folder whose name is that of a secret, and that can be read.
    Secret,
    /// A capability that is not dropped, or a privilege that can be gained.
    Privilege,
    /// A setuid or setgid file, or one with file capabilities.
    Setuid,
    /// The tree below a folder, up to the next one that is named.
    Folder,
    /// A file with which something else can be done than with its folder.
    File,
    /// A device that opens.
    Device,
    /// A unix socket, or a FIFO, that answers.
    Socket,
    /// A loopback port that answers.
    Service,
    /// A way out of the machine.
    Network,
    /// Another process.
    Process,
    /// Shared memory, semaphores, queues, keyrings.
    Ipc,
    /// A feature of the kernel.
    Kernel,
    /// A file of the kernel's.
    Interface,
    /// A socket family, or a protocol of netlink.
    Family,
    /// A system call that passes.
    Syscall,
    /// An interpreter, a compiler, or what fetches and debugs.
    Program,
    /// A limit on resources; `level` is what may be used.
    Limit,
    /// A variable of the environment.
    Variable,
    /// An open file beside the three streams.
    Open,
    /// A terminal that controls the program.
    Terminal,
}

/// One thing that can be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// What it is about.
    pub class: Class,
    /// Which one: a path inside, a number, a name.
    pub name: String,
    /// How far, in a word.
    pub reach: String,
    /// The same as a number: more is more. Compared within a class.
    pub level: u64,
    /// More, for people.
    pub detail: String,
    /// Where on the host it stays when the run is over.
    pub persists: Option<String>,
    /// What takes it away.
    pub remedy: Option<String>,
}

impl Item {
    fn new(class: Class, name: impl Into<String>, reach: &str, level: u64) -> Self {
        let (name, reach) = (name.into(), reach.to_owned());
        Self { class, name, reach, level, detail: String::new(), persists: None, remedy: None }
    }

    fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// Something that was not looked at, or not to the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotTried {
    /// What.
    pub what: String,
    /// Why not.
    pub why: String,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The version of Ringfence.
    pub version: String,
    /// The profile that the policy began as.
    pub profile: String,
    /// SHA-256 of the policy, as in a report.
    pub policy_sha256: String,
    /// Everything that can be reached, in the order of the classes.
    pub items: Vec<Item>,
    /// How many files can be executed.
    pub executables: u64,
    /// What was not looked at.
    pub not_tried: Vec<NotTried>,
    /// System calls that the kernel answered otherwise than the policy's rules say: a mistake of ours, or of the kernel's.
    pub disagreements: Vec<String>,
    /// How many probers it took: what ends one is left out by the next.
    pub probers: usize,
    #[serde(skip)]
    folders: files::Access,
}

/// Tries what a program under a policy can reach. `words` is a command whose toolchain is shown as a run of it would;
/// it is not run. No words: the policy alone.
///
/// # Errors
/// What a run would be refused for, and where the prober cannot be started or heard.
pub fn inspect(policy: &Policy, words: &[OsString]) -> Result<Inspection, Problem> {
    let (told, plan) = prober::probe(policy, words)?;
    Ok(judged(policy, &told, &plan, &ringfence_linux::ruled(policy)))
}

/// From what was said to what it means.
fn judged(policy: &Policy, told: &Told, plan: &Plan, ruled: &[Ruled]) -> Inspection {
    let mut not_tried = not_tried(told);
    let (folders, mut items) = files::judge(told, plan, &mut not_tried);
    items.extend(own::judge(told));
    items.extend(sockets::judge(told, &mut not_tried));
    items.extend(kernel::judge(told, ruled, &mut not_tried));
    let (calls, disagreements) = kernel::calls(told, ruled, &mut not_tried);
    items.extend(calls);
    // Whatever could be executed by its bits, where no call that executes passes.
    let executes = ruled.iter().any(|call| EXECUTES.contains(&call.name) && call.passes != Passes::Never);
    items.retain(|item| executes || item.class != Class::Program);
    items.sort_by(|a, b| (a.class, &a.name).cmp(&(b.class, &b.name)));
    items.dedup_by(|a, b| (a.class, &a.name) == (b.class, &b.name));
    Inspection {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        profile: policy.profile.clone(),
        policy_sha256: policy.sha256(),
        executables: if executes { files::executables(told) } else { 0 },
        items,
        not_tried,
        disagreements,
        probers: told.probers,
        folders,
    }
}

fn not_tried(told: &Told) -> Vec<NotTried> {
    let section = |(section, why): &(Section, String)| NotTried {
        what: format!("the rest of: {}", section.name()),
        why: why.clone(),
    };
    told.failed.iter().map(section).collect()
}

/// A name of the sandbox's as text: what is no UTF-8 is written as `\xNN`.
fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap_or_else(|_| bytes.escape_ascii().to_string())
}
