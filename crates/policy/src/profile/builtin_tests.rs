//! What the built-in profiles let pass.

use ringfence_seccomp::{Arch, Filter, Violation};

use super::{BUILTIN_PROFILES, Profile};

fn filter(name: &str) -> Filter {
    let policy = Profile::builtin(name).unwrap().into_policy();
    Filter { syscalls: policy.syscalls, on_violation: policy.on_violation, single_process: false }
}

#[test]
fn the_rules_of_every_builtin_profile_are_right_and_fit_the_kernel() {
    for (name, _) in BUILTIN_PROFILES {
        let filter = filter(name);
        assert_eq!(ringfence_seccomp::check(&filter.syscalls), [], "{name}");
        for arch in [Arch::X86_64, Arch::Aarch64] {
            filter.compile(&[arch]).unwrap_or_else(|mistakes| panic!("{name}: {mistakes:?}"));
        }
    }
}

#[test]
fn builtin_profiles_execute_and_reach_the_network_only_where_they_say_so() {
    for (name, _) in BUILTIN_PROFILES {
        let filter = filter(name);
        for arch in [Arch::X86_64, Arch::Aarch64] {
            let passes = |call| filter.may_pass(arch, call);
            assert_eq!(filter.executes(), name != "minimal", "{name}");
            assert_eq!(passes("socket"), !["minimal", "shell-readonly"].contains(&name), "{name}");
            assert_eq!(passes("socketpair"), passes("socket"), "{name}");
            assert_eq!(passes("mkdirat"), passes("socket"), "{name}");
            // Threads and children are both made by it.
            assert!(passes("clone"), "{name}");
            for refused in
                ["ptrace", "process_vm_writev", "bpf", "mount", "unshare", "io_uring_setup", "keyctl"]
            {
                assert!(!passes(refused), "{name}: {refused}");
            }
        }
    }
    assert_eq!(filter("minimal").on_violation, Violation::Kill);
    assert_eq!(filter("shell-readonly").on_violation, Violation::Errno(13));
}
