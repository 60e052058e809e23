//! `extends`: a profile on top of others. Lists append, scalars replace; of one path, the nearer word holds.

use std::path::{Component, Path, PathBuf};

use super::model::{FilesystemSection, Profile, SyscallsSection};
use super::reduce::reduced;
use crate::{Limits, Problem};

impl Profile {
    /// Nothing stands below a profile that extends none: what it does not say of system calls is what ordinary
    /// programs need.
    pub(super) fn rooted(mut self) -> Self {
        if self.extends.is_empty() {
            self.syscalls.allow.get_or_insert_with(|| vec!["@default".to_owned()]);
        }
        self
    }

    /// The profile with all that it extends, which `find` gives whole.
    ///
    /// # Errors
    /// What `find` says.
    pub fn extended<F>(mut self, find: &mut F) -> Result<Self, Problem>
    where
        F: FnMut(&str) -> Result<Self, Problem>,
    {
        let mut below: Option<Self> = None;
        for name in std::mem::take(&mut self.extends) {
            let next = find(&name)?;
            below = Some(match below {
                None => next,
                Some(below) => next.over(below),
            });
        }
        Ok(match below {
            None => self,
            Some(below) => self.over(below).with_reduced_rules().0,
        })
    }

    /// The same answers to every system call, without words that change none; and the names that went.
    pub(super) fn with_reduced_rules(mut self) -> (Self, Vec<String>) {
        let rules = std::mem::take(&mut self.syscalls).into_rules();
        let (rules, dropped) = reduced(rules, self.on_violation.unwrap_or_default());
        self.syscalls = SyscallsSection::of_rules(rules);
        (self, dropped)
    }

    /// This profile's word on top of another's.
    fn over(self, below: Self) -> Self {
        Self {
            schema: None,
            name: self.name,
            description: self.description,
            extends: Vec::new(),
            filesystem: self.filesystem.over(below.filesystem),
            network: self.network.or(below.network),
            syscalls: self.syscalls.over(below.syscalls),
            on_violation: self.on_violation.or(below.on_violation),
            capabilities: {
                let mut capabilities = below.capabilities;
                capabilities.keep.extend(self.capabilities.keep);
                capabilities
            },
            limits: limits(self.limits, below.limits),
            environment: {
                let mut environment = below.environment;
                let ours = self.environment;
                // What one sets and the other passes is one variable: the nearer word holds.
                environment.pass.retain(|name| !ours.set.contains_key(name) && !ours.pass.contains(name));
                environment.set.retain(|name, _| !ours.pass.contains(name));
                environment.set.extend(ours.set);
                environment.pass.extend(ours.pass);
                environment
            },
            process: super::model::ProcessSection {
                uid: self.process.uid.or(below.process.uid),
                gid: self.process.gid.or(below.process.gid),
                hostname: self.process.hostname.or(below.process.hostname),
                tty: self.process.tty.or(below.process.tty),
                end_with_stdin: self.process.end_with_stdin.or(below.process.end_with_stdin),
            },
            notes: [below.notes, self.notes].concat(),
        }
    }
}

impl FilesystemSection {
    fn over(self, below: Self) -> Self {
        let own = || self.read.iter().chain(&self.write).chain(self.tmpfs.iter().map(|memory| &memory.path));
        let said = |path: &PathBuf| own().any(|own| same(own, path));
        let others = |paths: Vec<PathBuf>| paths.into_iter().filter(|path| !said(path)).collect::<Vec<_>>();
        let (read, write) = (others(below.read), others(below.write));
        let tmpfs: Vec<_> = below.tmpfs.into_iter().filter(|memory| !said(&memory.path)).collect();
        Self {
            base: self.base.or(below.base),
            read: [read, self.read].concat(),
            write: [write, self.write].concat(),
            deny: appended(below.deny, self.deny),
            tmpfs: [tmpfs, self.tmpfs].concat(),
            workdir: self.workdir.or(below.workdir),
            toolchain: self.toolchain.or(below.toolchain),
            protected: appended(below.protected, self.protected),
            commands: appended(below.commands, self.commands),
        }
    }
}

impl SyscallsSection {
    fn over(self, below: Self) -> Self {
        let allow = match (below.allow, self.allow) {
            (Some(below), Some(own)) => Some(appended(below, own)),
            (below, own) => own.or(below),
        };
        Self {
            allow,
            deny: appended(below.deny, self.deny),
            kill: appended(below.kill, self.kill),
            log: appended(below.log, self.log),
            rules: appended(below.rules, self.rules),
        }
    }
}

fn limits(own: Limits, below: Limits) -> Limits {
    Limits {
        timeout: own.timeout.or(below.timeout),
        grace: own.grace.or(below.grace),
        nofile: own.nofile.or(below.nofile),
        file_size: own.file_size.or(below.file_size),
        stack: own.stack.or(below.stack),
        tmp: own.tmp.or(below.tmp),
        pids: own.pids.or(below.pids),
        cpu_time: own.cpu_time.or(below.cpu_time),
        memory: own.memory.or(below.memory),
        cpus: own.cpus.or(below.cpus),
        cpuset: own.cpuset.or(below.cpuset),
        output: own.output.or(below.output),
    }
}

/// Both lists, what both say once.
fn appended<T: PartialEq>(mut below: Vec<T>, own: Vec<T>) -> Vec<T> {
    for entry in own {
        if !below.contains(&entry) {
            below.push(entry);
        }
    }
    below
}

/// The same path as words: `./x/` is `x`.
pub(super) fn same(a: &Path, b: &Path) -> bool {
    let plain = |path: &Path| -> PathBuf {
        path.components().filter(|part| !matches!(part, Component::CurDir)).collect()
    };
    plain(a) == plain(b)
}
