use std::collections::BTreeMap;

use ringfence_seccomp::{Action, Arch, Filter, Summary, Syscalls, Violation, check};

use super::*;
use crate::{Capability, Network};

#[test]
fn every_builtin_profile_loads_under_its_own_name() {
    for (name, file) in BUILTIN_PROFILES {
        let profile = Profile::builtin(name).unwrap();
        assert_eq!(profile.name, name);
        assert!(!profile.description.is_empty());
        // Both readers say the same, and the one that judges finds nothing.
        let judged =
            Profile::parse(file, Format::Json).unwrap_or_else(|mistakes| panic!("{name}: {mistakes}"));
        assert_eq!(Profile::builtin_file(name).unwrap(), judged, "{name}");
        profile.into_policy().check().unwrap();
    }
}

fn json(text: &str) -> Profile {
    Profile::parse(text, Format::Json).unwrap_or_else(|mistakes| panic!("{text}: {mistakes}"))
}

fn said(text: &str) -> String {
    Profile::parse(text, Format::Json).unwrap_err().to_string()
}

#[test]
fn an_unknown_key_is_an_error() {
    assert_eq!(
        said("{\n  \"filesystem\": {\"raed\": [\"/\"]}\n}"),
        "the profile:2:18: unknown key `raed`; did you mean `read`?"
    );
}

#[test]
fn a_limit_without_meaning_is_an_error() {
    for limit in [
        r#""memory": 0"#,
        r#""memory": "10 bananas""#,
        r#""cpus": 0"#,
        r#""cpus": "-1""#,
        r#""cpus": 0.0001"#,
        r#""pids": 0"#,
        r#""pids": -1"#,
        r#""pids": 99999999999"#,
        r#""cpu_time": "0s""#,
        r#""cpuset": "3-1""#,
        r#""output": 0"#,
        r#""output": "1M:drop""#,
    ] {
        let error = said(&format!(r#"{{"name": "x", "description": "y", "limits": {{{limit}}}}}"#));
        assert!(error.contains("the profile:1:"), "{limit}: {error}");
    }
}

#[test]
fn limits_of_cgroups_are_read_with_their_units() {
    let text =
        r#"{"limits": {"memory": "512M", "cpus": 1.5, "pids": 64, "cpu_time": "10s", "cpuset": "0-1"}}"#;
    let limits = Profile::parse(text, Format::Json).unwrap().into_policy().limits;
    assert_eq!((limits.memory.unwrap().0, limits.cpus.unwrap().0, limits.pids), (512 << 20, 1500, Some(64)));
    assert_eq!(limits.cpu_time, Some(std::time::Duration::from_secs(10)));
    assert_eq!(limits.cpuset.unwrap().count(), 2);
}

#[test]
fn an_unknown_profile_lists_the_known() {
    let problem = Profile::builtin("python").unwrap_err();
    assert!(problem.to_string().contains("python-safe"), "{problem}");
}

/// Each mistake of a profile: where it is, and a part of what is said.
#[test]
fn every_mistake_has_its_place_and_says_what_to_do() {
    for (text, place, part) in [
        ("", "1:1", "this is not JSON"),
        ("{,}", "1:2", "this is not JSON"),
        ("[]", "1:1", "a table of keys is needed"),
        (r#"{"process": [0, 0, "h"]}"#, "1:13", "a table of keys is needed"),
        (r#"{"name": 5}"#, "1:10", "here is a whole number, and text is needed"),
        (r#"{"name": "a", "name": "b"}"#, "1:15", "the key `name` is there twice"),
        ("{\n\"network\": \"bridge\"}", "2:12", "`bridge` is none of `none`, `host`"),
        (r#"{"network": {"allow": []}}"#, "1:14", "lists of allowed hosts are not in this version"),
        (r#"{"syscalls": {"allow": ["opnat"]}}"#, "1:25", "unknown syscall `opnat`; did you mean `openat`?"),
        (r#"{"syscalls": {"deny": ["@nettwork"]}}"#, "1:24", "did you mean `@network`?"),
        (r#"{"syscalls": {"rules": [{"syscalls": ["ioctl"]}]}}"#, "1:25", "the key `action` is missing"),
        (
            r#"{"syscalls": {"rules": [{"syscalls": ["close"], "args": [{"index": 3, "op": "eq", "value": 1}], "action": "errno"}]}}"#,
            "1:58",
            "`close` has no argument 3",
        ),
        (r#"{"on_violation": {"errno": 5000}}"#, "1:28", "the error number 5000 is none"),
        (r#"{"on_violation": {"errno": "EPERM"}}"#, "1:28", "a whole number that fits is needed"),
        (r#"{"on_violation": "warn"}"#, "1:18", "`warn` is none of `errno`, `kill`, `log`"),
        (r#"{"limits": {"timeout": "10 bananas"}}"#, "1:24", "is not a unit of time; use ms, s, m, h or d"),
        (r#"{"limits": {"stack": true}}"#, "1:22", "a number, or text with a unit, is needed"),
        (r#"{"limits": {"stack": 0}}"#, "1:22", "is zero; leave the limit out instead"),
        (r#"{"limits": {"nofile": -1}}"#, "1:23", "out of range"),
        (r#"{"filesystem": {"read": [""]}}"#, "1:26", "a path is empty"),
        (r#"{"filesystem": {"read": ["a"], "write": ["./a"]}}"#, "1:42", "both in `read` and in `write`"),
        (r#"{"filesystem": {"tmpfs": [{"path": "x"}]}}"#, "1:36", "it must be absolute"),
        (r#"{"filesystem": {"tmpfs": [{"path": "/"}]}}"#, "1:36", "nothing can be mounted at `/`"),
        (r#"{"filesystem": {"commands": ["ls", "bin/x"]}}"#, "1:36", "the command `bin/x` is no plain name"),
        (r#"{"filesystem": {"commands": [".."]}}"#, "1:30", "no plain name"),
        (r#"{"filesystem": {"tmpfs": [{}]}}"#, "1:27", "the key `path` is missing"),
        (r#"{"filesystem": {"protected": ["../x"]}}"#, "1:31", "without `.` and `..`"),
        (r#"{"filesystem": {"base": {"rootfs": ""}}}"#, "1:36", "a path is empty"),
        (r#"{"filesystem": {"overlay": "/x"}}"#, "1:17", "`overlay` is not in this version"),
        (r#"{"filesystem": {"toolchain": "../x"}}"#, "1:30", "nor the name of a program in PATH"),
        (r#"{"filesystem": {"toolchain": "cargo,"}}"#, "1:30", "`cargo,` is neither `auto` nor `none`"),
        (r#"{"filesystem": {"toolchain": ["cargo"]}}"#, "1:30", "here is a list, and text is needed"),
        (r#"{"filesystem": {"toolchain": false}}"#, "1:30", "here is true or false, and text is needed"),
        (r#"{"process": {"tty": "yes"}}"#, "1:21", "`yes` is none of `auto`, `always`, `never`"),
        (r#"{"process": {"uid": 4294967295}}"#, "1:21", "means \"no id\" to the kernel"),
        (r#"{"process": {"hostname": "a b"}}"#, "1:26", "letters, digits"),
        (r#"{"capabilities": {"keep": ["SYS_ADMIN"]}}"#, "1:28", "could undo the mounts"),
        (r#"{"capabilities": {"keep": ["EVERYTHING"]}}"#, "1:28", "no capability is called `EVERYTHING`"),
        (r#"{"environment": {"set": {"A=B": "x"}}}"#, "1:26", "the variable `A=B` cannot be set"),
        (r#"{"environment": {"set": {"A": "x"}, "pass": ["A"]}}"#, "1:26", "both set and passed"),
        (r#"{"extends": 5}"#, "1:13", "the name or the path of a profile, or a list of them, is needed"),
        (r#"{"extends": ["a", ""]}"#, "1:19", "this names no profile"),
        (r#"{"defaultAction": "SCMP_ACT_ERRNO"}"#, "1:19", "give it with --seccomp FILE"),
    ] {
        let said = said(text);
        assert!(said.contains(&format!("the profile:{place}: ")) && said.contains(part), "{text}: {said}");
    }
    let toml = "name = 'x'\n[limits]\ntimeout = 'soon'\n[syscalls]\nallow = ['@default', 'opnat']\n";
    let said = Profile::parse(toml, Format::Toml).unwrap_err().to_string();
    assert!(said.contains("the profile:3:11: `soon` is not a duration"), "{said}");
    assert!(said.contains("the profile:5:22: unknown syscall `opnat`; did you mean `openat`?"), "{said}");
    let said = Profile::parse("a = [1\n", Format::Toml).unwrap_err().to_string();
    assert!(said.contains("this is not TOML"), "{said}");
}

#[test]
fn the_line_is_shown_with_marks_under_what_is_meant_and_without_values_of_variables() {
    let text = "{\n\t\"environment\": {\"set\": {\"TOKEN\": \"secret\", \"B\": 5}}}";
    let mistakes = Profile::parse(text, Format::Json).unwrap_err();
    let shown = &mistakes.all()[0];
    assert_eq!((shown.line, shown.column), (2, 50));
    assert_eq!(shown.excerpt[0], "2 |  \"environment\": {\"set\": {\"TOKEN\": ********, \"B\": *}}}");
    assert_eq!(shown.excerpt[1].find('^'), shown.excerpt[0].rfind('*'));
    // A long line is shown around the place, and nothing in it steers a terminal.
    let long = format!("{{\"description\": \"{}\u{1b}[2J\u{202e}\", \"nmae\": 1}}", "x".repeat(500));
    let mistakes = Profile::parse(&long.replace('\u{1b}', "\\u001b"), Format::Json).unwrap_err();
    let excerpt = mistakes.all()[0].excerpt.join("\n");
    assert!(excerpt.contains("nmae") && excerpt.len() < 400, "{excerpt}");
    assert!(!excerpt.contains(['\u{1b}', '\u{202e}']), "{excerpt:?}");
}

#[test]
fn json_and_toml_are_one_model() {
    let json = json(
        r#"{"name": "x", "extends": "build", "filesystem": {"base": {"rootfs": "/r"}, "toolchain": "cargo,node", "tmpfs": [{"path": "/t", "size": "1M"}]},
            "network": "host", "syscalls": {"deny": ["ptrace"], "rules": [{"syscalls": ["ioctl"], "action": "errno",
            "args": [{"index": 1, "op": "eq", "value": 16}]}]}, "on_violation": {"errno": 13},
            "capabilities": {"keep": ["net_raw"]}, "limits": {"timeout": 1.5, "nofile": 9},
            "environment": {"set": {"A": "1"}}, "process": {"uid": 0, "hostname": "h"}}"#,
    );
    let toml = "name = 'x'\nextends = ['build']\nnetwork = 'host'\non_violation = { errno = 13 }\n\
                [filesystem]\nbase = { rootfs = '/r' }\ntoolchain = 'cargo,node'\n[[filesystem.tmpfs]]\npath = '/t'\nsize = '1M'\n\
                [syscalls]\ndeny = ['ptrace']\n[[syscalls.rules]]\nsyscalls = ['ioctl']\naction = 'errno'\n\
                args = [{ index = 1, op = 'eq', value = 0x10 }]\n[capabilities]\nkeep = ['NET_RAW']\n\
                [limits]\ntimeout = '1500ms'\nnofile = 9\n[environment.set]\nA = '1'\n\
                [process]\nuid = 0\nhostname = 'h'\n";
    assert_eq!(json, Profile::parse(toml, Format::Toml).unwrap());
    let named = crate::Toolchain::Of(vec!["cargo".into(), "node".into()]);
    assert_eq!(json.clone().into_policy().filesystem.toolchain, named);
    // What is printed reads back as it was.
    let printed = serde_json::to_string(&json).unwrap();
    assert_eq!(self::json(&printed), json, "{printed}");
}

const JAIL: &str = r#"{
  "profile_name": "shell", "description": "d", "version": "1.0", "author": "a", "threat_model": ["t"],
  "syscalls": {
    "default_action": "errno", "errno_value": 13,
    "allowed": ["read", "openat", "execve", "io_uring_setup", "ptrace", "clone"], "blocked": ["ptrace", "mount"],
    "conditional": [
      {"syscall": "openat", "rules": [{"arg": 1, "op": "masked_eq", "mask": 3, "action_if_match": "check_path", "paths_blocked": ["/etc/shadow"]}]},
      {"syscall": "clone", "rules": [{"arg": 0, "op": "masked_eq", "mask": 268435456, "action_if_match": "errno", "errno": 1}]}
    ]
  },
  "capabilities": {"drop_all": true, "keep": []},
  "namespaces": {"enabled": ["pid", "mount", "network", "ipc", "uts"], "network": "isolated"},
  "filesystem": {"protected_paths": ["/etc"], "writable_sandbox": "/sandbox", "allowed_commands": ["ls", "sh"]},
  "limits": {"max_open_files": 1024, "max_execution_time_sec": 60, "max_processes": 1},
  "audit": {"log_violations": true, "log_target": "syslog"},
  "network_filter": {"block_all": true}, "metadata": {"x": 1}
}"#;

#[test]
fn the_schema_of_the_syscall_jail_is_held_and_no_word_of_it_ignored() {
    let profile = json(JAIL);
    let notes = profile.notes().join("\n");
    for part in
        ["/etc/shadow", "blocked: ptrace", "io_uring_setup", "log_violations", "network_filter", "/sandbox"]
    {
        assert!(notes.contains(part), "{part}: {notes}");
    }
    let policy = profile.into_policy();
    assert_eq!((policy.profile.as_str(), policy.network), ("shell", Network::None));
    assert_eq!(policy.on_violation, Violation::Errno(13));
    assert_eq!(policy.syscalls.deny, ["ptrace", "mount"], "blocked blocks");
    assert_eq!(policy.syscalls.allow, ["read", "openat", "execve", "clone"]);
    assert_eq!(policy.filesystem.deny, ["/etc/shadow"]);
    assert_eq!(policy.filesystem.protected, ["/etc"]);
    assert_eq!(policy.filesystem.commands, ["ls", "sh"]);
    assert_eq!(policy.filesystem.tmpfs[0].path.to_str(), Some("/sandbox"));
    assert_eq!((policy.limits.nofile, policy.limits.pids), (Some(1024), Some(1)));
    assert_eq!(policy.limits.timeout, Some(std::time::Duration::from_secs(60)));
    let filter =
        Filter { syscalls: policy.syscalls, on_violation: policy.on_violation, single_process: true };
    filter.compile(&Arch::ALL).unwrap();
    assert!(!filter.may_pass(Arch::X86_64, "ptrace") && filter.may_pass(Arch::X86_64, "read"));
}

#[test]
fn the_limits_of_the_jail_are_limits_here() {
    let limits = JAIL.replace(
        "\"max_processes\": 1",
        "\"max_memory_mb\": 64, \"max_cpu_time_sec\": 7, \"max_processes\": 5",
    );
    let limits = json(&limits).into_policy().limits;
    assert_eq!((limits.memory.map(|size| size.0), limits.pids), (Some(64 << 20), Some(5)));
    assert_eq!(limits.cpu_time, Some(std::time::Duration::from_secs(7)));
}

#[test]
fn what_the_jail_asks_for_and_this_version_cannot_hold_is_refused_by_name() {
    let with = |from: &str, to: &str| JAIL.replace(from, to);
    for (from, to, part) in [
        (
            "\"allowed_commands\": [\"ls\", \"sh\"]",
            "\"allowed_commands\": [\"ls\", \"/bin/cat\"]",
            "the command `/bin/cat` is no plain name",
        ),
        ("\"isolated\"", "\"bridge\"", "this says no network of ours"),
        ("\"pid\",", "\"moon\",", "`moon` is no namespace"),
        ("\"masked_eq\", \"mask\": 268435456", "\"masked_eq\"", "needs a `mask`"),
        ("\"read\",", "\"raed\",", "unknown syscall `raed`; did you mean `read`?"),
        (
            "\"metadata\"",
            "\"sanitization\": {\"strip_unicode\": true}, \"metadata\"",
            "sanitization.strip_unicode",
        ),
        ("\"author\"", "\"autor\"", "did you mean `author`?"),
        ("\"default_action\": \"errno\"", "\"default_action\": \"warn\"", "`warn` is none of"),
        ("\"max_open_files\": 1024", "\"max_open_files\": 0", "nothing runs under that"),
    ] {
        let text = with(from, to);
        assert_ne!(text, JAIL, "{from}");
        let said = self::said(&text);
        assert!(said.contains(part), "{to}: {said}");
    }
}

/// Every feature of the engines' schema, in our own words.
const ENGINE: &str = r#"{
  "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "defaultErrno": "EPERM",
  "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
  "flags": ["SECCOMP_FILTER_FLAG_LOG"],
  "syscalls": [
    {"names": ["read", "write", "close", "socketcall", "made_up_call"], "action": "SCMP_ACT_ALLOW", "args": null, "includes": {}, "excludes": {}},
    {"name": "openat", "action": "SCMP_ACT_ALLOW", "comment": "one name, as engines once wrote it"},
    {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
    {"names": ["kcmp"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "99.0"}},
    {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}], "excludes": {"caps": ["CAP_SYS_ADMIN"], "arches": ["s390", "s390x"]}},
    {"names": ["chroot", "sethostname"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
    {"names": ["syslog", "nice_"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYSLOG"]}},
    {"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]},
    {"names": ["mprotect"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 2, "value": 4, "op": "SCMP_CMP_LT"}, {"index": 1, "value": 4096, "op": "SCMP_CMP_GE"}]},
    {"names": ["fcntl"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "value": 9, "op": "SCMP_CMP_NE"}]},
    {"names": ["lseek"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 2, "value": 2, "op": "SCMP_CMP_LE"}]},
    {"names": ["dup3"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 2, "op": "SCMP_CMP_GT"}]},
    {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
    {"names": ["uname"], "action": "SCMP_ACT_ERRNO", "errno": "ENOSYS"},
    {"names": ["times"], "action": "SCMP_ACT_KILL"},
    {"names": ["sysinfo"], "action": "SCMP_ACT_KILL_THREAD"},
    {"names": ["getrusage"], "action": "SCMP_ACT_TRAP"},
    {"names": ["sync"], "action": "SCMP_ACT_LOG"},
    {"names": ["breakpoint"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm"]}},
    {"names": ["execve", "brk"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "arm64"]}}
  ]
}"#;

fn facts(kept: &[&str]) -> Facts {
    let kept = kept.iter().map(|name| name.parse::<Capability>().unwrap()).collect();
    Facts { kernel: (6, 1), kept }
}

#[test]
fn a_filter_of_the_engines_says_here_what_it_says_there() {
    let filter = OciFilter::parse(ENGINE, &facts(&[])).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(filter.unknown, ["socketcall", "made_up_call"]);
    assert!(filter.clone().into_notes().join(" ").contains("2 unknown names were left out"));
    assert_eq!(filter.on_violation, Violation::Errno(1));
    let rules = &filter.syscalls;
    assert_eq!(rules.allow, ["read", "write", "close", "openat", "ptrace", "execve", "brk"]);
    assert_eq!((rules.kill.join(" "), rules.log.join(" ")), ("times sysinfo".to_owned(), "sync".to_owned()));
    let of = |name: &str| rules.rules.iter().filter(|rule| rule.syscalls == [name]).collect::<Vec<_>>();
    assert_eq!(of("personality").len(), 2, "two conditions on one argument are alternatives");
    assert_eq!(of("mprotect")[0].args.len(), 2, "and on two arguments both must hold");
    let masked = &of("clone")[0].args[0];
    assert_eq!((masked.mask, masked.value), (Some(2_114_060_288), 0));
    assert_eq!((of("uname")[0].action, of("uname")[0].errno), (Action::Errno, Some(38)));
    assert_eq!(of("getrusage")[0].action, Action::Trap);
    let compiled =
        Filter { syscalls: filter.syscalls, on_violation: filter.on_violation, single_process: false };
    compiled.compile(&Arch::ALL).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    // A block counts when what it includes is kept.
    let kept = OciFilter::parse(ENGINE, &facts(&["SYSLOG"])).unwrap();
    assert!(kept.syscalls.allow.contains(&"syslog".to_owned()) || kept.unknown.contains(&"nice_".to_owned()));
    assert!(kept.unknown.contains(&"nice_".to_owned()), "and else its names are not even looked at");
}

#[test]
fn what_the_engines_can_and_this_version_cannot_is_an_error_at_its_place() {
    for (from, to, part) in [
        ("SCMP_ACT_TRAP", "SCMP_ACT_TRACE", "TRACE and NOTIFY cannot be held"),
        ("SCMP_ACT_TRAP", "SCMP_ACT_NOTIFY", "TRACE and NOTIFY cannot be held"),
        ("SCMP_ACT_TRAP", "SCMP_ACT_TARP", "did you mean `SCMP_ACT_TRAP`?"),
        ("\"args\": [{\"index\": 1", "\"arg\": [{\"index\": 1", "unknown key `arg`; did you mean `args`?"),
        ("SCMP_CMP_GT", "SCMP_CMP_GREATER", "none of"),
        ("\"index\": 2, \"value\": 2,", "\"index\": 5, \"value\": 2,", "`lseek` has no argument 5"),
        ("\"4.8\"", "\"new\"", "no version of a kernel"),
        ("\"ENOSYS\"", "\"ENOSUCH\"", "write its number"),
        ("\"defaultAction\": \"SCMP_ACT_ERRNO\", ", "", "no `defaultAction`"),
    ] {
        let text = ENGINE.replacen(from, to, 1);
        assert_ne!(text, ENGINE, "{from}");
        let said = OciFilter::parse(&text, &facts(&[])).unwrap_err().to_string();
        assert!(said.contains(part) && said.starts_with("the profile:"), "{to}: {said}");
    }
    // The block that is wrong is shown, and not another one with the same name.
    let text = r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
        {"names": ["lseek"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 2, "value": 0, "op": "SCMP_CMP_EQ"}]},
        {"names": ["lseek"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 4, "value": 0, "op": "SCMP_CMP_EQ"}]}]}"#;
    let said = OciFilter::parse(text, &facts(&[])).unwrap_err().to_string();
    assert!(said.starts_with("the profile:3:66: `lseek` has no argument 4"), "{said}");
}

/// A generator whose every run is the same (Marsaglia's xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n.max(1) as u64).unwrap_or(0)
    }

    /// The text with one to four changes: what hands, editors and disks do to files.
    fn change(&mut self, text: &str) -> String {
        const BITS: [&str; 24] = [
            "\"",
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "null",
            "-1",
            "1e999",
            "99999999999999999999999",
            "\"@all\"",
            "true",
            "\n",
            "\\",
            "\\ud800",
            "\u{feff}",
            "\u{202e}",
            "\0",
            "ü",
            "=",
            "'",
            "#",
            "0x7fffffffffffffff",
        ];
        let mut characters: Vec<char> = text.chars().collect();
        for _ in 0..=self.below(3) {
            let at = self.below(characters.len());
            let length = self.below(12).min(characters.len() - at);
            match self.below(6) {
                0 => _ = characters.drain(at..at + length),
                1 => characters.truncate(at),
                2 => {
                    let copy: Vec<char> = characters[at..at + length].to_vec();
                    let to = self.below(characters.len());
                    characters.splice(to..to, copy);
                }
                3 if characters.len() > 1 => {
                    let other = self.below(characters.len());
                    characters.swap(at, other);
                }
                _ => {
                    _ = characters
                        .splice(at..at + self.below(2).min(length), BITS[self.below(BITS.len())].chars())
                }
            }
            if characters.is_empty() {
                break;
            }
        }
        characters.into_iter().collect()
    }
}

/// Every wrong file has an error that points into it; what still reads is a policy that can be judged.
#[test]
fn a_corpus_of_changed_profiles_is_a_policy_or_an_error_with_a_place() {
    let toml = "name = 'x'\nnetwork = 'none'\non_violation = { errno = 13 }\n[filesystem]\nread = ['.']\n\
                deny = ['~/.ssh']\n[[filesystem.tmpfs]]\npath = '/t'\nsize = '1M'\n[syscalls]\ndeny = ['ptrace']\n\
                [limits]\ntimeout = '10s'\nnofile = 0x10\n[environment.set]\nA = '1'\n";
    let full = serde_json::to_string_pretty(&Profile::parse(toml, Format::Toml).unwrap()).unwrap();
    let mut random = Random(0x5eed_0003);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for round in 0..1200 {
        let (kind, text) =
            [("toml", toml), ("json", full.as_str()), ("jail", JAIL), ("engine", ENGINE)][round % 4];
        let text = random.change(text);
        let mistakes = match kind {
            "engine" => {
                OciFilter::parse(&text, &facts(&[])).map(|filter| filter.into_profile().into_policy())
            }
            "toml" => Profile::parse(&text, Format::Toml).map(Profile::into_policy),
            _ => Profile::parse(&text, Format::Json).map(Profile::into_policy),
        };
        match mistakes {
            Ok(policy) => {
                policy.check().unwrap_or_else(|problem| panic!("{problem}: {text}"));
                *counts.entry("policies").or_default() += 1;
            }
            Err(mistakes) => {
                assert!(!mistakes.all().is_empty(), "{text}");
                for mistake in mistakes.all() {
                    let line = text.split('\n').nth(mistake.line.wrapping_sub(1));
                    let line =
                        line.unwrap_or_else(|| panic!("no line {}: {mistakes}: {text:?}", mistake.line));
                    assert!(mistake.column <= line.chars().count() + 1, "{mistakes}: {text:?}");
                    assert!(!mistake.message.is_empty() && mistake.excerpt.len() == 2, "{mistake:?}");
                }
                *counts.entry("errors").or_default() += 1;
            }
        }
    }
    assert!(counts["errors"] > 500 && counts["policies"] > 50, "the corpus shows both: {counts:?}");
}

fn names(random: &mut Random, most: usize) -> Vec<String> {
    const SOME: [&str; 14] = [
        "@default", "@network", "@files", "@all", "read", "openat", "ptrace", "mount", "clone", "socket",
        "ioctl", "execve", "exit", "fork",
    ];
    (0..random.below(most + 1)).map(|_| SOME[random.below(SOME.len())].to_owned()).collect()
}

fn rules(random: &mut Random) -> Syscalls {
    let rule = |random: &mut Random| {
        let action = [Action::Allow, Action::Errno, Action::Kill, Action::Log][random.below(4)];
        let errno = (action == Action::Errno && random.below(2) == 0).then_some(38);
        let index = u8::try_from(random.below(2)).unwrap_or(0);
        let value = [0, 2, 0x5413][random.below(3)];
        let condition =
            ringfence_seccomp::Condition { index, op: ringfence_seccomp::Comparison::Eq, value, mask: None };
        let args = if random.below(2) == 0 { vec![condition] } else { Vec::new() };
        let name = ["ioctl", "socket", "openat", "ptrace"][random.below(4)].to_owned();
        ringfence_seccomp::Rule { syscalls: vec![name], args, action, errno }
    };
    Syscalls {
        allow: names(random, 4),
        deny: names(random, 2),
        kill: names(random, 2),
        log: names(random, 2),
        rules: (0..random.below(4)).map(|_| rule(random)).collect(),
    }
}

/// Which of some calls pass for some arguments, and how many of all.
fn passing(syscalls: &Syscalls, on_violation: Violation) -> (Vec<&'static str>, Summary) {
    const SOME: [&str; 9] =
        ["read", "openat", "ptrace", "mount", "clone", "socket", "ioctl", "execve", "sendto"];
    let filter = Filter { syscalls: syscalls.clone(), on_violation, single_process: false };
    let passing = SOME.into_iter().filter(|name| filter.may_pass(Arch::X86_64, name)).collect();
    (passing, filter.summary(Arch::X86_64))
}

#[test]
fn reduced_rules_give_the_same_answers_and_can_be_compiled() {
    let mut random = Random(0x5eed_0004);
    for _ in 0..24 {
        let violation = [Violation::Kill, Violation::Errno(1), Violation::Log][random.below(3)];
        let rules = rules(&mut random);
        let (less, _) = super::reduce::reduced(rules.clone(), violation);
        assert_eq!(passing(&less, violation), passing(&rules, violation), "{rules:?}: {less:?}");
        assert_eq!(check(&less), [], "{rules:?}: {less:?}");
        let filter = Filter { syscalls: less, on_violation: violation, single_process: false };
        filter.compile(&Arch::ALL).unwrap_or_else(|mistakes| panic!("{mistakes:?}: {rules:?}"));
    }
}

#[test]
fn one_more_word_that_denies_never_widens() {
    let mut random = Random(0x5eed_0005);
    for round in 0..24 {
        let violation = [Violation::Kill, Violation::Errno(1)][round % 2];
        let before = rules(&mut random);
        let mut after = before.clone();
        let list = if random.below(2) == 0 { &mut after.deny } else { &mut after.kill };
        list.extend(names(&mut random, 3));
        let (wide, narrow) = (passing(&before, violation), passing(&after, violation));
        assert!(
            narrow.0.iter().all(|name| wide.0.contains(name))
                && narrow.1.allowed <= wide.1.allowed
                && narrow.1.refused >= wide.1.refused,
            "{before:?}: {after:?}"
        );
    }
    // The same in files: a section that only denies leaves the rest as it is.
    let plain = json("{}").into_policy();
    let denying =
        json(r#"{"syscalls": {"deny": ["@network"]}, "filesystem": {"deny": ["~/.ssh"]}}"#).into_policy();
    assert_eq!(denying.syscalls.allow, plain.syscalls.allow);
    let mut same = denying;
    same.syscalls.deny.clear();
    same.filesystem.deny.clear();
    assert_eq!(same, plain);
}

#[test]
fn changes_are_told_line_by_line() {
    let before =
        json(r#"{"filesystem": {"read": ["."], "deny": ["~/.ssh"]}, "environment": {"set": {"A": "1"}}}"#);
    let after = json(
        r#"{"filesystem": {"read": ["."], "write": ["/x"]}, "network": "host", "environment": {"set": {"A": "2"}}}"#,
    );
    let changes = after.changes_since(&before);
    let lines = [
        "+ environment.set: A",
        "+ filesystem.write: /x",
        "+ network: host",
        "- environment.set: A",
        "- filesystem.deny: ~/.ssh",
    ];
    assert_eq!(changes, lines);
    assert_eq!(after.changes_since(&after), Vec::<String>::new());
}
