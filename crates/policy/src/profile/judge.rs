//! What serde cannot see: values that no sandbox could have, and words that contradict each other.

use ringfence_seccomp::{Place, Syscalls, Violation, check, floor};

use super::extend::same;
use super::mistake::Mistake;
use super::model::Profile;
use super::near::did_you_mean;
use super::read;
use super::reduce::known_names;
use super::tree::Step::{Item, Key};
use super::tree::{Node, Span, Step, Value, plain};
use crate::policy::check_hostname;
use crate::words::{absolute, command_name, plain_path};
use crate::{Base, Policy};

/// MAX_ERRNO of linux/err.h.
const MOST_ERRNO: u16 = 4095;

/// Reads a profile of ours and judges it.
///
/// # Errors
/// Every mistake, by its place.
pub(super) fn read(tree: &Node) -> Result<Profile, Vec<Mistake>> {
    let (profile, pruned, mut mistakes) = read::read::<Profile>(tree);
    if tree.entry("defaultAction").is_some() {
        let message = "this is a filter of container engines, no profile: give it with --seccomp FILE, or make a \
                       profile of it with `ringfence profile import FILE`";
        return Err(vec![Mistake::new(tree.find(&[Key("defaultAction")]).span.clone(), message.to_owned())]);
    }
    if let Some(profile) = &profile {
        mistakes.extend(judge(profile, &pruned));
    }
    match profile {
        Some(profile) if mistakes.is_empty() => Ok(profile),
        _ => Err(mistakes),
    }
}

/// Where the values of variables stand.
pub(super) fn values_of_variables(tree: &Node) -> Vec<Span> {
    let set = tree.get("environment").and_then(|environment| environment.get("set"));
    set.map(|set| set.entries().iter().map(|entry| entry.node.span.clone()).collect()).unwrap_or_default()
}

/// Everything that is wrong with a profile that could be read, by the tree that it was read from.
fn judge(profile: &Profile, tree: &Node) -> Vec<Mistake> {
    let mut judge = Judge { tree, mistakes: Vec::new() };
    judge.names(profile);
    judge.paths(profile);
    judge.contradictions(profile);
    judge.limits(profile);
    judge.identity(profile);
    judge.variables(profile);
    judge.syscalls(profile);
    or_of_policy(judge.mistakes, profile)
}

/// The same of a profile that was made from another schema: a mistake is where the word that it is about stands.
pub(super) fn judge_foreign(profile: &Profile, tree: &Node) -> Vec<Mistake> {
    let rules: Syscalls = profile.syscalls.clone().into_rules();
    let whole = &tree.find(&[Key("syscalls")]).span;
    let known = known_names();
    let words = [&rules.allow, &rules.deny, &rules.kill, &rules.log].into_iter();
    let words = words.chain(rules.rules.iter().map(|rule| &rule.syscalls)).flatten();
    let mut unknown: Vec<&str> = words.map(String::as_str).filter(|word| !known.contains(word)).collect();
    unknown.sort_unstable();
    unknown.dedup();
    let say = |word: &str| {
        let near = did_you_mean(word, known.iter().copied());
        let span = find_text(tree, word).map_or(whole, |node| &node.span).clone();
        Mistake::new(span, format!("unknown syscall `{}`{near}", plain(word)))
    };
    let mut mistakes: Vec<_> = unknown.into_iter().map(say).collect();
    // Of the lists only the names can be wrong, and of rules without conditions too.
    let conditional = rules.rules.iter().filter(|rule| !rule.args.is_empty()).cloned().collect();
    let rules = Syscalls { rules: conditional, ..Syscalls::default() };
    let arguments = check(&rules).into_iter().filter_map(|mistake| match mistake.place {
        Place::RuleArgument(rule, _) => {
            let name = rules.rules.get(rule)?.syscalls.first()?;
            let span = find_text(tree, name).map_or(whole, |node| &node.span).clone();
            Some(Mistake::new(span, mistake.message))
        }
        _ => None,
    });
    mistakes.extend(arguments);
    if let Some(Violation::Errno(errno)) = profile.on_violation
        && !(1..=MOST_ERRNO).contains(&errno)
    {
        let message = format!("the error number {errno} is none; use 1 to {MOST_ERRNO}");
        mistakes.push(Mistake::new(whole.clone(), message));
    }
    let files = &profile.filesystem;
    let memory =
        files.tmpfs.iter().map(|memory| memory.path.to_string_lossy()).map(|path| absolute(&path).err());
    let listed = files.deny.iter().chain(&files.protected).map(|path| plain_path(path).err());
    mistakes.extend(
        memory
            .chain(listed)
            .flatten()
            .map(|why| Mistake::new(tree.find(&[Key("filesystem")]).span.clone(), why)),
    );
    or_of_policy(mistakes, profile)
}

/// The first text in the tree that is this one.
fn find_text<'a>(node: &'a Node, words: &str) -> Option<&'a Node> {
    match &node.value {
        Value::Text(text) if text == words => Some(node),
        Value::List(items) => items.iter().find_map(|item| find_text(item, words)),
        Value::Table(entries) => entries.iter().find_map(|entry| find_text(&entry.node, words)),
        _ => None,
    }
}

fn or_of_policy(mut mistakes: Vec<Mistake>, profile: &Profile) -> Vec<Mistake> {
    if mistakes.is_empty() {
        // What the policy itself finds and nothing above has a place for.
        let policy: Policy = profile.clone().into_policy();
        mistakes.extend(policy.check().err().map(|problem| Mistake::new(0..0, problem.to_string())));
    }
    mistakes
}

struct Judge<'a> {
    tree: &'a Node,
    mistakes: Vec<Mistake>,
}

impl Judge<'_> {
    fn say(&mut self, steps: &[Step<'_>], message: impl Into<String>) {
        self.mistakes.push(Mistake::new(self.tree.find(steps).span.clone(), message.into()));
    }

    /// The place of a key, not of its value.
    fn say_of_key(&mut self, table: &[Step<'_>], key: &str, message: String) {
        let table = self.tree.find(table);
        let span = table.entry(key).map_or(&table.span, |entry| &entry.span);
        self.mistakes.push(Mistake::new(span.clone(), message));
    }

    fn names(&mut self, profile: &Profile) {
        for (index, name) in profile.extends.iter().enumerate() {
            if name.is_empty() || name.contains(['\0', '\n']) {
                let of_one = self.tree.find(&[Key("extends")]).items().is_empty();
                let steps = [Key("extends"), Item(index)];
                self.say(&steps[..if of_one { 1 } else { 2 }], "this names no profile");
            }
        }
        if profile.name.chars().any(char::is_control) {
            self.say(&[Key("name")], "the name holds a control character");
        }
    }

    fn paths(&mut self, profile: &Profile) {
        let files = &profile.filesystem;
        for (list, paths) in [("read", &files.read), ("write", &files.write)] {
            for (index, path) in paths.iter().enumerate() {
                if let Err(why) = plain_path(&path.to_string_lossy()) {
                    self.say(&[Key("filesystem"), Key(list), Item(index)], why);
                }
            }
        }
        for (index, pattern) in files.deny.iter().enumerate() {
            if let Err(why) = plain_path(pattern) {
                self.say(&[Key("filesystem"), Key("deny"), Item(index)], why);
            }
        }
        for (index, name) in files.protected.iter().enumerate() {
            if let Err(why) = protected(name) {
                self.say(&[Key("filesystem"), Key("protected"), Item(index)], why);
            }
        }
        for (index, name) in files.commands.iter().enumerate() {
            if let Err(why) = command_name(name) {
                self.say(&[Key("filesystem"), Key("commands"), Item(index)], why);
            }
        }
        for (index, memory) in files.tmpfs.iter().enumerate() {
            let steps = [Key("filesystem"), Key("tmpfs"), Item(index), Key("path")];
            match absolute(&memory.path.to_string_lossy()) {
                Err(why) => self.say(&steps, why),
                Ok(path) if path.parent().is_none() => {
                    self.say(&steps, "the root of a sandbox is its own: nothing can be mounted at `/`");
                }
                Ok(_) => {}
            }
        }
        if let Some(Err(why)) = files.workdir.as_ref().map(|path| absolute(&path.to_string_lossy())) {
            self.say(&[Key("filesystem"), Key("workdir")], why);
        }
        if let Some(Base::Rootfs(path)) = &files.base
            && let Err(why) = plain_path(&path.to_string_lossy())
        {
            self.say(&[Key("filesystem"), Key("base"), Key("rootfs")], why);
        }
    }

    /// Within one profile, two words on one path are an error: neither could be meant to win.
    fn contradictions(&mut self, profile: &Profile) {
        let files = &profile.filesystem;
        for (index, path) in files.write.iter().enumerate() {
            if files.read.iter().any(|other| same(other, path)) {
                let what = format!(
                    "`{}` is both in `read` and in `write`; keep one",
                    plain(&path.to_string_lossy())
                );
                self.say(&[Key("filesystem"), Key("write"), Item(index)], what);
            }
        }
        for (index, memory) in files.tmpfs.iter().enumerate() {
            let steps = [Key("filesystem"), Key("tmpfs"), Item(index), Key("path")];
            let shown = plain(&memory.path.to_string_lossy());
            if files.read.iter().chain(&files.write).any(|other| same(other, &memory.path)) {
                self.say(&steps, format!("`{shown}` is both granted and in `tmpfs`; keep one"));
            }
            if files.tmpfs[..index].iter().any(|other| same(&other.path, &memory.path)) {
                self.say(&steps, format!("`{shown}` is in `tmpfs` twice; keep one"));
            }
        }
        for name in &profile.environment.pass {
            if profile.environment.set.contains_key(name) {
                let message = format!("`{}` is both set and passed; keep one", plain(name));
                self.say_of_key(&[Key("environment"), Key("set")], name, message);
            }
        }
    }

    fn limits(&mut self, profile: &Profile) {
        let limits = &profile.limits;
        if limits.nofile == Some(0) {
            self.say(
                &[Key("limits"), Key("nofile")],
                "no open file at all is no limit that a program starts under",
            );
        }
        if limits.pids == Some(0) {
            self.say(&[Key("limits"), Key("pids")], "the program itself is one process");
        }
    }

    fn identity(&mut self, profile: &Profile) {
        let process = &profile.process;
        for (key, id) in [("uid", process.uid), ("gid", process.gid)] {
            if id == Some(u32::MAX) {
                self.say(
                    &[Key("process"), Key(key)],
                    format!("the id {} means \"no id\" to the kernel", u32::MAX),
                );
            }
        }
        if let Some(Err(problem)) = process.hostname.as_deref().map(check_hostname) {
            self.say(&[Key("process"), Key("hostname")], problem.to_string());
        }
        for (index, item) in self.tree.find(&[Key("capabilities"), Key("keep")]).items().iter().enumerate() {
            let name = item.text().unwrap_or_default().to_ascii_uppercase();
            let danger = match name.strip_prefix("CAP_").unwrap_or(&name) {
                "SYS_ADMIN" => "could undo the mounts that hold `files`",
                "SYS_PTRACE" => "could trace PID 1, which holds the deadline",
                _ => continue,
            };
            let message = format!("this cannot be kept: a program that has it {danger}");
            self.say(&[Key("capabilities"), Key("keep"), Item(index)], message);
        }
    }

    fn variables(&mut self, profile: &Profile) {
        let wrong = |name: &str| name.is_empty() || name.contains(['=', '\0', '\n']);
        for (name, value) in &profile.environment.set {
            if wrong(name) || value.contains('\0') {
                let message = format!("the variable `{}` cannot be set", plain(name));
                self.say_of_key(&[Key("environment"), Key("set")], name, message);
            }
        }
        for (index, name) in profile.environment.pass.iter().enumerate() {
            if wrong(name) {
                let message = format!("`{}` is no name of a variable", plain(name));
                self.say(&[Key("environment"), Key("pass"), Item(index)], message);
            }
        }
    }

    fn syscalls(&mut self, profile: &Profile) {
        let rules: Syscalls = profile.syscalls.clone().into_rules();
        if let Some(Violation::Errno(errno)) = profile.on_violation
            && !(1..=MOST_ERRNO).contains(&errno)
        {
            let message = format!("the error number {errno} is none; use 1 to {MOST_ERRNO}, 1 is EPERM");
            return self.say(&[Key("on_violation"), Key("errno")], message);
        }
        for mistake in check(&rules) {
            let span = span_of(self.tree, mistake.place);
            self.mistakes.push(Mistake::new(span, mistake.message));
        }
        // What is killed by name must be killed: the floor answers its own calls as violations are answered.
        let kills = match profile.on_violation {
            Some(violation) => violation == Violation::Kill,
            None => !profile.extends.is_empty(),
        };
        for (index, name) in rules.kill.iter().enumerate().filter(|_| !kills) {
            if floor().any(|refused| refused == name) {
                let message = format!(
                    "`{name}` is refused under every policy as a violation is; leave it out, or make `on_violation` \
                     \"kill\""
                );
                self.say(&[Key("syscalls"), Key("kill"), Item(index)], message);
            }
        }
    }
}

/// Where a part of the rules stands in a profile of ours.
fn span_of(tree: &Node, place: Place) -> Span {
    let syscalls = tree.find(&[Key("syscalls")]);
    let found = match place {
        Place::Allow(index) => syscalls.find(&[Key("allow"), Item(index)]),
        Place::Deny(index) => syscalls.find(&[Key("deny"), Item(index)]),
        Place::Kill(index) => syscalls.find(&[Key("kill"), Item(index)]),
        Place::Log(index) => syscalls.find(&[Key("log"), Item(index)]),
        Place::Rule(rule) => syscalls.find(&[Key("rules"), Item(rule)]),
        Place::RuleName(rule, name) => {
            syscalls.find(&[Key("rules"), Item(rule), Key("syscalls"), Item(name)])
        }
        Place::RuleArgument(rule, argument) => {
            syscalls.find(&[Key("rules"), Item(rule), Key("args"), Item(argument)])
        }
        Place::Whole => syscalls,
    };
    found.span.clone()
}

/// A name at the root of writable folders, or a path of the host.
fn protected(name: &str) -> Result<(), String> {
    plain_path(name)?;
    let of_host = name.starts_with('/') || name.starts_with('~');
    let climbs = std::path::Path::new(name).components().any(|part| part == std::path::Component::ParentDir);
    if climbs || (!of_host && name.starts_with("./")) || name == "." {
        return Err(format!(
            "`{}` is neither a name in a writable folder nor an absolute path; write it without `.` and `..`",
            plain(name)
        ));
    }
    Ok(())
}
