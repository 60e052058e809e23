//! Attempts on the kernel's own interface: what the filter of system calls holds.

use std::process::{Command, Stdio};

use support::{Outcome, Run, Scene, UNFILTERED, is_root, not_reachable, outside, privileged, probe};

/// Requests of ioctl_tty(2), as wide as the registers that carry them.
const TIOCSTI: u64 = 0x5412;
const TIOCOUTQ: u64 = 0x5411;

/// The answer of a call inside, under some flags.
fn inside(flags: &[&str], words: &[&str]) -> Outcome {
    let scene = Scene::new();
    Run::new(&scene).flags(flags).probe(words)
}

/// Refused by its number: EPERM by default, SIGSYS under a policy that kills, and past the filter where there is
/// none.
#[track_caller]
fn refused(words: &[&str]) {
    let words = [&["call"], words].concat();
    inside(&[], &words).expect(&["EPERM"]);
    killed(&words);
}

/// Killed under a policy that kills, and not without a filter.
#[track_caller]
fn killed(words: &[&str]) {
    let killed = inside(&["--on-violation=kill"], words);
    assert_eq!(killed.status, 159, "{words:?}: {killed:#?}");
    assert_eq!(killed.field("/exit/reason"), "violation", "{words:?}: {killed:#?}");
    assert_eq!(killed.field("/exit/signal"), 31, "{words:?}");
    let which = killed.row("kernel-surface")["detail"].as_str().unwrap_or_default().to_owned();
    assert!(which.starts_with("profile default: "), "which filter: {which}");
    let free = inside(&["--on-violation=kill", UNFILTERED], words);
    assert_eq!(free.status, 0, "{words:?}: {free:#?}");
}

#[test]
fn row_1_nothing_is_typed_into_a_terminal() {
    let request = TIOCSTI.to_string();
    inside(&[], &["terminal", &request, "x"]).expect(&["EPERM"]);
    // Control: past the filter the kernel does it, or says EIO where dev.tty.legacy_tiocsti is 0.
    inside(&[UNFILTERED], &["terminal", &request, "x"]).expect(&["ok", "EIO"]);
    killed(&["terminal", &request, "x"]);
}

#[test]
fn row_2_nor_with_bits_above_the_request() {
    let request = TIOCSTI;
    for high in [1_u64 << 32, 1 << 63, 0xffff_ffff_0000_0000] {
        let words = ["terminal", &(request | high).to_string(), "x"];
        inside(&[], &words).expect(&["EPERM"]);
        inside(&[UNFILTERED], &words).expect(&["ok", "EIO"]);
    }
    // Another request passes, with and without such bits.
    let harmless = TIOCOUTQ;
    inside(&[], &["terminal", &harmless.to_string(), "x"]).expect(&["ok"]);
    inside(&[], &["terminal", &(harmless | 1 << 40).to_string(), "x"]).expect(&["ok"]);
}

#[test]
fn row_3_nothing_is_pasted_into_a_console() {
    // TIOCLINUX; a pseudo-terminal does not know it.
    let request = 0x541c.to_string();
    inside(&[], &["terminal", &request, "\u{3}"]).expect(&["EPERM"]);
    inside(&[UNFILTERED], &["terminal", &request, "\u{3}"]).expect(&["errno 25"]);
}

#[test]
fn row_4_the_callers_terminal_cannot_be_reopened() {
    let scene = Scene::new();
    for (tty, words, answers) in [
        ("never", &["open", "/dev/tty"][..], ["ENXIO", "ENXIO"]),
        ("never", &["take-terminal"], ["errno 25", "EPERM"]),
        // What is controlling is one of its own, in a session that another process leads.
        ("auto", &["take-terminal"], ["EPERM", "EPERM"]),
        // TIOCSTI, on a terminal that is its own.
        ("auto", &["on-controlling-terminal", "21522", "x"], ["EPERM", "EPERM"]),
    ] {
        let mut line = Run::new(&scene)
            .flags(["--tty", tty, "--ro"])
            .flag(probe())
            .command([&[probe().to_str().unwrap()], words].concat());
        let outcome = under_a_terminal(&mut line);
        assert!(answers.iter().any(|answer| outcome.contains(answer)), "{words:?}: {outcome}");
    }
    // Controls: outside, under that terminal, it opens; inside, so does a terminal of its own.
    let outcome = under_a_terminal(Command::new(probe()).args(["open", "/dev/tty"]));
    assert!(outcome.contains("ok"), "{outcome}");
    inside(&[], &["own-terminal"]).expect(&["ok"]);
}

/// What a command prints on a terminal of its own (script(1)).
fn under_a_terminal(command: &mut Command) -> String {
    let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_str().unwrap());
    let words: Vec<_> =
        std::iter::once(command.get_program()).chain(command.get_args()).map(quoted).collect();
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &words.join(" "), "/dev/null"]).stdin(Stdio::null());
    if let Some(directory) = command.get_current_dir() {
        script.current_dir(directory);
    }
    let output = script.output().expect("script(1) of util-linux is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn row_33_the_new_mount_calls() {
    for words in [
        &["fsopen", "text:tmpfs", "0"][..],
        &["open_tree", "-100", "text:/", "1"],
        &["move_mount", "-1", "text:", "-1", "text:", "0"],
        &["fsconfig", "-1", "6", "0", "0", "0"],
        &["fsmount", "-1", "0", "0"],
        &["fspick", "-100", "text:/", "0"],
        &["mount_setattr", "-1", "text:", "0", "zeros", "32"],
        &["mount", "text:a", "text:/tmp", "text:tmpfs", "0", "0"],
        &["umount2", "text:/tmp", "2"],
        &["pivot_root", "text:.", "text:."],
    ] {
        refused(words);
    }
    // Control: with the privilege that a user namespace gives, the kernel would do it.
    let program = probe();
    privileged([program.to_str().unwrap(), "call", "fsopen", "text:tmpfs", "0"]).expect(&["ok"]);
}

#[test]
fn row_42_nor_a_namespace_of_any_kind() {
    refused(&["unshare", "268435456"]);
    refused(&["setns", "-1", "0"]);
    // Control.
    outside(["call", "unshare", "268435456"]).expect(&["ok"]);
    // By clone(2) the flag is looked at: without it the call passes.
    inside(&[], &["clone-user-namespace"]).expect(&["EPERM"]);
    outside(["clone-user-namespace"]).expect(&["ok"]);
    killed(&["clone-user-namespace"]);
    inside(&["--on-violation=kill"], &["clone-plain"]).expect(&["ok"]);
}

#[test]
fn row_43_clone3_is_unknown() {
    // Whatever the policy: a C library then falls back to clone(2), whose flags can be seen.
    for flags in [&[][..], &["--on-violation=kill"], &["--on-violation=log"]] {
        inside(flags, &["call", "clone3", "zeros", "64"]).expect(&["ENOSYS"]);
    }
    outside(["call", "clone3", "zeros", "8"]).expect(&["EINVAL"]);
}

#[test]
fn row_44_no_overlay() {
    refused(&[
        "mount",
        "text:overlay",
        "text:/tmp",
        "text:overlay",
        "0",
        "text:lowerdir=/usr,upperdir=/tmp,workdir=/tmp",
    ]);
}

#[test]
fn row_45_no_netfilter_socket() {
    let words = ["call", "socket", "16", "3", "12"];
    inside(&[], &words).expect(&["errno 97"]);
    killed(&words);
    // Control: past the filter the kernel gives it, or does not have it.
    inside(&[UNFILTERED], &words).expect(&["ok", "errno 93"]);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn row_46_the_32_bit_interface() {
    // getpid is 20 there and passes in the other interface.
    let control = outside(["call-i386", "20"]);
    if control.answer() != "ok" {
        return not_reachable("row 46", "this kernel has no 32-bit interface");
    }
    inside(&[], &["call-i386", "20"]).expect(&["EPERM"]);
    killed(&["call-i386", "20"]);
    inside(&[], &["call", "getpid"]).expect(&["ok"]);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn row_47_the_x32_bit() {
    let x32_getpid = (0x4000_0000 + 39).to_string();
    inside(&[], &["call", &x32_getpid]).expect(&["ENOSYS"]);
    killed(&["call", &x32_getpid]);
    if outside(["call", &x32_getpid]).answer() == "ENOSYS" {
        not_reachable("row 47, control", "this kernel has no x32 interface");
    }
}

#[test]
fn row_50_unknown_numbers() {
    for number in ["-1", "700", "1023", "4096", "2147483648", "4294967295"] {
        for flags in [&[][..], &["--on-violation=kill"], &["--on-violation=log"]] {
            inside(flags, &["call", number]).expect(&["ENOSYS"]);
        }
    }
}

#[test]
fn row_51_no_io_uring() {
    refused(&["io_uring_setup", "1", "zeros"]);
    refused(&["io_uring_enter", "-1", "0", "0", "0", "0", "0"]);
    refused(&["io_uring_register", "-1", "0", "0", "0"]);
    // Control: the kernel would, where kernel.io_uring_disabled is 0; EPERM is its own word where it is 2.
    if outside(["call", "io_uring_setup", "1", "zeros"]).answer() != "ok" {
        not_reachable("row 51, control outside", "this kernel gives no io_uring");
    }
}

#[test]
fn row_52_calls_on_the_whole_machine() {
    for words in [
        // Harmless even where they would pass: wrong magics, no pointers, no files.
        &["reboot", "0", "0", "0", "0"][..],
        &["bpf", "0", "0", "0"],
        &["perf_event_open", "0", "0", "-1", "-1", "0"],
        &["kexec_load", "0", "17", "0", "0"],
        &["init_module", "0", "0", "0"],
        &["finit_module", "-1", "0", "0"],
        &["delete_module", "0", "0"],
        &["swapon", "0", "0"],
        &["swapoff", "0"],
        &["acct", "1"],
        &["settimeofday", "1", "0"],
        &["clock_settime", "-1", "0"],
        &["syslog", "11", "0", "0"],
        &["quotactl", "0", "0", "0", "0"],
        &["open_by_handle_at", "-1", "0", "0"],
        &["chroot", "0"],
        &["fanotify_init", "-1", "-1"],
    ] {
        refused(words);
    }
    if is_root() {
        // Control: the kernel looks at reboot's magic numbers only after the permission.
        outside(["call", "reboot", "0", "0", "0", "0"]).expect(&["EINVAL"]);
    } else {
        not_reachable("row 52, control outside", "an ordinary user never gets past the permission check");
    }
}

#[test]
fn row_53_no_userfaultfd() {
    // UFFD_USER_MODE_ONLY, which the kernel gives to everybody.
    refused(&["userfaultfd", "1"]);
    outside(["call", "userfaultfd", "1"]).expect(&["ok"]);
}

#[test]
fn row_54_no_keyring() {
    refused(&["keyctl", "0", "-3", "0"]);
    refused(&["add_key", "text:user", "text:ringfence", "text:x", "1", "-1"]);
    refused(&["request_key", "text:user", "text:ringfence", "0", "0"]);
    outside(["call", "keyctl", "0", "-3", "0"]).expect(&["ok"]);
}

#[test]
fn row_55_no_keyring_for_the_parent() {
    // KEYCTL_SESSION_TO_PARENT. Not tried outside: it would work.
    refused(&["keyctl", "18"]);
    not_reachable("row 55, control outside", "it would change the keyring of the test's own parent");
}

#[test]
fn row_58_no_personality_but_the_usual() {
    let no_randomization = "262144";
    refused(&["personality", no_randomization]);
    refused(&["personality", &(262_144_u64 | 1 << 32).to_string()]);
    outside(["call", "personality", no_randomization]).expect(&["ok"]);
    // What asks for the current one, and the plain ones, pass.
    for passes in ["4294967295", "0", "8"] {
        inside(&[], &["call", "personality", passes]).expect(&["ok"]);
    }
}

#[test]
fn row_61_only_ordinary_sockets() {
    for (family, name) in
        [(38, "AF_ALG"), (17, "AF_PACKET"), (40, "AF_VSOCK"), (44, "AF_XDP"), (16, "AF_NETLINK")]
    {
        for number in [family, family | 1_u64 << 32] {
            for call in ["socket", "socketpair"] {
                let words = ["call", call, &number.to_string(), "3", "0", "zeros"];
                inside(&[], &words).expect(&["errno 97"]);
            }
        }
        killed(&["call", "socket", &family.to_string(), "3", "0"]);
        let control = outside(["call", "socket", &family.to_string(), "3", "0"]);
        if control.answer() == "errno 97" {
            not_reachable("row 61, control outside", &format!("this kernel has no {name}"));
        }
    }
    outside(["call", "socket", "16", "3", "0"]).expect(&["ok"]);
    for family in ["1", "2", "10"] {
        inside(&[], &["call", "socket", family, "2", "0"]).expect(&["ok"]);
    }
}

#[test]
fn row_103_a_crash_wakes_no_handler() {
    // RLIMIT_CORE is 1, which a piped handler takes as "no", and it cannot be changed, down to 0 neither.
    let limits = inside(&[], &["read", "/proc/self/limits"]);
    let core = limits.stdout.lines().find(|line| line.starts_with("Max core file size")).unwrap_or_default();
    assert_eq!(core.split_whitespace().rev().nth(1), Some("1"), "{limits:#?}");
    for number in [4_u64, 4 | 1 << 32] {
        let number = number.to_string();
        refused(&["prlimit64", "0", &number, "zeros", "0"]);
        refused(&["setrlimit", &number, "zeros"]);
        // Reading it, and changing another one, pass.
        inside(&[], &["call", "prlimit64", "0", &number, "0", "zeros"]).expect(&["ok"]);
    }
    inside(&[], &["call", "prlimit64", "0", "3", "zeros", "0"]).expect(&["ok"]);
    inside(&[UNFILTERED], &["call", "prlimit64", "0", "4", "zeros", "0"]).expect(&["ok"]);
}

#[test]
fn row_105_one_exec_and_no_other() {
    let scene = Scene::new();
    // Everything that the default lets pass but exec, with and without a policy that kills.
    let profile = scene.file(
        "once.json",
        r#"{ "name": "once", "filesystem": { "read": ["."] }, "syscalls": { "allow": ["@default"], "deny": ["@exec"] } }"#,
    );
    for words in
        [["execute-by-any-file", "/bin/true"], ["execute", "/bin/true"], ["execute", "/proc/self/exe"]]
    {
        for flags in [&[][..], &["--on-violation=kill"]] {
            let once = Run::new(&scene).flag("-p").flag(&profile).flags(flags).probe(words);
            once.expect(&["ENOSYS"]);
            let detail = once.row("kernel-surface")["detail"].as_str().unwrap_or_default().to_owned();
            assert!(detail.contains("executes itself, once"), "{detail}");
        }
        // Control: the very same under a policy that allows it; the program takes the probe's place.
        let control = inside(&[], &words);
        assert_eq!(control.status, if words[1] == "/bin/true" { 0 } else { 99 }, "{control:#?}");
        assert!(control.stdout.is_empty(), "{control:#?}");
    }
}

#[test]
fn one_process_has_no_child_and_no_thread() {
    let run = |flags: &[&str], words: &[&str]| {
        let scene = Scene::new();
        Run::new(&scene).flags(flags).run(words)
    };
    let fork = ["/bin/sh", "-c", "/bin/true & wait $!; echo $?"];
    assert_eq!(run(&[], &fork).stdout, "0\n");
    inside(&[], &["thread"]).expect(&["ok"]);
    for flags in [&["--pids", "1"][..], &["--pids=1", "-p", "build"]] {
        let refused = run(flags, &fork);
        assert!(refused.status != 0 && refused.stdout.is_empty(), "{refused:#?}");
        assert!(
            refused.stderr.contains("Resource temporarily unavailable")
                || refused.stderr.contains("Cannot fork"),
            "{refused:#?}"
        );
        assert_eq!(refused.row("pids")["status"], "enforced", "{refused:#?}");
        inside(flags, &["thread"]).expect(&["errno 11"]);
    }
}

#[test]
fn row_105_nor_by_a_filter_of_its_own_that_answers() {
    // SECCOMP_SET_MODE_FILTER with SECCOMP_FILTER_FLAG_NEW_LISTENER: of two filters that ask, the newer one's listener
    // answers, so a program that may make one would let its own second exec through.
    refused(&["seccomp", "1", "8", "zeros"]);
    refused(&["seccomp", "1", &(8_u64 | 32).to_string(), "zeros"]);
    // A filter that only refuses is a program's own business. EINVAL: this one has no instructions.
    inside(&[], &["call", "seccomp", "1", "0", "zeros"]).expect(&["EINVAL"]);
    outside(["call", "seccomp", "1", "8", "zeros"]).expect(&["EINVAL", "EACCES"]);
}
