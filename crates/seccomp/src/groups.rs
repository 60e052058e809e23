//! Named groups of calls.
//!
//! A group is a list of names, never of arguments: what depends on arguments is a rule. Two examples. Threads but no
//! children: allow `@threads`, and `clone` by a rule whose condition is `CLONE_THREAD` in the flags
//! (`{"syscalls": ["clone"], "args": [{"index": 0, "op": "masked_eq", "mask": 65536, "value": 65536}], "action": "allow"}`).
//! Local sockets only: the members of `@network` but `socket`, and `socket` by a rule on the family.
//!
//! A group may hold calls of the floor, so that `kill: ["@privileged"]` reads well; allowing the group does not allow them.

use crate::table::{self, CALLS};

struct Group {
    name: &'static str,
    description: &'static str,
    /// Names, and `@groups` that stand further up.
    members: &'static str,
}

/// Every group: its name, what it is for, and the calls in it, sorted.
pub fn groups() -> impl Iterator<Item = (&'static str, &'static str, Vec<&'static str>)> {
    let named = GROUPS.iter().map(|group| {
        let members = members(group.name).into_iter().map(|call| CALLS[call].name).collect();
        (group.name, group.description, members)
    });
    let all = CALLS.iter().map(|call| call.name).collect();
    named.chain([(ALL, "Every call of the table; the floor refuses its own all the same.", all)])
}

const ALL: &str = "@all";

/// The names of the groups.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    GROUPS.iter().map(|group| group.name).chain([ALL])
}

/// The calls that a name or a group stands for, as places in the table, sorted; none when it is unknown.
pub(crate) fn members(entry: &str) -> Vec<usize> {
    if entry == ALL {
        return (0..CALLS.len()).collect();
    }
    if !entry.starts_with('@') {
        return table::find(entry).into_iter().collect();
    }
    let Some(group) = GROUPS.iter().find(|group| group.name == entry) else { return Vec::new() };
    let mut calls: Vec<usize> = group.members.split_whitespace().flat_map(members).collect();
    calls.sort_unstable();
    calls.dedup();
    calls
}

const GROUPS: &[Group] = &[
    Group {
        name: "@io",
        description: "Use of files, pipes and terminals that are open.",
        members: "close close_range copy_file_range dup dup2 dup3 fadvise64 fcntl flock ioctl lseek pipe pipe2 pread64 \
            preadv preadv2 pwrite64 pwritev pwritev2 read readahead readv sendfile splice tee write writev",
    },
    Group {
        name: "@files",
        description: "Opening files, walking folders, asking about both.",
        members: "access cachestat chdir faccessat faccessat2 fchdir fgetxattr file_getattr flistxattr fstat fstatfs \
            getcwd getdents getdents64 getxattr getxattrat lgetxattr listxattr listxattrat llistxattr lstat \
            name_to_handle_at newfstatat open openat openat2 readlink readlinkat stat statfs statx",
    },
    Group {
        name: "@files-write",
        description: "Making, changing and removing files and folders.",
        members: "chmod chown creat fallocate fchmod fchmodat fchmodat2 fchown fchownat fdatasync file_setattr \
            fremovexattr fsetxattr fsync ftruncate futimesat lchown link linkat lremovexattr lsetxattr mkdir \
            mkdirat mknod mknodat removexattr removexattrat rename renameat renameat2 rmdir setxattr setxattrat \
            symlink symlinkat sync sync_file_range syncfs truncate umask unlink unlinkat utime utimensat utimes",
    },
    Group {
        name: "@watch",
        description: "Being told of changes to files.",
        members: "inotify_add_watch inotify_init inotify_init1 inotify_rm_watch",
    },
    Group {
        name: "@memory",
        description: "Memory of the process itself.",
        members: "brk madvise map_shadow_stack memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mprotect \
            mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect",
    },
    Group {
        name: "@numa",
        description: "Where memory lies on machines of several nodes.",
        members: "get_mempolicy mbind migrate_pages move_pages set_mempolicy set_mempolicy_home_node",
    },
    Group {
        name: "@end",
        description: "Ending, and what the kernel itself has a process call. Its first four pass under every policy.",
        members: "exit exit_group restart_syscall rt_sigreturn uprobe uretprobe",
    },
    Group {
        name: "@process",
        description: "What a process asks and sets of itself, waiting for children, sessions and groups of processes.",
        members: "@end arch_prctl getpgid getpgrp getpid getppid getsid gettid personality pidfd_open prctl \
            set_tid_address setpgid setsid wait4 waitid",
    },
    Group {
        name: "@children",
        description: "New processes, and threads: clone makes both. clone3 answers ENOSYS, and the C library then uses clone.",
        members: "clone clone3 fork vfork",
    },
    Group { name: "@exec", description: "Executing programs.", members: "execve execveat" },
    Group {
        name: "@threads",
        description: "What threads need among each other; making one is clone.",
        members: "futex futex_requeue futex_wait futex_waitv futex_wake get_robust_list gettid membarrier rseq \
            sched_yield set_robust_list set_tid_address",
    },
    Group {
        name: "@signals",
        description: "Sending, handling and awaiting signals.",
        members: "kill pause pidfd_send_signal rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn \
            rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sigaltstack signalfd signalfd4 tgkill tkill",
    },
    Group {
        name: "@time",
        description: "Reading clocks, sleeping, timers.",
        members: "alarm clock_getres clock_gettime clock_nanosleep getitimer gettimeofday nanosleep setitimer time \
            timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create \
            timerfd_gettime timerfd_settime times",
    },
    Group {
        name: "@poll",
        description: "Waiting until a file is ready, and event counters.",
        members: "epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 poll ppoll \
            pselect6 select",
    },
    Group {
        name: "@network",
        description: "Sockets: local ones and those of IP; other families are refused under every policy.",
        members: "accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg \
            sendmmsg sendmsg sendto setsockopt shutdown socket socketpair",
    },
    Group {
        name: "@ipc",
        description: "Message queues, semaphores and shared memory of System V and POSIX.",
        members: "mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd \
            semctl semget semop semtimedop shmat shmctl shmdt shmget",
    },
    Group {
        name: "@ids",
        description: "Reading users, groups and capabilities.",
        members: "capget getegid geteuid getgid getgroups getresgid getresuid getuid",
    },
    Group {
        name: "@ids-change",
        description: "Changing users, groups and capabilities; without privilege only to what one already is.",
        members: "capset setfsgid setfsuid setgid setgroups setregid setresgid setresuid setreuid setuid",
    },
    Group {
        name: "@limits",
        description: "Limits and use of resources.",
        members: "getrlimit getrusage prlimit64 setrlimit",
    },
    Group {
        name: "@scheduling",
        description: "Priorities, processors and scheduling.",
        members: "getcpu getpriority ioprio_get ioprio_set sched_get_priority_max sched_get_priority_min \
            sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval \
            sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield setpriority",
    },
    Group {
        name: "@system",
        description: "Facts about the system, and random numbers.",
        members: "getcpu getrandom sysinfo uname",
    },
    Group {
        name: "@sandbox",
        description: "Giving up more: Landlock and filters of the program's own.",
        members: "landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp",
    },
    Group {
        name: "@aio",
        description: "Asynchronous I/O of the kernel's old kind.",
        members: "io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit",
    },
    Group {
        name: "@start",
        description: "What a program linked with glibc or musl needs to start and to end: less than this runs nothing.",
        members: "@end access arch_prctl brk close fstat futex getrandom mmap mprotect munmap newfstatat open openat \
            pread64 prlimit64 read readlink readlinkat rseq set_robust_list set_tid_address",
    },
    Group {
        name: "@debug",
        description: "Looking into other processes and changing them.",
        members: "kcmp pidfd_getfd process_madvise process_mrelease process_vm_readv process_vm_writev ptrace",
    },
    Group {
        name: "@rare",
        description: "Kernel surface that few programs need.",
        members: "@aio fanotify_mark listmount lsm_get_self_attr lsm_list_modules lsm_set_self_attr mbind \
            migrate_pages modify_ldt move_pages remap_file_pages set_mempolicy set_mempolicy_home_node statmount \
            vmsplice",
    },
    Group {
        name: "@privileged",
        description: "What changes the system: mounts, namespaces, modules, clocks, keys, tracing. Most of it is refused under every policy.",
        members: "acct add_key adjtimex bpf chroot clock_adjtime clock_settime create_module delete_module \
            fanotify_init fanotify_mark finit_module fsconfig fsmount fsopen fspick get_kernel_syms init_module \
            io_uring_enter io_uring_register io_uring_setup ioperm iopl kexec_file_load kexec_load keyctl \
            lookup_dcookie lsm_set_self_attr mount mount_setattr move_mount nfsservctl open_by_handle_at \
            open_tree open_tree_attr perf_event_open pivot_root query_module quotactl quotactl_fd reboot \
            request_key setdomainname sethostname setns settimeofday swapoff swapon syslog umount2 unshare \
            userfaultfd vhangup",
    },
    Group {
        name: "@obsolete",
        description: "Calls that the kernel dropped or keeps for programs of long ago.",
        members: "_sysctl afs_syscall create_module epoll_ctl_old epoll_wait_old get_kernel_syms get_thread_area \
            getpmsg lookup_dcookie nfsservctl putpmsg query_module security set_thread_area sysfs tuxcall uselib \
            ustat vserver",
    },
    Group {
        name: "@default",
        description: "What ordinary programs, interpreters, runtimes and compilers use: no @debug, no @rare, nothing of @privileged.",
        members: "@io @files @files-write @watch @memory @process @children @exec @threads @signals @time @poll \
            @network @ipc @ids @ids-change @limits @scheduling @system @sandbox get_mempolicy",
    },
];
