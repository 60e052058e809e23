//! Makes a host worse for one command: `worse HOW... -- COMMAND`. Filters that containers set or that play an older
//! kernel, limits, no_new_privs, Landlock.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;

use libc::{c_long, sock_filter, sock_fprog};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let end = words.iter().position(|word| word == "--").expect("`--` before the command");
    let (how, command) = (&words[..end], &words[end + 1..]);
    how.iter().for_each(|word| worsen(word));
    let failed = std::process::Command::new(&command[0]).args(&command[1..]).exec();
    panic!("{command:?}: {failed}");
}

fn worsen(word: &str) {
    match word {
        "no-new-privs" => no_new_privileges(),
        "landlock" => landlock(),
        "container" => filter(&container()),
        "own-ids" => own_ids(),
        "no-user-namespaces" => filter(&no_user_namespaces()),
        "no-landlock" => filter(&refuse(&LANDLOCK, libc::ENOSYS)),
        "no-mount-api" => filter(&refuse(&MOUNT_API, libc::ENOSYS)),
        "no-clone3" => filter(&refuse(&[libc::SYS_clone3], libc::ENOSYS)),
        "no-notify" => filter(&without_listener()),
        _ => limit(word),
    }
}

const LANDLOCK: [c_long; 3] =
    [libc::SYS_landlock_create_ruleset, libc::SYS_landlock_add_rule, libc::SYS_landlock_restrict_self];
const MOUNT_API: [c_long; 6] = [
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_mount_setattr,
];
/// What the engines' default profile gives to CAP_SYS_ADMIN only.
const ADMINISTRATORS: [c_long; 5] =
    [libc::SYS_unshare, libc::SYS_setns, libc::SYS_mount, libc::SYS_umount2, libc::SYS_pivot_root];

const LOAD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_ANY: u16 = 0x45;
const RETURN: u16 = 0x06;

fn line(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

fn answer(errno: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno.unsigned_abs()
}

/// These calls fail with this error.
fn refuse(calls: &[c_long], errno: i32) -> Vec<sock_filter> {
    let mut lines = Vec::new();
    for call in calls {
        lines.push(line(LOAD, 0, 0, 0));
        lines.push(line(JUMP_IF_EQUAL, 0, 1, u32::try_from(*call).expect("a call's number")));
        lines.push(line(RETURN, 0, 0, answer(errno)));
    }
    lines
}

/// As Docker's default: no mounts, no unshare, no namespaces by clone, and clone3 unknown so that libc uses clone.
fn container() -> Vec<sock_filter> {
    let mut lines = refuse(&ADMINISTRATORS, libc::EPERM);
    lines.extend(refuse(&MOUNT_API, libc::EPERM));
    lines.extend(refuse(&[libc::SYS_clone3], libc::ENOSYS));
    let clone = u32::try_from(libc::SYS_clone).expect("a call's number");
    lines.extend([
        line(LOAD, 0, 0, 0),
        line(JUMP_IF_EQUAL, 0, 3, clone),
        line(LOAD, 0, 0, FIRST_ARGUMENT),
        line(JUMP_IF_ANY, 0, 1, 0x7e02_0000),
        line(RETURN, 0, 0, answer(libc::EPERM)),
    ]);
    lines
}

/// No user namespace by any call, and all others as ever.
fn no_user_namespaces() -> Vec<sock_filter> {
    let mut lines = refuse(&[libc::SYS_clone3], libc::ENOSYS);
    for call in [libc::SYS_clone, libc::SYS_unshare] {
        lines.extend([
            line(LOAD, 0, 0, 0),
            line(JUMP_IF_EQUAL, 0, 3, u32::try_from(call).expect("a call's number")),
            line(LOAD, 0, 0, FIRST_ARGUMENT),
            line(JUMP_IF_ANY, 0, 1, libc::CLONE_NEWUSER.cast_unsigned()),
            line(RETURN, 0, 0, answer(libc::EPERM)),
        ]);
    }
    lines
}

/// No filter may have its calls answered.
fn without_listener() -> Vec<sock_filter> {
    let seccomp = u32::try_from(libc::SYS_seccomp).expect("a call's number");
    vec![
        line(LOAD, 0, 0, 0),
        line(JUMP_IF_EQUAL, 0, 3, seccomp),
        line(LOAD, 0, 0, FIRST_ARGUMENT + 8),
        line(JUMP_IF_ANY, 0, 1, 8),
        line(RETURN, 0, 0, answer(libc::ENOSYS)),
    ]
}

/// The low half of the first argument in `struct seccomp_data`.
const FIRST_ARGUMENT: u32 = 16;

fn filter(lines: &[sock_filter]) {
    no_new_privileges();
    let mut lines = lines.to_vec();
    lines.push(line(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
    let length = u16::try_from(lines.len()).expect("a short filter");
    let program = sock_fprog { len: length, filter: lines.as_mut_ptr() };
    // SAFETY: the program points to whole lines that live until the kernel has copied them.
    let set =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    assert_eq!(set, 0, "seccomp: {}", std::io::Error::last_os_error());
}

fn no_new_privileges() {
    // SAFETY: numbers only.
    let set = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(set, 0, "no_new_privs: {}", std::io::Error::last_os_error());
}

/// A user namespace with ids to give away, and a mount namespace: root of a container. Whoever stays outside writes its
/// maps.
fn own_ids() {
    let script =
        r#"read word; for map in gid_map uid_map; do echo "0 0 70000" >/proc/$1/$map || exit 1; done"#;
    let own = std::process::id().to_string();
    let mut outside = std::process::Command::new("/bin/sh");
    let outside = outside.args(["-c", script, "sh", &own]).stdin(std::process::Stdio::piped()).spawn();
    let mut outside = outside.expect("a shell");
    // SAFETY: numbers only; this process has one thread.
    let made = unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) };
    assert_eq!(made, 0, "unshare: {}", std::io::Error::last_os_error());
    let word = outside.stdin.take().expect("a pipe").write_all(b"made\n");
    word.expect("somebody reads");
    assert!(outside.wait().expect("the shell ends").success(), "the maps cannot be written");
}

/// A ruleset that handles the making of sockets only, and so takes nothing of it away that a test would miss.
fn landlock() {
    no_new_privileges();
    let make_socket = [1_u64 << 9];
    // SAFETY: the first version's structure is one word; then numbers only.
    let restricted = unsafe {
        let ruleset = libc::syscall(libc::SYS_landlock_create_ruleset, make_socket.as_ptr(), 8_usize, 0);
        libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0)
    };
    assert_eq!(restricted, 0, "landlock: {}", std::io::Error::last_os_error());
}

/// `nofile=16`: a limit of this process, soft and hard.
fn limit(word: &str) {
    let (name, value) = word.split_once('=').unwrap_or_else(|| panic!("`{word}` is no way to be worse"));
    let resource = match name {
        "nofile" => libc::RLIMIT_NOFILE,
        "nproc" => libc::RLIMIT_NPROC,
        "memlock" => libc::RLIMIT_MEMLOCK,
        "as" => libc::RLIMIT_AS,
        "fsize" => libc::RLIMIT_FSIZE,
        _ => panic!("`{name}` is no limit"),
    };
    let value = value.parse().expect("a number");
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: a whole structure.
    let set = unsafe { libc::setrlimit(resource, &raw const limit) };
    assert_eq!(set, 0, "{word}: {}", std::io::Error::last_os_error());
}
