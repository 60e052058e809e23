//! Small programs that each need exactly one thing which the profile `default` refuses.
//!
//! In the texts `{here}` is the working directory, `{there}` a folder that is not shown, `{port}` a service of the
//! host's loopback. Each program prints `done` when it got what it needs, and fails when it did not.

/// What a program is written in, and how it is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Shell,
    Python,
    Node,
    Java,
    C,
}

/// One program.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) language: Language,
    pub(crate) program: &'static str,
    /// Flags of both runs.
    pub(crate) flags: &'static [&'static str],
    /// The change that must be said first.
    pub(crate) change: &'static str,
}

const fn case(name: &'static str, language: Language, change: &'static str, program: &'static str) -> Case {
    Case { name, language, program, flags: &[], change }
}

const fn with(flags: &'static [&'static str], case: Case) -> Case {
    Case { flags, ..case }
}

use Language::{C, Java, Node, Python, Shell};

pub(crate) const CASES: &[Case] = &[
    case("sh-read", Shell, "--ro {there}/data", "grep -q content {there}/data && echo done"),
    case("sh-source", Shell, "--ro {there}/settings.sh", ". {there}/settings.sh; echo $SAID"),
    case("sh-list", Shell, "--ro {there}", "ls {there} >/tmp/list && grep -q data /tmp/list && echo done"),
    case("sh-execute", Shell, "--ro {there}/tool", "{there}/tool"),
    case("sh-link", Shell, "--ro {there}/data", "cat {here}/link >/dev/null && echo done"),
    case(
        "sh-odd-name",
        Shell,
        "--ro '{there}/it'\\''s odd'",
        "cat \"{there}/it's odd\" >/dev/null && echo done",
    ),
    case("sh-make", Shell, "--rw {here}", "echo x > made && echo done"),
    case("sh-append", Shell, "--rw {here}", "echo x >> own && echo done"),
    case("sh-rename", Shell, "--rw {here}", "mv own other && echo done"),
    case("sh-remove", Shell, "--rw {here}", "rm -f own && echo done"),
    case("sh-mode", Shell, "--rw {here}/own", "chmod 600 own && echo done"),
    case("sh-folder", Shell, "--rw {here}", "mkdir -p a/b && echo done"),
    case("sh-elsewhere", Shell, "--rw {there}", "echo x > {there}/made && echo done"),
    case("sh-root-folder", Shell, "--tmpfs /data", "mkdir -p /data/x && echo done"),
    with(&["--timeout=400ms"], case("sh-late", Shell, "--timeout 800ms", "sleep 0.5; echo done")),
    with(&["--file-size=1000"], case("sh-large", Shell, "--file-size 2000", "seq 400 > /tmp/x && echo done")),
    with(&["--output-limit=1000"], case("sh-talk", Shell, "--output-limit 2000", "seq 300 && echo done")),
    with(&["--pids=1"], case("sh-child", Shell, "--pids 100", "(exit 0) && sh -c 'exit 0' && echo done")),
    case("py-read", Python, "--ro {there}/data", "print(open('{there}/data').read() and 'done')"),
    case(
        "py-import",
        Python,
        "--ro {there}",
        "import sys; sys.path.append('{there}'); import extra; print(extra.said)",
    ),
    case("py-write", Python, "--rw {here}", "open('made', 'w').write('x'); print('done')"),
    case(
        "py-database",
        Python,
        "--rw {here}",
        "import sqlite3; c = sqlite3.connect('own.db'); c.execute('create table t(a)'); c.commit(); print('done')",
    ),
    case(
        "py-connect",
        Python,
        "--net host",
        "import socket; print(socket.create_connection(('127.0.0.1', {port}), 5).recv(4).decode())",
    ),
    case(
        "py-port",
        Python,
        "--keep-cap NET_BIND_SERVICE",
        "import socket; s = socket.socket(); s.bind(('127.0.0.1', 80)); print('done')",
    ),
    case(
        "py-peek",
        Python,
        "\"syscalls\": { \"allow\": [\"process_vm_readv\"] }",
        "import ctypes, os\n\
         class Part(ctypes.Structure): _fields_ = [('at', ctypes.c_void_p), ('size', ctypes.c_size_t)]\n\
         a, b = ctypes.create_string_buffer(b'done'), ctypes.create_string_buffer(4)\n\
         part = lambda x: ctypes.byref(Part(ctypes.addressof(x), 4))\n\
         if ctypes.CDLL(None).process_vm_readv(os.getpid(), part(b), 1, part(a), 1, 0) != 4: raise SystemExit(1)\n\
         print(b.raw.decode())",
    ),
    case(
        "node-read",
        Node,
        "--ro {there}/data",
        "console.log(require('fs').readFileSync('{there}/data') && 'done')",
    ),
    case("node-module", Node, "--ro {there}/extra.js", "console.log(require('{there}/extra.js').said)"),
    case("node-write", Node, "--rw {here}", "require('fs').writeFileSync('made', 'x'); console.log('done')"),
    case(
        "node-list",
        Node,
        "--ro {there}",
        "console.log(require('fs').readdirSync('{there}').length && 'done')",
    ),
    case(
        "node-connect",
        Node,
        "--net host",
        "require('net').connect({port}, '127.0.0.1').on('data', d => { console.log(`${d}`); process.exit() })",
    ),
    case(
        "java-read",
        Java,
        "--ro {there}/data",
        "System.out.println(java.nio.file.Files.readString(java.nio.file.Path.of(\"{there}/data\")).isEmpty() ? \"\" : \"done\");",
    ),
    case(
        "java-write",
        Java,
        "--rw {here}",
        "java.nio.file.Files.writeString(java.nio.file.Path.of(\"made\"), \"x\"); System.out.println(\"done\");",
    ),
    case(
        "java-connect",
        Java,
        "--net host",
        "var s = new java.net.Socket(\"127.0.0.1\", {port}); System.out.println(new String(s.getInputStream().readNBytes(4)));",
    ),
    case("c-read", C, "--ro {there}/data", "return fopen(\"{there}/data\", \"r\") ? puts(\"done\") < 0 : 1;"),
    case("c-folder", C, "--rw {here}", "return mkdir(\"made\", 0755) ? 1 : puts(\"done\") < 0;"),
    case(
        "c-trace",
        C,
        "\"syscalls\": { \"allow\": [\"ptrace\"] }",
        "return ptrace(PTRACE_TRACEME, 0, 0, 0) ? 1 : puts(\"done\") < 0;",
    ),
    case(
        "c-queue",
        C,
        "\"syscalls\": { \"allow\": [\"io_setup\"] }",
        "unsigned long x = 0; return syscall(SYS_io_setup, 4, &x) ? 1 : puts(\"done\") < 0;",
    ),
    case(
        "c-compare",
        C,
        "\"syscalls\": { \"allow\": [\"kcmp\"] }",
        "return syscall(SYS_kcmp, getpid(), getpid(), 1, 0, 0) < 0 ? 1 : puts(\"done\") < 0;",
    ),
    case(
        "c-connect",
        C,
        "--net host",
        "struct sockaddr_in a = {AF_INET, htons({port}), {htonl(0x7f000001)}}; char b[5] = {0};\n\
         int s = socket(AF_INET, SOCK_STREAM, 0);\n\
         return connect(s, (void *)&a, sizeof a) || read(s, b, 4) != 4 ? 1 : puts(b) < 0;",
    ),
];
