//! Interpreters and virtual machines: threads, children, timers, sockets on loopback, files of their own.

use crate::compare::Case;

#[test]
fn node_with_worker_threads_and_child_processes() {
    let program = r"
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
if (!isMainThread) { let n = 0; for (let i = 0; i < 1e6; i++) n += i % workerData; parentPort.postMessage(n); }
else main();
async function main() {
  const fs = require('fs'), cp = require('child_process'), net = require('net'), zlib = require('zlib');
  const sums = await Promise.all([3, 5, 7, 11].map(n => new Promise((done, failed) =>
    new Worker(__filename, { workerData: n }).once('message', done).once('error', failed))));
  console.log('workers', sums.join(' '));
  const child = cp.spawn('sh', ['-c', 'read x; echo got $x; exit 3'], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end('word\n');
  let said = ''; child.stdout.on('data', d => said += d);
  await new Promise(done => child.on('close', code => { console.log('child', said.trim(), code); done(); }));
  const forked = cp.fork('child.js');
  forked.send({ question: 6 });
  await new Promise(done => forked.on('message', m => { console.log('forked', m.answer); forked.disconnect(); })
    .on('exit', done));
  const stopped = cp.spawn('sleep', ['60']);
  stopped.kill('SIGTERM');
  await new Promise(done => stopped.on('exit', (code, signal) => { console.log('stopped', code, signal); done(); }));
  const server = net.createServer(s => s.end('hello')).listen(0, '127.0.0.1');
  await new Promise(done => server.on('listening', done));
  let heard = '';
  await new Promise(done => net.connect(server.address().port, '127.0.0.1')
    .on('data', d => heard += d).on('close', done));
  server.close(); console.log('socket', heard);
  const place = fs.mkdtempSync(require('os').tmpdir() + '/x');
  fs.writeFileSync(place + '/a', zlib.gzipSync('text'.repeat(1000)));
  fs.copyFileSync(place + '/a', place + '/b'); fs.renameSync(place + '/b', place + '/c');
  console.log('files', fs.readdirSync(place).join(), zlib.gunzipSync(fs.readFileSync(place + '/c')).length);
  fs.rmSync(place, { recursive: true });
  await require('timers/promises').setTimeout(20);
  console.log(require('crypto').scryptSync('a', 'b', 16).toString('hex'));
}
";
    let child = "process.on('message', m => process.send({ answer: m.question * 7 }));";
    Case {
        name: "node",
        profile: "node-safe",
        files: &[("main.js", program), ("child.js", child)],
        needs: &[("node", "nodejs")],
        before: "",
        line: "node main.js",
    }
    .prints("forked 42");
}

#[test]
fn a_project_of_npm_is_run_from_node_modules() {
    let package =
        r#"{"name": "greet", "version": "1.0.0", "bin": {"greet": "cli.js"}, "exports": "./index.js"}"#;
    let module = "exports.greet = name => `hello ${name}`;";
    let program =
        "#!/usr/bin/env node\nimport('./esm.mjs').then(m => console.log(m.shout(process.argv[2])));\n";
    let esm = "import { greet } from 'greet';\nexport const shout = name => greet(name).toUpperCase();\n";
    let own = r#"{"name": "own", "type": "module", "scripts": {"start": "greet npm"}, "dependencies": {"greet": "1"}}"#;
    let own_program = "import { greet } from 'greet';\nimport { test } from 'node:test';\nconsole.log(greet('x'));\n\
                       test('works', () => {});\n";
    Case {
        name: "a project of npm",
        profile: "node-safe",
        files: &[
            ("package.json", own),
            ("main.js", own_program),
            ("node_modules/greet/package.json", package),
            ("node_modules/greet/index.js", module),
            ("node_modules/greet/cli.js", program),
            ("node_modules/greet/esm.mjs", esm),
        ],
        needs: &[("node", "nodejs")],
        before: "mkdir node_modules/.bin && ln -s ../greet/cli.js node_modules/.bin/greet && \
                 chmod +x node_modules/greet/cli.js",
        line: "node_modules/.bin/greet npm && node main.js | sed 's/[0-9.]*$//'",
    }
    .prints("HELLO NPM");
}

#[test]
fn python_with_threads_processes_sockets_and_shared_memory() {
    let program = r"
import asyncio, concurrent.futures, mmap, multiprocessing, os, queue, select, signal, socket, sqlite3, subprocess
import sys, tempfile, threading, time
from multiprocessing import shared_memory

def square(n): return n * n

def main():
    for kind in (concurrent.futures.ThreadPoolExecutor, concurrent.futures.ProcessPoolExecutor):
        with kind(4) as pool: print(kind.__name__, sum(pool.map(square, range(200))))
    for method in multiprocessing.get_all_start_methods():
        with multiprocessing.get_context(method).Pool(2) as pool: print(method, pool.map(square, [1, 2, 3]))
    block = shared_memory.SharedMemory(create=True, size=4096)
    again = shared_memory.SharedMemory(name=block.name); block.buf[0] = 7; print('shared', again.buf[0])
    again.close(); block.close(); block.unlink()
    print(subprocess.run(['sh', '-c', 'cat; exit 4'], input='in', text=True, capture_output=True))
    async def serve():
        async def answer(reader, writer):
            writer.write((await reader.readline()).upper()); await writer.drain(); writer.close()
        server = await asyncio.start_server(answer, '127.0.0.1', 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b'line\n'); print((await reader.read()).decode().strip()); writer.close(); server.close()
        process = await asyncio.create_subprocess_exec('echo', 'asyncio', stdout=-1)
        print((await process.communicate())[0].decode().strip())
    asyncio.run(serve())
    left, right = socket.socketpair()
    with tempfile.TemporaryFile() as file:
        socket.send_fds(left, [b'x'], [file.fileno()]); fd = socket.recv_fds(right, 1, 1)[1][0]
        os.write(fd, b'through'); file.seek(0); print(file.read())
    with socket.socket(socket.AF_UNIX) as unix:
        place = tempfile.mkdtemp() + '/socket'; unix.bind(place); unix.listen()
        socket.socket(socket.AF_UNIX).connect(place); os.unlink(place); os.rmdir(os.path.dirname(place))
    signal.signal(signal.SIGALRM, lambda *_: print('alarm')); signal.setitimer(signal.ITIMER_REAL, 0.01); signal.pause()
    database = sqlite3.connect(os.path.join(tempfile.gettempdir(), 'x.db'))
    database.execute('pragma journal_mode = wal'); database.execute('create table t(a)')
    database.executemany('insert into t values(?)', [(n,) for n in range(100)]); database.commit()
    print(database.execute('select sum(a) from t').fetchone()); database.close()
    os.nice(1); print(os.sched_getaffinity(0) != set(), time.process_time() > 0)

if __name__ == '__main__': main()
";
    Case {
        name: "python3",
        profile: "python-safe",
        files: &[("main.py", program)],
        needs: &[("python3", "python3")],
        before: "",
        line: "python3 main.py",
    }
    .prints("ProcessPoolExecutor 2646700");
}

#[test]
fn perl_with_children_pipes_and_sockets() {
    let program = r#"
use strict; use warnings; use IO::Socket::INET; use IO::Select; use File::Temp 'tempfile'; use POSIX ':sys_wait_h';
use Time::HiRes 'usleep'; use List::Util 'sum'; use Digest::SHA 'sha256_hex'; use Storable 'dclone'; use threads;
$| = 1;
my $pid = fork // die; if (!$pid) { exit 5 } waitpid $pid, 0; print "child ", WEXITSTATUS($?), "\n";
open my $pipe, '-|', 'sh', '-c', 'echo piped' or die; print <$pipe>; close $pipe;
my $server = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die $!;
$pid = fork // die; if (!$pid) { my $s = $server->accept; print $s "over loopback\n"; exit }
my $client = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $server->sockport) or die $!;
print <$client>; waitpid $pid, 0;
my ($file, $name) = tempfile(UNLINK => 1); print $file "x" x 1000; close $file; print "size ", -s $name, "\n";
$SIG{ALRM} = sub { print "alarm\n" }; alarm 1; select undef, undef, undef, 2;
print sum(1 .. 100), " ", substr(sha256_hex("x"), 0, 8), "\n";
print "thread ", threads->create(sub { 6 * 7 })->join, "\n";
print "user ", (getpwuid($<))[0] ? "known" : "unknown", "\n";
"#;
    Case {
        name: "perl",
        profile: "default",
        files: &[("main.pl", program)],
        needs: &[("perl", "perl")],
        before: "",
        line: "perl main.pl",
    }
    .prints("over loopback");
}

const JAVA: &str = r#"
import java.io.*; import java.net.*; import java.nio.file.*; import java.util.*; import java.util.concurrent.*;
import java.util.stream.*;
public class Main {
    public static void main(String[] words) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(4);
        List<Future<Integer>> parts = new ArrayList<>();
        for (int i = 0; i < 16; i++) { int n = i; parts.add(pool.submit(() -> IntStream.range(0, 100000).map(x -> x % (n + 1)).sum())); }
        long sum = 0; for (Future<Integer> part : parts) sum += part.get();
        pool.shutdown(); System.out.println("threads " + sum);
        Process child = new ProcessBuilder("sh", "-c", "echo child; exit 3").redirectErrorStream(true).start();
        System.out.println(new String(child.getInputStream().readAllBytes()).trim() + " " + child.waitFor());
        try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            Thread thread = new Thread(() -> { try (Socket s = server.accept()) { s.getOutputStream().write("loopback".getBytes()); } catch (IOException e) { throw new UncheckedIOException(e); } });
            thread.start();
            try (Socket s = new Socket(InetAddress.getLoopbackAddress(), server.getLocalPort())) { System.out.println(new String(s.getInputStream().readAllBytes())); }
            thread.join();
        }
        Path file = Files.createTempFile("x", "y"); Files.writeString(file, "text".repeat(1000)); System.out.println(Files.size(file)); Files.delete(file);
        for (int i = 0; i < 200; i++) { byte[] waste = new byte[1 << 20]; waste[i] = 1; }
        System.gc();
        System.out.println(IntStream.range(0, 1000000).parallel().mapToLong(x -> x).sum());
    }
}
"#;

#[test]
fn java_compiles_and_runs_with_threads_children_and_sockets() {
    Case {
        name: "javac and java",
        profile: "build",
        files: &[("Main.java", JAVA)],
        needs: &[("javac", "default-jdk-headless")],
        before: "",
        line: "javac -d out Main.java && java -cp out Main && rm -r out",
    }
    .prints("loopback");
}

#[test]
fn java_runs_a_class_that_it_can_only_read() {
    Case {
        name: "java",
        profile: "default",
        files: &[("Main.java", JAVA)],
        needs: &[("javac", "default-jdk-headless")],
        before: "javac -d out Main.java",
        line: "java -XX:+UseZGC -cp out Main && java -cp out Main",
    }
    .prints("499999500000");
}
