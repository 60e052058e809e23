//! The seccomp filters of container engines: the OCI runtime's schema, and Docker's and podman's on top of it.

use std::collections::BTreeSet;

use ringfence_seccomp::{Action, Comparison, Condition, Place, Rule, Syscalls, Violation, check};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::judge::judge_foreign;
use super::mistake::Mistake;
use super::model::{Profile, SyscallsSection};
use super::reduce::{known_names, reduced};
use super::tree::Step::{Item, Key};
use super::tree::{self, Node, Step, plain};
use super::{Mistakes, read};
use crate::Capability;

/// What the blocks of such a filter may depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The kernel's version.
    pub kernel: (u32, u32),
    /// The capabilities that the program keeps.
    pub kept: BTreeSet<Capability>,
}

/// A filter of a container engine, as rules of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OciFilter {
    /// The rules. Our floor stands below them as below any others.
    pub syscalls: Syscalls,
    /// What an unlisted call gets.
    pub on_violation: Violation,
    /// Names that our tables lack: left out, as engines do.
    pub unknown: Vec<String>,
    /// What was decided where the two do not say the same: sentences for a person.
    pub notes: Vec<String>,
}

impl OciFilter {
    /// Reads one.
    ///
    /// # Errors
    /// Every mistake, with its place.
    pub fn parse(text: &str, facts: &Facts) -> Result<Self, Mistakes> {
        let tree = tree::json(text).map_err(|mistakes| Mistakes::locate(text, mistakes, &[]))?;
        read_filter(&tree, facts).map_err(|mistakes| Mistakes::locate(text, mistakes, &[]))
    }

    /// Is the text such a filter, as far as its first words tell?
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        tree::json(text).is_ok_and(|tree| tree.entry("defaultAction").is_some())
    }

    /// Sentences for a person: what was left out, and what was decided.
    #[must_use]
    pub fn into_notes(mut self) -> Vec<String> {
        if !self.unknown.is_empty() {
            let names: Vec<_> = self.unknown.iter().map(|name| plain(name)).collect();
            self.notes.push(format!(
                "{} unknown names were left out: {}; look for a misspelling",
                names.len(),
                names.join(" ")
            ));
        }
        self.notes
    }

    /// A profile that says nothing but these rules.
    #[must_use]
    pub fn into_profile(self) -> Profile {
        let rules = self.syscalls;
        let syscalls = SyscallsSection {
            allow: Some(rules.allow),
            deny: rules.deny,
            kill: rules.kill,
            log: rules.log,
            rules: rules.rules,
        };
        Profile { syscalls, on_violation: Some(self.on_violation), notes: self.notes, ..Profile::default() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Written {
    default_action: WrittenAction,
    #[serde(default)]
    default_errno_ret: Option<u16>,
    #[serde(default)]
    default_errno: Option<String>,
    #[serde(default, rename = "architectures")]
    _architectures: IgnoredAny,
    #[serde(default, rename = "archMap")]
    _arch_map: IgnoredAny,
    #[serde(default, rename = "flags")]
    _flags: IgnoredAny,
    #[serde(default)]
    syscalls: Option<Vec<Block>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Block {
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    name: Option<String>,
    action: WrittenAction,
    #[serde(default)]
    errno_ret: Option<u16>,
    #[serde(default)]
    errno: Option<String>,
    #[serde(default)]
    args: Option<Vec<Argument>>,
    #[serde(default, rename = "comment")]
    _comment: IgnoredAny,
    #[serde(default)]
    includes: Option<Circumstances>,
    #[serde(default)]
    excludes: Option<Circumstances>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Argument {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: Operator,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Circumstances {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
enum WrittenAction {
    #[serde(rename = "SCMP_ACT_ALLOW")]
    Allow,
    #[serde(rename = "SCMP_ACT_ERRNO")]
    Errno,
    #[serde(rename = "SCMP_ACT_KILL", alias = "SCMP_ACT_KILL_PROCESS", alias = "SCMP_ACT_KILL_THREAD")]
    Kill,
    #[serde(rename = "SCMP_ACT_TRAP")]
    Trap,
    #[serde(rename = "SCMP_ACT_LOG")]
    Log,
    #[serde(rename = "SCMP_ACT_TRACE")]
    Trace,
    #[serde(rename = "SCMP_ACT_NOTIFY")]
    Notify,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
enum Operator {
    #[serde(rename = "SCMP_CMP_EQ")]
    Eq,
    #[serde(rename = "SCMP_CMP_NE")]
    Ne,
    #[serde(rename = "SCMP_CMP_LT")]
    Lt,
    #[serde(rename = "SCMP_CMP_LE")]
    Le,
    #[serde(rename = "SCMP_CMP_GT")]
    Gt,
    #[serde(rename = "SCMP_CMP_GE")]
    Ge,
    #[serde(rename = "SCMP_CMP_MASKED_EQ")]
    MaskedEq,
}

fn read_filter(tree: &Node, facts: &Facts) -> Result<OciFilter, Vec<Mistake>> {
    if tree.entry("defaultAction").is_none() {
        let message =
            "this is no filter of container engines (it has no `defaultAction`); a profile is given with -p";
        return Err(vec![Mistake::new(tree.span.start..tree.span.start, message.to_owned())]);
    }
    let (written, _, mistakes) = read::read::<Written>(tree);
    let Some(written) = written.filter(|_| mistakes.is_empty()) else { return Err(mistakes) };
    let filter = OciFilter {
        syscalls: Syscalls::default(),
        on_violation: Violation::default(),
        unknown: Vec::new(),
        notes: Vec::new(),
    };
    let mut reading = Reading { tree, facts, names: known_names(), filter, blocks: Vec::new(), mistakes };
    reading.default(&written);
    for (index, block) in written.syscalls.into_iter().flatten().enumerate() {
        reading.block(index, block);
    }
    reading.arguments();
    let Reading { mut filter, mut mistakes, .. } = reading;
    if mistakes.is_empty() {
        mistakes = judge_foreign(&filter.clone().into_profile(), tree);
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    // Engines' filters name much that changes nothing here.
    filter.syscalls = reduced(filter.syscalls, filter.on_violation).0;
    Ok(filter)
}

struct Reading<'a> {
    tree: &'a Node,
    facts: &'a Facts,
    names: BTreeSet<&'static str>,
    filter: OciFilter,
    /// The block that each rule comes from.
    blocks: Vec<usize>,
    mistakes: Vec<Mistake>,
}

impl Reading<'_> {
    fn say(&mut self, steps: &[Step<'_>], message: String) {
        self.mistakes.push(Mistake::new(self.tree.find(steps).span.clone(), message));
    }

    fn default(&mut self, written: &Written) {
        let errno =
            self.errno(&[Key("defaultErrno")], written.default_errno_ret, written.default_errno.as_deref());
        self.filter.on_violation = match written.default_action {
            WrittenAction::Errno => Violation::Errno(errno),
            WrittenAction::Kill => Violation::Kill,
            WrittenAction::Log => Violation::Log,
            WrittenAction::Allow => {
                self.filter.syscalls.allow.push("@all".to_owned());
                Violation::default()
            }
            WrittenAction::Trap => {
                self.filter
                    .notes
                    .push("the default action TRAP is held as KILL, which no handler can catch".into());
                Violation::Kill
            }
            WrittenAction::Trace | WrittenAction::Notify => {
                self.say(&[Key("defaultAction")], NO_SUPERVISOR.to_owned());
                Violation::Kill
            }
        };
    }

    /// A number, or a name that some engines write beside it.
    fn errno(&mut self, place: &[Step<'_>], number: Option<u16>, name: Option<&str>) -> u16 {
        match (number, name) {
            (Some(number), _) => number,
            (None, None) => EPERM,
            (None, Some(name)) => match ERRNOS.iter().find(|(known, _)| *known == name) {
                Some((_, number)) => *number,
                None => {
                    self.say(
                        place,
                        format!("`{}` is no error that is known here; write its number", plain(name)),
                    );
                    EPERM
                }
            },
        }
    }

    fn block(&mut self, index: usize, block: Block) {
        let place = [Key("syscalls"), Item(index)];
        let within = |key| [place[0], place[1], Key(key)];
        if let Some(includes) = &block.includes
            && !self.hold(&within("includes"), includes, true)
        {
            return;
        }
        if let Some(excludes) = &block.excludes
            && !self.hold(&within("excludes"), excludes, false)
        {
            return;
        }
        let errno = self.errno(&within("errno"), block.errno_ret, block.errno.as_deref());
        let names = self.known(block.names.into_iter().chain(block.name));
        if names.is_empty() {
            return;
        }
        let (action, errno) = match block.action {
            WrittenAction::Allow => (Action::Allow, None),
            WrittenAction::Errno => (Action::Errno, Some(errno)),
            WrittenAction::Kill => (Action::Kill, None),
            WrittenAction::Trap => (Action::Trap, None),
            WrittenAction::Log => (Action::Log, None),
            WrittenAction::Trace | WrittenAction::Notify => {
                return self.say(&within("action"), NO_SUPERVISOR.to_owned());
            }
        };
        let args: Vec<_> = block.args.iter().flatten().map(condition).collect();
        let rules = &mut self.filter.syscalls;
        if args.is_empty() {
            match action {
                Action::Allow => rules.allow.extend(names),
                Action::Kill => rules.kill.extend(names),
                Action::Log => rules.log.extend(names),
                _ => {
                    rules.rules.push(Rule { syscalls: names, args, action, errno });
                    self.blocks.push(index);
                }
            }
            return;
        }
        // Two conditions on one argument are alternatives to the engines (runc's, crun's libseccomp glue).
        let distinct: BTreeSet<_> = args.iter().map(|condition| condition.index).collect();
        let alternatives = if distinct.len() == args.len() {
            vec![args]
        } else {
            args.into_iter().map(|one| vec![one]).collect()
        };
        for args in alternatives {
            rules.rules.push(Rule { syscalls: names.clone(), args, action, errno });
            self.blocks.push(index);
        }
    }

    /// Conditions that no call of their block has.
    fn arguments(&mut self) {
        let rules = Syscalls { rules: self.filter.syscalls.rules.clone(), ..Syscalls::default() };
        for mistake in check(&rules) {
            if let Place::RuleArgument(rule, _) = mistake.place
                && let Some(block) = self.blocks.get(rule)
            {
                self.say(&[Key("syscalls"), Item(*block), Key("args")], mistake.message);
            }
        }
    }

    /// Do the circumstances let a block count? What must be there must all be there; of what must not, nothing.
    fn hold(&mut self, place: &[Step<'_>], circumstances: &Circumstances, wanted: bool) -> bool {
        let kept = |name: &String| name.parse().is_ok_and(|cap: Capability| self.facts.kept.contains(&cap));
        let mut caps = circumstances.caps.iter().flatten();
        let caps = if wanted { caps.all(kept) } else { !caps.any(kept) };
        let arches = circumstances.arches.as_deref().unwrap_or_default();
        let here = arches.iter().any(|arch| ARCHITECTURE.contains(&arch.as_str()));
        let arches = arches.is_empty() || here == wanted;
        let kernel = match circumstances.min_kernel.as_deref().filter(|text| !text.is_empty()).map(version) {
            None => true,
            Some(Some(least)) => (self.facts.kernel >= least) == wanted,
            Some(None) => {
                self.say(
                    &[place, &[Key("minKernel")]].concat(),
                    "this is no version of a kernel (4.8)".to_owned(),
                );
                false
            }
        };
        caps && arches && kernel
    }

    /// The names that our tables have.
    fn known(&mut self, names: impl Iterator<Item = String>) -> Vec<String> {
        let mut known = Vec::new();
        for name in names {
            // A group is a word of ours, and none of the engines'.
            let is_known = self.names.contains(name.as_str()) && !name.starts_with('@');
            let list = if is_known { &mut known } else { &mut self.filter.unknown };
            if !list.contains(&name) {
                list.push(name);
            }
        }
        known
    }
}

fn condition(argument: &Argument) -> Condition {
    let (op, value, mask) = match argument.op {
        Operator::Eq => (Comparison::Eq, argument.value, None),
        Operator::Ne => (Comparison::Ne, argument.value, None),
        Operator::Lt => (Comparison::Lt, argument.value, None),
        Operator::Le => (Comparison::Le, argument.value, None),
        Operator::Gt => (Comparison::Gt, argument.value, None),
        Operator::Ge => (Comparison::Ge, argument.value, None),
        // Here the first value is the mask (seccomp_rule_add(3)).
        Operator::MaskedEq => (Comparison::Eq, argument.value_two, Some(argument.value)),
    };
    Condition { index: argument.index, op, value: value.into(), mask }
}

/// `4.8` or `4.8.1`
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.').map(str::parse);
    match (numbers.next()?, numbers.next()?) {
        (Ok(major), Ok(minor)) => Some((major, minor)),
        _ => None,
    }
}

const NO_SUPERVISOR: &str = "this version asks no supervisor about calls: TRACE and NOTIFY cannot be held; write \
                             SCMP_ACT_ERRNO or SCMP_ACT_KILL";

/// What the engines call this architecture.
const ARCHITECTURE: [&str; 2] =
    if cfg!(target_arch = "aarch64") { ["arm64", "aarch64"] } else { ["amd64", "x86_64"] };

const EPERM: u16 = 1;

/// The errors that filters answer, as asm-generic/errno-base.h and errno.h number them.
const ERRNOS: [(&str, u16); 18] = [
    ("EPERM", EPERM),
    ("ENOENT", 2),
    ("EIO", 5),
    ("ENXIO", 6),
    ("EBADF", 9),
    ("EAGAIN", 11),
    ("ENOMEM", 12),
    ("EACCES", 13),
    ("EFAULT", 14),
    ("EBUSY", 16),
    ("ENODEV", 19),
    ("EINVAL", 22),
    ("ENOTTY", 25),
    ("ENOSPC", 28),
    ("EROFS", 30),
    ("ENOSYS", 38),
    ("EOPNOTSUPP", 95),
    ("EAFNOSUPPORT", 97),
];
