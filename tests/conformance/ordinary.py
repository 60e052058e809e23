# What ordinary programs do with files, devices, sockets and signals: each answers `ok` or an error's name.
import ctypes, errno, fcntl, multiprocessing, os, signal, socket, sys, termios
libc = ctypes.CDLL(None, use_errno=True)
def attempt(name, work):
    try: work(); print(name, "ok")
    except OSError as e: print(name, errno.errorcode[e.errno])
    except termios.error as e: print(name, errno.errorcode[e.args[0]])
def write(path):
    with open(path, "w") as file: file.write("1")
def listen(address):
    server = socket.socket(socket.AF_UNIX); server.bind(address); server.listen()
    socket.socket(socket.AF_UNIX).connect(address)
def nameless():
    file = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600)
    here, follow = -100, 0x400
    if libc.linkat(here, b"/proc/self/fd/%d" % file, here, b"two/named", follow) < 0: raise OSError(ctypes.get_errno(), "")
def unlinked():
    file = os.open("gone", os.O_CREAT | os.O_RDWR); os.unlink("gone")
    os.write(os.open(f"/proc/self/fd/{file}", os.O_RDWR), b"x")
def memory_file():
    os.ftruncate(os.open(f"/proc/self/fd/{os.memfd_create('x')}", os.O_RDWR), 10)
def execute(path):
    with open(path, "w") as file: file.write("#!/bin/sh\nexit 7\n")
    os.chmod(path, 0o755); code = os.waitstatus_to_exitcode(os.system(path))
    if code != 7: raise OSError(errno.EACCES, "")
def child():
    process = os.fork()
    if process == 0: signal.pause()
    os.kill(process, signal.SIGTERM); assert os.waitpid(process, 0)[1] == signal.SIGTERM
def queue():
    if libc.mq_open(b"/queue", os.O_CREAT | os.O_RDWR, 0o600, None) < 0: raise OSError(ctypes.get_errno(), "")
def loopback():
    server = socket.create_server(("127.0.0.1", 0)); socket.create_connection(server.getsockname())
for path in ["/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/shm/x", "/tmp/x", "/var/tmp/x", os.environ["HOME"] + "/x",
             "/etc/x", "/usr/x", "/x", "/dev/x", "/proc/self/comm", "/proc/self/oom_score_adj", "/proc/self/clear_refs",
             "/proc/sys/kernel/core_pattern", "/dev/stdout"]:
    attempt(path, lambda: write(path))
attempt("ioctl of a device", lambda: termios.tcgetattr(os.open("/dev/null", os.O_RDWR)))
attempt("terminals", os.openpty)
for path in ["/", "/dev", "/proc/1", "/usr", "/dev/pts", "/proc/self/ns", "/run"]: attempt("list " + path, lambda: os.listdir(path))
for path in ["/proc/self/ns/net", "/proc/self/exe", "/etc/passwd", "/dev/stdin", "/proc/1/environ", "/proc/self/maps"]:
    attempt("read " + path, lambda: open(path, "rb").read(9))
os.chdir(sys.argv[1])
attempt("make", lambda: [os.mkdir("one"), os.mkdir("two"), write("file")])
attempt("rename to another folder", lambda: os.rename("file", "one/file"))
attempt("link to another folder", lambda: os.link("one/file", "two/link"))
attempt("rename a folder to another", lambda: os.rename("one", "two/one"))
attempt("truncate", lambda: os.truncate("two/link", 0))
attempt("symlink", lambda: os.symlink("x", "symlink"))
attempt("fifo", lambda: os.mkfifo("fifo"))
attempt("device", lambda: os.mknod("block", 0o60600, os.makedev(7, 0)) )
attempt("socket", lambda: listen("socket"))
attempt("abstract socket", lambda: listen("\0ringfence"))
attempt("loopback", loopback)
attempt("nameless file", nameless)
attempt("unlinked file", unlinked)
attempt("memory file", memory_file)
attempt("pipe", lambda: os.open(f"/proc/self/fd/{os.pipe()[0]}", os.O_RDONLY))
for path in ["./execute", "/tmp/execute", "/dev/shm/execute"]: attempt(path, lambda: execute(path))
attempt("signal to itself", lambda: os.kill(os.getpid(), 0))
attempt("signal to a child", child)
attempt("signal to the group", lambda: os.killpg(0, 0))
attempt("signal to all", lambda: os.kill(-1, 0))
attempt("semaphore", lambda: multiprocessing.Lock())
attempt("message queue", queue)
attempt("remove", lambda: [os.remove("symlink"), os.remove("two/one/file"), os.rmdir("two/one")])
