//! Mutants of the plan: a step is left out of it, or says less, before PID 1 carries it out. PID 1's read-backs compare the
//! kernel with the plan, so that none of them notices: what fails must be a test.

use super::{Change, Mutant};

const fn step(name: &'static str, change: &'static str, tests: &'static str) -> Mutant {
    Mutant { name, change: Change::Plan(change), tests, argued: "" }
}

const fn argued(name: &'static str, change: &'static str, tests: &'static str, why: &'static str) -> Mutant {
    Mutant { name, change: Change::Plan(change), tests, argued: why }
}

/// `gone` leaves a step out; `is(Op)` asks what it is; `at(path)` where; `word` is the plan's text.
pub(super) const STEPS: &[Mutant] = &[
    step("no-drop-groups", "if is(Op::DropGroups) { gone }", "escape row_40"),
    step("no-conceal", "if is(Op::Conceal) { gone }", "escape init_is_in_a_session init_cannot_be_dumped"),
    argued(
        "no-private",
        "if is(Op::Private) { gone }",
        "escape row_37",
        "a mount namespace of another user namespace is a slave of the host's from its birth (mount_namespaces(7)): nothing \
         goes out; what could come in stands below the host's root, which is let go; and each mount of ours is made private \
         by itself and read back; where PID 1 has no user namespace of its own a step reads it back",
    ),
    step("no-own-proc", "if is(Op::Proc) { gone }", "conformance only_the_sandboxes_own_processes"),
    step("no-leave-host", "if is(Op::LeaveHost) { gone }", "escape the_hosts_root_is_gone"),
    step("no-seal", "if is(Op::Seal) && at(b\"/\") { gone }", "escape the_root_and_dev_are_read_only"),
    step(
        "no-seal-of-dev",
        "if is(Op::Seal) && at(b\"/dev\") { gone }",
        "escape the_root_and_dev_are_read_only",
    ),
    step("no-hostname", "if is(Op::Hostname) { gone }", "conformance the_host_name_is"),
    step("no-max-user-namespaces", "if is(Op::NoUserNamespaces) { gone }", "escape row_42_no_further"),
    step("no-keyring", "if is(Op::Keyring) { gone }", "escape the_sandboxes_keyring"),
    step("no-capabilities", "if is(Op::Capabilities) { gone }", "escape row_39"),
    step("no-new-privileges", "if is(Op::NoNewPrivileges) { gone }", "escape row_38"),
    step("no-session", "if is(Op::Session) { gone }", "escape the_program_leads_a_session"),
    step("no-signals", "if is(Op::Signals) { gone }", "conformance signals_that_the_caller_ignores"),
    step("no-close-files", "if is(Op::CloseFiles) { gone }", "escape an_inherited_file_is_not_open"),
    step("no-seal-files", "if is(Op::SealFiles) { gone }", "escape no_file_but_the_streams"),
    step(
        "no-close-and-no-seal",
        "if is(Op::CloseFiles) || is(Op::SealFiles) { gone }",
        "escape row_10_ no_file_but_the_streams",
    ),
    step("no-verify-mounts", "if is(Op::VerifyMounts) { gone }", "faults every_lie_of_a_plain_start"),
    step("no-verify-process", "if is(Op::VerifyProcess) { gone }", "faults a_lie_about_no_new_privs"),
    step("no-verify-program", "if is(Op::VerifyProgram) { gone }", "escape another_program_in_its_place"),
    argued(
        "no-verify-namespaces",
        "if is(Op::VerifyNamespace) { gone }",
        "faults every_lie_of_a_plain_start",
        "all but the cgroup's come with the one clone3 that makes PID 1, which cannot lie in part without PID 1 itself \
         being elsewhere; that of the cgroup is lied about in the faults of limits, where the host has cgroups",
    ),
    step("no-filter", "if is(Op::Filter) { gone }", "escape row_1_ row_33 row_45"),
    step("no-landlock", "if is(Op::LandlockRestrict) { gone }", "escape row_14 row_59_init row_99"),
    step("no-exec-once", "if is(Op::ExecOnce) { gone }", "escape row_105"),
    step("no-core-limit", "if is(Op::Limit) && step.a == 4 { gone }", "conformance no_core_file"),
    step("no-nofile-limit", "if is(Op::Limit) && step.a == 7 { gone }", "conformance row_74"),
    step("no-file-size-limit", "if is(Op::Limit) && step.a == 1 { gone }", "conformance a_file_grows"),
    step(
        "no-stack-limit",
        "if is(Op::Limit) && step.a == 3 { gone }",
        "conformance limits_are_what_was_asked_for",
    ),
    step(
        "no-cpu-limit",
        "if is(Op::Limit) && step.a == 0 { gone }",
        "escape processor_time_is_a_limit_of_each",
    ),
    step("no-pids-limit", "if is(Op::Limit) && step.a == 6 { gone }", "conformance without_a_cgroup"),
    step("no-data-limit", "if is(Op::Limit) && step.a == 2 { gone }", "conformance without_a_cgroup"),
    step(
        "binds-writable",
        "if is(Op::Bind) { step.flags &= !mount::READ_ONLY }",
        "conformance the_system_is_read_only",
    ),
    step("binds-not-recursive", "if is(Op::Bind) { step.flags &= !mount::RECURSIVE }", "escape row_31"),
    step("binds-with-devices", "if is(Op::Bind) { step.flags &= !mount::NO_DEVICES }", "escape row_101"),
    step(
        "pins-writable",
        "if is(Op::Again) { step.flags &= !mount::READ_ONLY }",
        "conformance what_steers_tools_is_read_only",
    ),
    step(
        "no-pins",
        "if is(Op::Again) && step.path != 0 && text(step.path) == text(step.text) { gone }",
        "escape row_26",
    ),
    step(
        "no-covers",
        "if is(Op::Again) && text(step.text).starts_with(b\"/.ringfence\") { gone }",
        "conformance a_denied_file",
    ),
    step(
        "covers-executable",
        "if is(Op::Again) { step.flags &= !mount::NO_EXEC }",
        "escape every_mount_has_its_flags",
    ),
    step(
        "memory-executable",
        "if is(Op::Tmpfs) { step.flags &= !mount::NO_EXEC }",
        "conformance nothing_that_the_program_writes_is_executed",
    ),
    step(
        "memory-with-devices",
        "if is(Op::Tmpfs) { step.flags &= !mount::NO_DEVICES }",
        "escape every_mount_has_its_flags",
    ),
    step("memory-without-size", "if is(Op::Tmpfs) { step.a = 0 }", "escape row_73"),
    step("no-proc-sys-pin", "if is(Op::Again) && at(b\"/proc/sys\") { gone }", "escape row_65"),
    step(
        "groups-are-not-asked-for",
        "if is(Op::DropGroups) || is(Op::VerifyProcess) { gone }",
        "escape row_40",
    ),
    step(
        "landlock-scope-abstract",
        "if is(Op::LandlockRuleset) { step.b &= !1 }",
        "escape row_62_abstract_sockets_of_the_host_are_out_of_reach_with",
    ),
    step("landlock-scope-signal", "if is(Op::LandlockRuleset) { step.b &= !2 }", "escape row_59_init"),
    step(
        "landlock-passed-any-way",
        "if is(Op::LandlockAllowPassed) { let both = step.a | step.b; (step.a, step.b) = (both, both) }",
        "escape row_99",
    ),
    argued(
        "landlock-executes-anywhere",
        "if is(Op::LandlockAllow) { step.a |= 1 }",
        "conformance named_commands_are_all_that_landlock",
        "a second layer: whatever a rule lets the program write is noexec by its mount, which is killed as memory-executable; \
         that Landlock holds the right at all is killed as landlock-right-execute",
    ),
];

/// Rights on files that Landlock handles, each taken out of the ruleset and of its rules: `linux/landlock.h`, by bit.
///
/// Two are not here. A ruleset that does not handle `refer` refuses it all the same (landlock(7)), so its lack is stricter.
/// `ioctl-dev` holds devices that are opened: only below /dev is one, where the program has the right.
pub(super) const LANDLOCK_RIGHTS: [(u32, &str); 14] = [
    (0, "execute"),
    (1, "write-file"),
    (2, "read-file"),
    (3, "read-dir"),
    (4, "remove-dir"),
    (5, "remove-file"),
    (6, "make-char"),
    (7, "make-dir"),
    (8, "make-reg"),
    (9, "make-sock"),
    (10, "make-fifo"),
    (11, "make-block"),
    (12, "make-sym"),
    (14, "truncate"),
];

/// What holds every one of those rights.
pub(super) const LANDLOCK_TEST: &str = "escape row_14_every_right";

/// What holds every cover in /proc.
pub(super) const COVER_TEST: &str = "escape row_66_every_cover_of_proc";
