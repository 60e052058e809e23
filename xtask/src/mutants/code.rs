//! Mutants of PID 1's code: a check, a flag or a call is taken out. Where PID 1 itself refuses because a read-back finds it,
//! that is one layer; then the mutant is tried once more with the read-backs off, and a test must fail.

use super::{Change, Mutant};

const fn code(
    name: &'static str,
    change: &'static [(&'static str, &'static str, &'static str)],
    tests: &'static str,
) -> Mutant {
    Mutant { name, change: Change::Code(change), tests, argued: "" }
}

const fn argued(
    name: &'static str,
    change: &'static [(&'static str, &'static str, &'static str)],
    tests: &'static str,
    why: &'static str,
) -> Mutant {
    Mutant { name, change: Change::Code(change), tests, argued: why }
}

/// Every read-back by `expect` believes what it is told.
pub(super) const BLIND: (&str, &str, &str) = (
    "pid1/steps.rs",
    "    if holds { Ok(()) } else { Err(Fault::mismatch(detail)) }",
    "    let _believed = (holds, detail);\n    Ok(())",
);

pub(super) const CODE: &[Mutant] = &[
    code(
        "stays-in-the-session",
        &[("pid1/privileges.rs", "    sys::setsid()?;\n", "")],
        "escape init_is_in_a_session",
    ),
    argued(
        "dumpable",
        &[("pid1/privileges.rs", "    sys::prctl(abi::PR_SET_DUMPABLE, 0, 0)?;\n", "")],
        "escape init_cannot_be_dumped",
        "where PID 1 changes its ids, as under root, that change has taken it already (prctl(2), PR_SET_DUMPABLE): an \
         ordinary user's sandbox is the one that needs the call, and its read-back",
    ),
    code(
        "keeps-the-bounding-set",
        &[("pid1/privileges.rs", "    drop_bounding(keep)?;\n", "")],
        "escape row_39",
    ),
    argued(
        "keeps-ambient",
        &[(
            "pid1/privileges.rs",
            "    sys::prctl(abi::PR_CAP_AMBIENT, abi::PR_CAP_AMBIENT_CLEAR_ALL as usize, 0)?;\n",
            "",
        )],
        "escape row_39",
        "no capability stays ambient that is not permitted and inheritable (capabilities(7)), and the step after takes both \
         sets: killed as keeps-capabilities",
    ),
    code(
        "unlocked-secure-bits",
        &[(
            "pid1/privileges.rs",
            "    sys::prctl(abi::PR_SET_SECUREBITS, abi::SECUREBITS_LOCKED as usize, 0)?;\n",
            "",
        )],
        "escape the_secure_bits_are_locked",
    ),
    code(
        "keeps-capabilities",
        &[(
            "pid1/privileges.rs",
            "    Ok(sys::capset(CapabilitySets { effective: keep, permitted: keep, inheritable: keep })?)",
            "    Ok(())",
        )],
        "escape row_39",
    ),
    code(
        "keeps-its-ids",
        &[(
            "pid1/privileges.rs",
            "    sys::setresgid(plan.header.gid)?;\n    Ok(sys::setresuid(plan.header.uid)?)",
            "    let _not_taken = plan;\n    Ok(())",
        )],
        "conformance ids_inside_are_the_callers",
    ),
    argued(
        "binds-follow-links",
        &[(
            "pid1/mounts.rs",
            "    let resolve = abi::RESOLVE_NO_SYMLINKS | abi::RESOLVE_NO_MAGICLINKS | abi::RESOLVE_BENEATH;",
            "    let resolve = abi::RESOLVE_BENEATH & 0;",
        )],
        "escape row_21_a_symlink",
        "as root the supervisor clones what is granted, and looks at it itself; of the two looks of PID 1 each stands for the \
         other at the host's own programs: both gone are killed as binds-by-path-and-link",
    ),
    argued(
        "binds-whatever-is-there",
        &[("pid1/mounts.rs", "        return Err(Fault::plain(wire::fault::CHANGED));", "")],
        "escape row_21_another",
        "as root the supervisor clones what is granted, and looks at it itself; of the two looks of PID 1 each stands for the \
         other at the host's own programs: both gone are killed as binds-by-path-and-link",
    ),
    code(
        "binds-by-path-and-link",
        &[
            ("pid1/mounts.rs", "        return Err(Fault::plain(wire::fault::CHANGED));", ""),
            (
                "pid1/mounts.rs",
                "    let resolve = abi::RESOLVE_NO_SYMLINKS | abi::RESOLVE_NO_MAGICLINKS | abi::RESOLVE_BENEATH;",
                "    let resolve = 0;",
            ),
        ],
        "escape row_20_",
    ),
    argued(
        "mounts-share-events",
        &[(
            "pid1/mounts.rs",
            "    MountAttr { set: attributes(flags), propagation: abi::MS_PRIVATE, ..MountAttr::default() }",
            "    MountAttr { set: attributes(flags), ..MountAttr::default() }",
        )],
        "escape row_37",
        "what is cloned was made private with the whole namespace before, and a mount that shares events is found by the \
         read-back of mounts; both gone at once was not tried",
    ),
    code(
        "mounts-with-setuid",
        &[("pid1/mounts.rs", "    abi::MOUNT_ATTR_NOSUID\n        | pick", "    pick")],
        "escape every_mount_has_its_flags",
    ),
    code(
        "mounts-not-read-only",
        &[(
            "pid1/mounts.rs",
            "        | pick(mount::READ_ONLY, abi::MOUNT_ATTR_RDONLY)\n",
            "        | pick(mount::READ_ONLY, 0)\n",
        )],
        "conformance the_system_is_read_only",
    ),
    code(
        "submounts-as-they-were",
        &[(
            "pid1/mounts.rs",
            "    sys::mount_setattr(tree, c\"\", abi::AT_EMPTY_PATH | recursive(step.flags), &attributes)?;\n    sys::move_mount(tree, plan.text(step.path))?;\n    Ok(sys::close(tree)?)\n}\n\nfn clone_source",
            "    sys::mount_setattr(tree, c\"\", abi::AT_EMPTY_PATH, &attributes)?;\n    sys::move_mount(tree, plan.text(step.path))?;\n    Ok(sys::close(tree)?)\n}\n\nfn clone_source",
        )],
        "escape row_31",
    ),
    code(
        "a-folder-as-a-stream",
        &[("pid1/target.rs", "        not_a_folder(to, number as u64)?;\n", "")],
        "escape row_100",
    ),
    code(
        "a-folder-is-passed",
        &[("pid1/target.rs", "    not_a_folder(file, step.a)\n", "    Ok(())\n")],
        "escape a_folder_that_is_passed_is_refused",
    ),
    code(
        "any-folder-is-the-folder",
        &[("pid1/target.rs", "    sys::chdir(path)?;\n", "")],
        "conformance the_working_directory_is_the_callers",
    ),
    code(
        "limits-are-not-set",
        &[("pid1/target.rs", "    sys::prlimit(step.a as u32, Some(&limit))?;\n", "")],
        "conformance row_74 limits_are_what",
    ),
    code(
        "listens-for-every-exec",
        &[(
            "pid1/watch.rs",
            "        self.listener = None;\n        if let Err(errno) = sys::close(listener) {",
            "        if waits {\n            return;\n        }\n        self.listener = None;\n        if let Err(errno) = sys::close(listener) {",
        )],
        "escape row_105",
    ),
    argued(
        "any-process-may-execute",
        &[(
            "pid1/filter.rs",
            "    verify::confined(plan, proc::of(&mut [0; 48], shown, b\"/status\"))?;\n",
            "    let _not_looked_at = shown;\n",
        )],
        "escape row_105",
        "a third look: what PID 1 would find here the process has found itself by then, in its own status and by the two \
         sentinels, and each of those is killed",
    ),
    code(
        "filters-are-not-proven",
        &[(
            "pid1/filter.rs",
            "    expect(answer == Err(Errno(step.d as i32)), detail::NO_FILTER)",
            "    let _believed = answer;\n    Ok(())",
        )],
        "faults every_lie_of_a_plain_start",
    ),
    code(
        "landlock-is-not-proven",
        &[(
            "pid1/landlock.rs",
            "    expect(answer == expected, detail::NO_LANDLOCK)",
            "    let _believed = answer == expected;\n    Ok(())",
        )],
        "faults every_lie_of_a_plain_start",
    ),
    code(
        "deaf-to-its-owner",
        &[(
            "pid1/watch.rs",
            "            header.supervisor,\n            header.control,",
            "            NO_FD,\n            NO_FD,",
        )],
        "escape row_92",
    ),
    code(
        "no-deadline-inside",
        &[(
            "pid1/watch.rs",
            "    (plan.header.deadline_ns != 0).then(",
            "    (plan.header.deadline_ns == 1).then(",
        )],
        "escape a_stopped_supervisor_extends_nothing",
    ),
    code(
        "no-kill-after-the-grace",
        &[(
            "pid1/watch.rs",
            "        if self.kill_ns.is_some_and(|at| now >= at) {\n            self.kill_all();\n        }\n",
            "        if self.kill_ns.is_some_and(|at| now >= at) {\n            self.kill_ns = None;\n        }\n",
        )],
        "conformance after_the_grace",
    ),
    code(
        "waits-for-what-is-left",
        &[(
            "pid1/watch.rs",
            "        self.give_up_ns = Some(sys::monotonic_ns().saturating_add(LAST_WAIT_NS));\n        let _nobody_left_is_fine = sys::kill(-1, abi::SIGKILL);\n    }\n\n    /// A program that ends after",
            "    }\n\n    /// A program that ends after",
        )],
        "conformance a_background_process_that_holds_a_stream",
    ),
    code(
        "no-processor-time",
        &[("pid1/watch.rs", "        if left == 0 {\n", "        if left == 0 && now == 0 {\n")],
        "escape processor_time_is_up",
    ),
    code(
        "the-caller-s-mask-is-lost",
        &[("pid1/target.rs", "    sys::umask(plan.header.umask);\n", "    let _not_restored = plan;\n")],
        "conformance the_umask_is_the_callers",
    ),
    code(
        "blocked-signals-stay",
        &[("pid1/target.rs", "    sys::set_signal_mask(0)?;\n", "")],
        "conformance signals_that_the_caller_ignores",
    ),
    code(
        "a-failed-step-is-no-failure",
        &[(
            "pid1/main.rs",
            "        if let Err(fault) = steps::run(&mut context, step) {\n            steps::fail(&plan, index, fault);\n        }\n    }\n    steps::fail(&plan, plan.steps.len(), steps::Fault::plain(wire::fault::BAD_PLAN))\n}\n\n/// The rest",
            "        let _whatever_came_of_it = steps::run(&mut context, step);\n    }\n    steps::fail(&plan, plan.steps.len(), steps::Fault::plain(wire::fault::BAD_PLAN))\n}\n\n/// The rest",
        )],
        "escape row_21_another",
    ),
    code(
        "an-end-of-file-is-an-exec",
        &[(
            "pid1/watch.rs",
            "    Ok(flags & abi::PF_FORKNOEXEC == 0)",
            "    let _not_asked = flags & abi::PF_FORKNOEXEC;\n    Ok(true)",
        )],
        "conformance what_is_not_executable_is_126",
    ),
    code(
        "keeps-a-key-to-the-terminal",
        &[("pid1/mounts.rs", "    Ok(sys::close(old_root)?)", "    let _stays_open = old_root;\n    Ok(())")],
        "escape no_file_but_the_streams the_hosts_root_is_gone",
    ),
];
