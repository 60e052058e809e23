//! The model of a profile file. What a key does not say is `None`, so that another profile can say it.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use ringfence_seccomp::{Rule, Syscalls, Violation};
use schemars::JsonSchema;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::schema::{RuleShape, ViolationShape};
use crate::policy::{Environment, Tmpfs};
use crate::{Base, Capability, Limits, Network, Toolchain, Tty};

/// What a policy can begin as. An unknown key is an error.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// The schema that an editor checks the file with; it says nothing to us.
    #[serde(rename = "$schema", skip_serializing)]
    pub(super) schema: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What it is for, in one sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The profiles that it adds to: names, or paths relative to the file. Lists append, scalars replace.
    #[serde(deserialize_with = "one_or_more", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "super::schema::OneOrMore")]
    pub(super) extends: Vec<String>,
    /// The files that the program sees.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) filesystem: FilesystemSection,
    /// The network that it reaches; none when not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) network: Option<Network>,
    /// The system calls that it may make.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) syscalls: SyscallsSection,
    /// What a system call gets that `syscalls` does not list; the error EPERM when not said.
    #[serde(deserialize_with = "violation", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ViolationShape>")]
    pub(super) on_violation: Option<Violation>,
    /// The capabilities that it keeps inside its own user namespace.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) capabilities: CapabilitiesSection,
    /// What it may use.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) limits: Limits,
    /// Its environment variables, beside those that every program gets.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) environment: Environment,
    /// Who it is.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) process: ProcessSection,
    #[serde(skip)]
    pub(super) notes: Vec<String>,
}

impl Profile {
    /// The profiles that it adds to, as the file names them.
    #[must_use]
    pub fn extends(&self) -> &[String] {
        &self.extends
    }
}

/// The files of a sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FilesystemSection {
    /// What is there before anything is granted: the host's programs, nothing, or another system's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) base: Option<Base>,
    /// Host paths shown read-only: `.` is the working directory, `~` the home, `${NAME}` a variable.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) read: Vec<PathBuf>,
    /// Host paths shown writable.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) write: Vec<PathBuf>,
    /// Paths and globs that stay hidden, whatever else is granted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) deny: Vec<String>,
    /// Empty writable folders in memory.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tmpfs: Vec<Tmpfs>,
    /// Where the program starts, inside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) workdir: Option<PathBuf>,
    /// Whether the command's own toolchain is found and shown, read-only; a name: also that of a program that it calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) toolchain: Option<Toolchain>,
    /// What stays read-only: a name at the root of every writable folder, or an absolute path of the host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) protected: Vec<String>,
    /// The only programs of the system's program folders that are there, by name; all of them when not said. Nothing
    /// that the program can write can be executed then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) commands: Vec<String>,
}

/// Which system calls a program may make: names of the kernel's, and `@groups`. Of all that matches, the
/// strictest answer holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SyscallsSection {
    /// They pass; `@default` when not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) allow: Option<Vec<String>>,
    /// They answer EPERM, or the number of `on_violation`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) deny: Vec<String>,
    /// They end the process.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) kill: Vec<String>,
    /// They pass, and the kernel's audit log says so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) log: Vec<String>,
    /// Answers that depend on arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<RuleShape>")]
    pub(super) rules: Vec<Rule>,
}

impl SyscallsSection {
    pub(super) fn of_rules(rules: Syscalls) -> Self {
        let Syscalls { allow, deny, kill, log, rules } = rules;
        Self { allow: Some(allow), deny, kill, log, rules }
    }

    pub(super) fn into_rules(self) -> Syscalls {
        Syscalls {
            allow: self.allow.unwrap_or_default(),
            deny: self.deny,
            kill: self.kill,
            log: self.log,
            rules: self.rules,
        }
    }
}

/// Capabilities.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CapabilitiesSection {
    /// Names, with or without `CAP_`.
    #[schemars(with = "Vec<String>")]
    pub(super) keep: BTreeSet<Capability>,
}

/// Who the program is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ProcessSection {
    /// User id inside; the caller's when not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) uid: Option<u32>,
    /// Group id inside; the caller's when not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gid: Option<u32>,
    /// Host name inside; `ringfence` when not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hostname: Option<String>,
    /// When it has a terminal of its own; `auto` when not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tty: Option<Tty>,
    /// When the other side of standard input is closed, the grace begins, then everything is killed; otherwise that ends
    /// nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) end_with_stdin: Option<bool>,
}

/// Says nothing.
fn is_default<T: Default + PartialEq>(section: &T) -> bool {
    *section == T::default()
}

/// One name, or a list of them.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Names;

    impl<'de> Visitor<'de> for Names {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the name or the path of a profile, or a list of them,")
        }

        fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
            Ok(vec![name.to_owned()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while let Some(name) = names.next_element()? {
                all.push(name);
            }
            Ok(all)
        }
    }

    deserializer.deserialize_any(Names)
}

/// `"errno"`, `{"errno": 13}`, `"kill"` or `"log"`.
fn violation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Violation>, D::Error> {
    struct Written;

    impl<'de> Visitor<'de> for Written {
        type Value = Option<Violation>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("\"errno\", {\"errno\": N}, \"kill\" or \"log\"")
        }

        fn visit_str<E: de::Error>(self, word: &str) -> Result<Self::Value, E> {
            match word {
                "errno" => Ok(Some(Violation::default())),
                "kill" => Ok(Some(Violation::Kill)),
                "log" => Ok(Some(Violation::Log)),
                other => Err(E::unknown_variant(other, &["errno", "kill", "log"])),
            }
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            #[derive(Deserialize)]
            #[serde(rename_all = "lowercase")]
            enum Key {
                Errno,
            }
            let Some(Key::Errno) = entries.next_key()? else {
                return Err(de::Error::missing_field("errno"));
            };
            let violation = Violation::Errno(entries.next_value()?);
            match entries.next_key::<Key>()? {
                None => Ok(Some(violation)),
                Some(Key::Errno) => Err(de::Error::duplicate_field("errno")),
            }
        }
    }

    deserializer.deserialize_any(Written)
}
