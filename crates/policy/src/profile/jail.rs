//! The schema of the syscall jail that the second source document describes. What its own program ignored is
//! held here, or refused by name.

use std::collections::BTreeMap;
use std::time::Duration;

use ringfence_seccomp::{Action, Comparison, Condition, Rule, Violation};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::judge;
use super::mistake::Mistake;
use super::model::Profile;
use super::read;
use super::tree::Step::{Item, Key};
use super::tree::{Node, Step, Value, plain};
use crate::policy::Tmpfs;
use crate::words::command_name;
use crate::{Capability, Network, Size};

/// Is the file one of these?
pub(super) fn is_one(tree: &Node) -> bool {
    let syscalls = tree.get("syscalls");
    tree.entry("profile_name").is_some()
        || syscalls.is_some_and(|syscalls| {
            ["default_action", "allowed", "blocked"].iter().any(|key| syscalls.entry(key).is_some())
        })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Jail {
    profile_name: String,
    description: String,
    #[serde(rename = "version")]
    _version: IgnoredAny,
    #[serde(default, rename = "author")]
    _author: IgnoredAny,
    #[serde(default, rename = "threat_model")]
    _threat_model: IgnoredAny,
    #[serde(default, rename = "metadata")]
    _metadata: IgnoredAny,
    syscalls: Syscalls,
    #[serde(default)]
    capabilities: Option<Capabilities>,
    #[serde(default)]
    namespaces: Namespaces,
    #[serde(default)]
    filesystem: Files,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    audit: BTreeMap<String, IgnoredAny>,
    #[serde(default)]
    network_filter: Option<IgnoredAny>,
    #[serde(default)]
    sanitization: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Syscalls {
    default_action: Default_,
    #[serde(default)]
    errno_value: Option<u16>,
    #[serde(default)]
    allowed: Vec<String>,
    #[serde(default)]
    blocked: Vec<String>,
    #[serde(default)]
    conditional: Vec<Conditional>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Default_ {
    Kill,
    Errno,
    Allow,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Conditional {
    syscall: String,
    rules: Vec<ConditionalRule>,
    #[serde(default, rename = "description")]
    _description: IgnoredAny,
    #[serde(default, rename = "comment")]
    _comment: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConditionalRule {
    arg: u8,
    op: Operator,
    #[serde(default)]
    mask: Option<u64>,
    #[serde(default)]
    value: Option<u64>,
    action_if_match: Answer,
    #[serde(default)]
    paths_blocked: Vec<String>,
    #[serde(default)]
    errno: Option<u16>,
    #[serde(default, rename = "description")]
    _description: IgnoredAny,
    #[serde(default, rename = "comment")]
    _comment: IgnoredAny,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Operator {
    MaskedEq,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Answer {
    CheckPath,
    Errno,
    Kill,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Capabilities {
    #[serde(default)]
    drop_all: Option<bool>,
    #[serde(default)]
    keep: Vec<Capability>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Namespaces {
    enabled: Vec<String>,
    network: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Files {
    protected_paths: Vec<String>,
    writable_sandbox: Option<IgnoredAny>,
    allowed_commands: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Limits {
    max_open_files: Option<u64>,
    max_memory_mb: Option<u64>,
    max_cpu_time_sec: Option<u64>,
    max_processes: Option<u64>,
    max_execution_time_sec: Option<u64>,
}

/// Reads one.
///
/// # Errors
/// Every mistake, by its place; and every word that this version cannot hold and nobody can waive.
pub(super) fn read(tree: &Node) -> Result<Profile, Vec<Mistake>> {
    let (jail, _, mistakes) = read::read::<Jail>(tree);
    let Some(jail) = jail.filter(|_| mistakes.is_empty()) else { return Err(mistakes) };
    let profile = Profile { name: jail.profile_name, description: jail.description, ..Profile::default() };
    let mut reading = Reading { tree, profile, mistakes };
    reading.syscalls(jail.syscalls);
    if let Some(capabilities) = jail.capabilities {
        if capabilities.drop_all == Some(false) {
            reading.note(
                "`capabilities.drop_all` is false, and all but those of `keep` are dropped all the same",
            );
        }
        reading.profile.capabilities.keep = capabilities.keep.into_iter().collect();
    }
    reading.namespaces(&jail.namespaces);
    reading.files(&jail.filesystem);
    reading.limits(&jail.limits);
    reading.audit(&jail.audit);
    reading.network_filter(jail.network_filter.is_some());
    reading.sanitization(jail.sanitization.is_some());
    let Reading { profile, mut mistakes, .. } = reading;
    if mistakes.is_empty() {
        mistakes = judge::judge_foreign(&profile, tree);
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let (mut profile, dropped) = profile.with_reduced_rules();
    if !dropped.is_empty() {
        profile.notes.push(format!("left out, for every policy answers them alike: {}", dropped.join(", ")));
    }
    Ok(profile)
}

struct Reading<'a> {
    tree: &'a Node,
    profile: Profile,
    mistakes: Vec<Mistake>,
}

impl Reading<'_> {
    fn say(&mut self, steps: &[Step<'_>], message: String) {
        self.mistakes.push(Mistake::new(self.tree.find(steps).span.clone(), message));
    }

    fn note(&mut self, note: impl Into<String>) {
        self.profile.notes.push(note.into());
    }

    fn syscalls(&mut self, syscalls: Syscalls) {
        let errno = syscalls.errno_value.unwrap_or(1);
        self.profile.on_violation = Some(match syscalls.default_action {
            Default_::Kill => Violation::Kill,
            Default_::Errno | Default_::Allow => Violation::Errno(errno),
        });
        let all = syscalls.default_action == Default_::Allow;
        let allowed = if all { vec!["@all".to_owned()] } else { syscalls.allowed };
        let blocked = syscalls.blocked;
        let both: Vec<_> = allowed.iter().filter(|name| blocked.contains(name)).cloned().collect();
        if !both.is_empty() {
            self.note(format!("allowed and blocked, so blocked: {}", both.join(", ")));
        }
        let mut allow: Vec<String> = Vec::new();
        for name in allowed.into_iter().filter(|name| !both.contains(name)) {
            if !allow.contains(&name) {
                allow.push(name);
            }
        }
        for (index, conditional) in syscalls.conditional.into_iter().enumerate() {
            self.conditional(index, conditional, errno);
        }
        let rules = &mut self.profile.syscalls;
        rules.allow = Some(allow);
        match syscalls.default_action {
            Default_::Kill => rules.kill = blocked,
            Default_::Errno | Default_::Allow => rules.deny = blocked,
        }
    }

    fn conditional(&mut self, index: usize, conditional: Conditional, usual: u16) {
        for (number, rule) in conditional.rules.into_iter().enumerate() {
            let steps = [Key("syscalls"), Key("conditional"), Item(index), Key("rules"), Item(number)];
            if rule.arg > 5 {
                let message = "a system call has the arguments 0 to 5".to_owned();
                self.say(&[&steps[..], &[Key("arg")]].concat(), message);
                continue;
            }
            if rule.action_if_match == Answer::CheckPath {
                self.check_path(&conditional.syscall, &steps, rule.paths_blocked);
                continue;
            }
            let Some(condition) = self.condition(&steps, &rule) else { continue };
            let (action, errno) = match rule.action_if_match {
                Answer::Kill => (Action::Kill, None),
                _ => (Action::Errno, Some(rule.errno.unwrap_or(usual))),
            };
            let syscalls = vec![conditional.syscall.clone()];
            self.profile.syscalls.rules.push(Rule { syscalls, args: vec![condition], action, errno });
        }
    }

    /// A filter sees a pointer, never the path behind it. Hidden files hold for every call, so for this one too.
    fn check_path(&mut self, syscall: &str, steps: &[Step<'_>], paths: Vec<String>) {
        if paths.is_empty() {
            let message =
                "`check_path` without `paths_blocked` says nothing that could be held; name the paths";
            self.say(steps, message.to_owned());
        }
        for path in paths {
            self.note(format!(
                "`{}` is hidden from every system call: a filter cannot read the path of {}",
                plain(&path),
                plain(syscall)
            ));
            let deny = &mut self.profile.filesystem.deny;
            if !deny.contains(&path) {
                deny.push(path);
            }
        }
    }

    fn condition(&mut self, steps: &[Step<'_>], rule: &ConditionalRule) -> Option<Condition> {
        let compared =
            |op, value: u64, mask| Some(Condition { index: rule.arg, op, value: i128::from(value), mask });
        match (rule.op, rule.mask, rule.value) {
            (Operator::MaskedEq, Some(mask), Some(value)) => compared(Comparison::Eq, value, Some(mask)),
            (Operator::MaskedEq, Some(mask), None) if mask != 0 => {
                // The file does not say with what the masked bits are compared: any of them is the strict reading.
                compared(Comparison::Ne, 0, Some(mask))
            }
            (Operator::MaskedEq, _, _) => {
                self.say(steps, "`masked_eq` needs a `mask` that is not 0".to_owned());
                None
            }
            (_, _, None) => {
                self.say(steps, "the comparison needs a `value`".to_owned());
                None
            }
            (op, mask, Some(value)) => {
                let op = match op {
                    Operator::Ne => Comparison::Ne,
                    Operator::Lt => Comparison::Lt,
                    Operator::Le => Comparison::Le,
                    Operator::Gt => Comparison::Gt,
                    Operator::Ge => Comparison::Ge,
                    Operator::Eq | Operator::MaskedEq => Comparison::Eq,
                };
                compared(op, value, mask)
            }
        }
    }

    fn namespaces(&mut self, namespaces: &Namespaces) {
        for (index, name) in namespaces.enabled.iter().enumerate() {
            let lower = name.to_ascii_lowercase();
            let short = lower.strip_prefix("clone_new").unwrap_or(&lower);
            let made = ["pid", "mount", "mnt", "ns", "network", "net", "ipc", "uts", "user", "cgroup"];
            if !made.contains(&short) {
                let message = format!("`{}` is no namespace that a sandbox of ours has", plain(name));
                self.say(&[Key("namespaces"), Key("enabled"), Item(index)], message);
            }
        }
        if namespaces.network.is_none() {
            return;
        }
        let steps = [Key("namespaces"), Key("network")];
        let node = self.tree.find(&steps);
        let network = match &node.value {
            Value::Truth(true) => Some(Network::None),
            Value::Text(word) => match word.as_str() {
                "none" | "isolated" | "private" | "new" | "loopback" | "disabled" => Some(Network::None),
                "host" | "shared" => Some(Network::Host),
                _ => None,
            },
            _ => None,
        };
        match network {
            Some(network) => self.profile.network = Some(network),
            None => self.say(&steps, "this says no network of ours; write \"none\" or \"host\"".to_owned()),
        }
    }

    fn files(&mut self, files: &Files) {
        for (index, path) in files.protected_paths.iter().enumerate() {
            if path.starts_with('/') || path.starts_with('~') {
                self.profile.filesystem.protected.push(path.clone());
            } else {
                let message = "a protected path is absolute, or begins with `~/`".to_owned();
                self.say(&[Key("filesystem"), Key("protected_paths"), Item(index)], message);
            }
        }
        for (index, name) in files.allowed_commands.iter().flatten().enumerate() {
            match command_name(name) {
                Ok(()) => self.profile.filesystem.commands.push(name.clone()),
                Err(why) => self.say(&[Key("filesystem"), Key("allowed_commands"), Item(index)], why),
            }
        }
        if files.allowed_commands.as_ref().is_some_and(Vec::is_empty) {
            self.note("`allowed_commands` names none, so every program of the system's is there");
        }
        if files.writable_sandbox.is_some() {
            self.writable_sandbox();
        }
    }

    fn writable_sandbox(&mut self) {
        let steps = [Key("filesystem"), Key("writable_sandbox")];
        let node = self.tree.find(&steps).clone();
        let paths: Vec<_> = match &node.value {
            Value::Truth(_) => {
                return self
                    .note("what is written goes to /tmp and the home, both in memory: nothing of it lasts");
            }
            Value::Text(path) => vec![Some(path.as_str())],
            Value::List(items) => items.iter().map(Node::text).collect(),
            _ => vec![None],
        };
        for path in paths {
            match path {
                Some("/tmp" | "/tmp/") => {}
                Some(path) if path.starts_with('/') => {
                    self.note(format!("`{}` is an empty writable folder in memory", plain(path)));
                    self.profile.filesystem.tmpfs.push(Tmpfs { path: path.into(), size: None });
                }
                _ => self.say(&steps, "this is no absolute path inside".to_owned()),
            }
        }
    }

    fn limits(&mut self, limits: &Limits) {
        let own = &mut self.profile.limits;
        own.nofile = limits.max_open_files;
        own.timeout = limits.max_execution_time_sec.map(Duration::from_secs);
        own.memory = limits.max_memory_mb.map(|n| Size(n.saturating_mul(1 << 20)));
        own.cpu_time = limits.max_cpu_time_sec.map(Duration::from_secs);
        own.pids = limits.max_processes;
        for (key, value) in [
            ("max_open_files", limits.max_open_files),
            ("max_execution_time_sec", limits.max_execution_time_sec),
            ("max_memory_mb", limits.max_memory_mb),
            ("max_cpu_time_sec", limits.max_cpu_time_sec),
            ("max_processes", limits.max_processes),
        ] {
            if value == Some(0) {
                self.say(
                    &[Key("limits"), Key(key)],
                    format!("`{key}` is 0, and nothing runs under that; take it out"),
                );
            }
        }
    }

    /// A log changes nothing of what is held: what this version writes elsewhere, or not, is said.
    fn audit(&mut self, audit: &BTreeMap<String, IgnoredAny>) {
        let is_true = |key: &str| {
            let node = self.tree.get("audit").and_then(|audit| audit.get(key));
            matches!(node.map(|node| &node.value), Some(Value::Truth(true)))
        };
        let (violations, allowed) = (is_true("log_violations"), is_true("log_allowed"));
        if violations && self.profile.on_violation != Some(Violation::Kill) {
            self.note(
                "`audit.log_violations`: the kernel logs what is killed; what is refused is not logged",
            );
        }
        if allowed {
            let rules = &mut self.profile.syscalls;
            rules.log = rules.allow.replace(Vec::new()).unwrap_or_default();
        }
        if audit.contains_key("log_target") {
            self.note("`audit.log_target`: what is logged goes to the kernel's audit log");
        }
        let known = ["log_violations", "log_allowed", "log_target"];
        let others: Vec<_> =
            audit.keys().filter(|key| !known.contains(&key.as_str())).map(|key| plain(key)).collect();
        if !others.is_empty() {
            self.note(format!("`audit`: {} changes nothing here", others.join(", ")));
        }
    }

    fn network_filter(&mut self, there: bool) {
        if !there {
            return;
        }
        if self.profile.network == Some(Network::Host) {
            let message =
                "`network_filter` cannot be held by this version where `namespaces.network` is the host's";
            return self.say(&[Key("network_filter")], message.to_owned());
        }
        self.profile.network = Some(Network::None);
        self.note("`network_filter`: there is no network at all, which is stricter than a filter of it");
    }

    /// Its keys are not described anywhere; what is about variables holds anyway, and the rest is refused.
    fn sanitization(&mut self, there: bool) {
        if !there {
            return;
        }
        let Some(entry) = self.tree.entry("sanitization") else { return };
        let asks = |node: &Node| !matches!(node.value, Value::Null | Value::Truth(false));
        for inner in entry.node.entries().iter().filter(|inner| asks(&inner.node)) {
            if !inner.name.contains("env") && !inner.name.contains("variable") {
                let message = format!(
                    "`sanitization.{}` cannot be held by this version: nothing changes what a program is told; take it out",
                    plain(&inner.name)
                );
                self.mistakes.push(Mistake::new(inner.span.clone(), message));
            }
        }
        self.profile.notes.push("`sanitization`: the program sees no variable that is not listed".to_owned());
    }
}
