//! What the strict profiles keep: `minimal` runs one plain program and nothing else is executed, no process and no
//! socket made; `shell-readonly` looks at everything and leaves no byte behind. (S2.2)

use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Outcome, Scene, not_reachable};

use crate::compare::{finish, inside};

// The numbers in the rules of `minimal`: clone makes threads alone (CLONE_THREAD); ioctl asks about terminals and pipes
// (TCGETS, TCGETS2, TIOCGWINSZ, FIONREAD) and sets close-on-exec (FIOCLEX); kill asks whether a process is there (signal 0);
// prctl names threads and memory and gives privileges up (PR_SET_NAME, PR_GET_NAME, PR_SET_VMA, PR_SET_NO_NEW_PRIVS).

/// The kernel's number of a call that this system does not have.
const ENOSYS: &str = "38";

/// Attempts one thing by its name and says the error number, 0 when it worked.
const ATTEMPT: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#define TRY(word, call) if (!strcmp(name, word)) { errno = 0; long answer = (long)(call); said(answer); }
static char *words[] = { "/bin/true", NULL }, *none[] = { NULL };
static void said(long answer) { printf("%d\n", answer < 0 ? errno : 0); fflush(stdout); _exit(0); }
/* A child ends at once and says nothing. */
static long child(long pid) { if (pid == 0) _exit(0); if (pid > 0) waitpid(pid, NULL, __WALL); return pid; }
/* By a path that is absolute the file descriptor is ignored: every one is tried. The last error is the answer. */
static long everywhere(void) {
    for (int fd = -100; fd < 64; fd++) {
        syscall(SYS_execveat, fd, "/bin/true", words, none, 0);
        syscall(SYS_execveat, fd, "", words, none, AT_EMPTY_PATH);
        if (errno != ENOSYS) return -1;
    }
    return -1;
}
int main(int count, char **arguments) {
    const char *name = count > 1 ? arguments[1] : "";
    struct { long flags[11]; } clone3 = { { 0, 0, 0, 0, SIGCHLD } };
    TRY("execve", execve("/bin/true", words, none))
    TRY("execveat", syscall(SYS_execveat, open("/bin/true", O_RDONLY), "", words, none, AT_EMPTY_PATH))
    TRY("execveat everywhere", everywhere())
    TRY("clone3", child(syscall(SYS_clone3, &clone3, sizeof clone3)))
    TRY("fork", child(syscall(SYS_fork)))
    TRY("clone", child(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)))
    TRY("vfork", child(vfork()))
    TRY("unix socket", socket(AF_UNIX, SOCK_STREAM, 0))
    TRY("ip socket", socket(AF_INET, SOCK_STREAM, 0))
    TRY("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, (int[2]){ 0, 0 }))
    TRY("memfd_create", memfd_create("x", 0))
    TRY("mkdir", mkdir("/tmp/x", 0700))
    TRY("chmod", chmod("/tmp", 0700))
    TRY("symlink", symlink("x", "/tmp/y"))
    TRY("kill", kill(getpid(), SIGCONT))
    TRY("setsid", setsid() < 0 && errno == EPERM ? 0 : -1)
    TRY("ioctl", ioctl(0, FIONBIO, &(int){ 0 }))
    TRY("setpriority", syscall(SYS_setpriority, 0, 0, 19))
    TRY("setrlimit", syscall(SYS_setrlimit, 7, (long[2]){ 9, 9 }))
    TRY("nothing", 0)
    puts("unknown attempt");
    return 2;
}
"#;

fn compiled(scene: &Scene) -> Option<PathBuf> {
    crate::compare::find("gcc")?;
    let source = scene.file("attempt/attempt.c", ATTEMPT);
    let program = scene.path("attempt/attempt");
    let built = Command::new("gcc").args(["-static", "-o"]).arg(&program).arg(&source).status();
    assert!(built.expect("gcc runs").success());
    Some(program)
}

fn attempt(scene: &Scene, profile: &str, program: &Path, name: &str) -> Outcome {
    inside(scene, profile).flag("--ro").flag(program).run([program.as_os_str(), name.as_ref()])
}

#[test]
fn minimal_executes_nothing_else() {
    let scene = Scene::new();
    let Some(program) = compiled(&scene) else { return not_reachable("minimal", "install gcc") };
    for name in ["execve", "execveat", "execveat everywhere", "clone3"] {
        let outcome = attempt(&scene, "minimal", &program, name);
        assert_eq!((outcome.status, outcome.answer()), (0, ENOSYS), "{name}: {outcome:#?}");
        // The control: what is executed says nothing, and ends well.
        let control = attempt(&scene, "default", &program, name);
        let expected = if name == "clone3" { ENOSYS } else { "" };
        assert_eq!((control.status, control.answer()), (0, expected), "{name}: {control:#?}");
    }
    // Real programs that would execute another.
    for words in
        [&["env", "true"][..], &["nice", "true"], &["chroot", "/", "true"], &["busybox", "env", "true"]]
    {
        let outcome = inside(&scene, "minimal").run(words);
        assert_ne!(outcome.status, 0, "{words:?}: {outcome:#?}");
    }
    assert_eq!(inside(&scene, "default").run(["env", "true"]).status, 0, "control");
}

#[test]
fn minimal_makes_no_process_no_socket_and_changes_nothing() {
    let scene = Scene::new();
    let Some(program) = compiled(&scene) else { return not_reachable("minimal", "install gcc") };
    assert_eq!(attempt(&scene, "minimal", &program, "nothing").answer(), "0", "control");
    let attempts = [
        "fork",
        "clone",
        "vfork",
        "unix socket",
        "ip socket",
        "socketpair",
        "memfd_create",
        "mkdir",
        "chmod",
        "symlink",
        "kill",
        "setsid",
        "ioctl",
        "setpriority",
        "setrlimit",
    ];
    for name in attempts {
        let outcome = attempt(&scene, "minimal", &program, name);
        assert_eq!((outcome.status, outcome.answer()), (159, ""), "{name}: {outcome:#?}");
        assert_eq!(outcome.field("/exit/reason"), "violation", "{name}: {outcome:#?}");
        let control = attempt(&scene, "default", &program, name);
        assert_eq!((control.status, control.answer()), (0, "0"), "{name}: {control:#?}");
    }
}

#[test]
fn minimal_runs_plain_programs() {
    let scene = Scene::new();
    let lines: String =
        (0..200_000).map(|n: u32| format!("{} line\n", n.wrapping_mul(2_654_435_761) % 99_991)).collect();
    let file = scene.file("data/file", &lines);
    let file = file.to_str().expect("paths of tests are UTF-8");
    let programs: &[&[&str]] = &[
        &["/bin/echo", "hello"],
        &["cat", file],
        &["head", "-n", "2", file],
        &["tail", "-n", "2", file],
        &["wc", file],
        // Of this length it is sorted by threads where there are processors for them.
        &["sort", file],
        &["sort", "-n", "-u", file],
        &["uniq", "-c", file],
        &["cut", "-d", " ", "-f", "1", file],
        &["tr", "a", "b"],
        &["grep", "-c", "99 ", file],
        &["sed", "-n", "2p", file],
        &["awk", "{ n += $1 } END { print n }", file],
        &["tac", file],
        &["nl", file],
        &["fold", "-w", "3", file],
        &["sha256sum", file],
        &["od", "-c", "-N", "64", file],
        &["base64", file],
        &["cmp", file, file],
        &["diff", file, file],
        &["comm", "-3", file, file],
        &["stat", "-c", "%s %F", file],
        &["ls", "-1", "/bin/sh"],
        &["seq", "3"],
        &["printf", "%s\n", "x"],
        &["expr", "1", "+", "2"],
        &["basename", file],
        &["date", "-u", "-d", "@0"],
        &["sleep", "0.01"],
        &["true"],
        &["false"],
        &["test", "-f", file],
        &["uname", "-s"],
        &["gzip", "-c", file],
        &["busybox", "cat", file],
        &["busybox", "wc", file],
        &["cat", "/nothing"],
    ];
    for words in programs {
        if crate::compare::find(words[0].rsplit('/').next().unwrap_or_default()).is_none() {
            eprintln!("minimal: {} is not installed", words[0]);
            continue;
        }
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).env("LANG", "C.UTF-8").env("TERM", "dumb");
        let outside = finish(words[0], command);
        let inside = inside(&scene, "minimal").flags(["--ro", file]).run(*words);
        let same = (inside.status, &inside.stdout, &inside.stderr)
            == (outside.status, &outside.stdout, &outside.stderr);
        assert!(same, "{words:?}: {} {} {}", inside.status, inside.stderr, outside.status);
    }
}

/// Tries to write wherever a path leads, in every way, and says what worked on what is not memory.
const WRITER: &str = r"
import ctypes, errno, os, stat, sys
libc = ctypes.CDLL(None, use_errno=True)
MEMORY = {0x01021994, 0x858458f6, 0x1cd1}  # tmpfs, ramfs, devpts
REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM}
# What else such a call answers where it would not be refused: the name is taken, is a folder, a socket, or gone.
OTHERS = {errno.EEXIST, errno.EISDIR, errno.ENXIO, errno.ENOENT, errno.EBUSY, errno.EXDEV, errno.ENOTSUP, errno.EINVAL}
class Statfs(ctypes.Structure): _fields_ = [('type', ctypes.c_long), ('rest', ctypes.c_long * 32)]
def lasts(path):
    answer = Statfs()
    return libc.statfs(os.fsencode(path), ctypes.byref(answer)) == 0 and answer.type not in MEMORY
worked, odd, refused = [], [], 0
def attempt(what, path, action):
    global refused
    try: action()
    except OSError as error:
        if error.errno in REFUSED: refused += 1
        elif error.errno not in OTHERS: odd.append(f'{what} {path} {error}')
        return False
    if lasts(os.path.dirname(path)): worked.append(f'{what} {path}')
    return True
def write(path, flags):
    fd = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY, 0o600)
    try: os.write(fd, b'x')
    finally: os.close(fd)
def again(path):
    fd = os.open(path, os.O_RDONLY)
    try: write(f'/proc/self/fd/{fd}', os.O_WRONLY)
    finally: os.close(fd)
def folder_attempts(folder):
    mark = folder + '/ringfence-mark'
    attempt('make', mark, lambda: write(mark, os.O_CREAT | os.O_WRONLY))
    attempt('mkdir', mark, lambda: os.mkdir(mark + '-folder'))
    attempt('symlink', mark, lambda: os.symlink('x', mark + '-link'))
    attempt('fifo', mark, lambda: os.mkfifo(mark + '-fifo'))
    attempt('times', mark, lambda: os.utime(folder, (1, 1)))
def file_attempts(path):
    attempt('write', path, lambda: write(path, os.O_WRONLY))
    attempt('append', path, lambda: write(path, os.O_WRONLY | os.O_APPEND))
    attempt('open again', path, lambda: again(path))
    attempt('truncate', path, lambda: os.truncate(path, 0))
    attempt('mode', path, lambda: os.chmod(path, 0o777))
    attempt('owner', path, lambda: os.chown(path, os.getuid(), os.getgid()))
    attempt('times', path, lambda: os.utime(path, (1, 1)))
    attempt('mark', path, lambda: os.setxattr(path, 'user.x', b'x'))
    attempt('link', path, lambda: os.link(path, path + '-linked'))
    attempt('rename', path, lambda: os.rename(path, path + '-renamed'))
    attempt('remove', path, lambda: os.remove(path))
def is_file(path): return stat.S_ISREG(os.stat(path).st_mode)
def walk(top, depth, most):
    if top.startswith('/proc'): return
    names = sorted(os.scandir(top), key=lambda entry: entry.name)[:most] if os.access(top, os.R_OK) else []
    folder_attempts(top)
    for entry in names:
        if entry.is_symlink(): continue
        if is_file(entry.path): file_attempts(entry.path)
        elif entry.is_dir(follow_symlinks=False) and depth: walk(entry.path, depth - 1, most)
for top in sys.argv[1:]: walk(top, 9, 99)
for line in open('/proc/self/mountinfo'):
    top = line.split()[4]
    if os.path.isdir(top): walk(top, 2, 30)
    elif is_file(top) and not top.startswith('/proc'): file_attempts(top)
attempt('tmp', '/tmp/x', lambda: write('/tmp/x', os.O_CREAT | os.O_WRONLY)) and print('tmp is writable')
print('refused', refused > 500)
print('odd', *odd[:9], sep='\n')
print('worked', *sorted(worked), sep='\n')
";

#[test]
fn shell_readonly_leaves_no_byte_behind() {
    let scene = Scene::new();
    scene.file("here/a", "content\n");
    scene.file("here/deep/b", "content\n");
    scene.file("granted/c", "content\n");
    scene.file("writer.py", WRITER);
    let (here, granted) = (scene.path("here"), scene.path("granted"));
    let script = scene.path("writer.py");
    let run = |profile: &str| {
        let run = inside(&scene, profile).flag("--ro").flag(&granted).flag("--ro").flag(&script);
        run.run(["python3".as_ref(), script.as_os_str(), here.as_os_str(), granted.as_os_str()])
    };
    let before = state(&[&here, &granted]);
    let outcome = run("shell-readonly");
    assert_eq!(outcome.stdout, "tmp is writable\nrefused True\nodd\nworked\n", "{outcome:#?}");
    assert_eq!(state(&[&here, &granted]), before);
    // The control: where it may write, all of it arrives.
    let control = run("build");
    assert!(control.stdout.contains("\nmake ") && control.stdout.contains("\nwrite "), "{control:#?}");
    let after = state(&[&here, &granted]);
    assert!(after.iter().any(|entry| entry.contains("ringfence-mark")), "{after:#?}");
    let content = |lines: &[String]| lines.iter().filter(|line| *line == "content").count();
    assert_eq!((content(&before), content(&after)), (3, 1), "{after:#?}");
}

#[test]
fn shell_readonly_has_no_socket_and_says_so() {
    let scene = Scene::new();
    let Some(program) = compiled(&scene) else { return not_reachable("shell-readonly", "install gcc") };
    for name in ["unix socket", "ip socket", "socketpair", "mkdir", "chmod", "symlink", "memfd_create"] {
        let outcome = attempt(&scene, "shell-readonly", &program, name);
        assert_eq!((outcome.status, outcome.answer()), (0, "13"), "{name}: {outcome:#?}");
        assert_eq!(attempt(&scene, "default", &program, name).answer(), "0", "control: {name}");
    }
    for name in ["fork", "clone", "vfork", "kill"] {
        assert_eq!(attempt(&scene, "shell-readonly", &program, name).answer(), "0", "{name}");
    }
}

/// Everything below folders, with what a write could change: times, modes, owners, lengths, contents.
fn state(folders: &[&Path]) -> Vec<String> {
    let mut command = Command::new("find");
    command.args(folders).args([
        "-printf",
        "%p %y %m %U %G %s %n %T@ %l\n",
        "-type",
        "f",
        "-exec",
        "cat",
        "{}",
        ";",
    ]);
    let mut lines: Vec<_> = finish("find", command).stdout.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}
