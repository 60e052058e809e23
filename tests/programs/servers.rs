//! Programs that answer: tool servers on their streams, services on loopback.

use crate::compare::Case;

/// What a client of a tool server says, one message a line.
const ASKED: &str = r#"{"jsonrpc": "2.0", "id": 1, "method": "initialize"}
{"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"file": "data"}}
{"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"file": "/etc/shadow"}}
"#;

#[test]
fn a_tool_server_of_python_answers_on_its_streams() {
    let server = r"
import concurrent.futures, json, sys
def answer(message):
    if message['method'] == 'initialize': return {'serverInfo': 'python'}
    try: return {'content': open(message['params']['file']).read()}
    except OSError as error: return {'refused': error.__class__.__name__ != ''}
with concurrent.futures.ThreadPoolExecutor() as pool:
    for line in sys.stdin:
        message = json.loads(line)
        result = pool.submit(answer, message).result() if message['id'] < 3 else {}
        print(json.dumps({'id': message['id'], 'result': result}), flush=True)
";
    Case {
        name: "a tool server of python",
        profile: "mcp",
        files: &[("server.py", server), ("asked", ASKED), ("data", "content")],
        needs: &[("python3", "python3")],
        before: "",
        line: "cat asked | python3 server.py",
    }
    .prints(r#"{"id": 2, "result": {"content": "content"}}"#);
}

#[test]
fn a_tool_server_of_node_answers_on_its_streams() {
    let server = "const fs = require('fs');\n\
        require('readline').createInterface({ input: process.stdin }).on('line', async line => {\n\
        const m = JSON.parse(line);\n\
        const result = m.id == 2 ? await fs.promises.readFile(m.params.file, 'utf8') : null;\n\
        process.stdout.write(JSON.stringify({ id: m.id, result }) + '\\n'); });\n";
    Case {
        name: "a tool server of node",
        profile: "mcp",
        files: &[("server.js", server), ("asked", ASKED), ("data", "content")],
        needs: &[("node", "nodejs")],
        before: "",
        line: "cat asked | node server.js | sort",
    }
    .prints(r#"{"id":2,"result":"content"}"#);
}

#[test]
fn a_service_of_threads_answers_over_loopback_and_ends_when_it_is_told() {
    let service = r"
import http.server, os, signal, socket, sys, threading, urllib.request
class Answer(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words): pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Answer)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
def ask():
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for name in ['data', 'nothing']:
        try: print(opener.open(f'http://127.0.0.1:{server.server_port}/{name}').read().decode(), flush=True)
        except urllib.error.HTTPError as error: print(error.code, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=ask).start()
server.serve_forever()
workers = [os.fork() or os._exit(0) for _ in range(4)]
print(sum(os.waitpid(worker, 0)[1] for worker in workers), 'ended')
";
    for profile in ["service", "python-safe", "default"] {
        Case {
            name: "a service of python",
            profile,
            files: &[("service.py", service), ("data", "content")],
            needs: &[("python3", "python3")],
            before: "",
            line: "python3 service.py",
        }
        .prints("0 ended");
    }
}

#[test]
fn a_service_of_node_shares_its_port_among_processes() {
    let service = "const cluster = require('cluster'), http = require('http');\n\
        if (cluster.isPrimary) {\n\
        let ready = 0, asked = 0;\n\
        for (let i = 0; i < 2; i++) cluster.fork();\n\
        cluster.on('listening', (w, a) => { if (++ready < 2) return;\n\
        for (let i = 0; i < 10; i++) http.get({ port: a.port, host: '127.0.0.1', agent: false }, r => { let t = '';\n\
        r.on('data', d => t += d).on('end', () => { if (t != 'content') throw t;\n\
        if (++asked == 10) { console.log('asked', asked); cluster.disconnect(); } }); }); });\n\
        } else http.createServer((q, r) => r.end('content')).listen(0, '127.0.0.1');\n";
    Case {
        name: "a service of node",
        profile: "service",
        files: &[("service.js", service)],
        needs: &[("node", "nodejs")],
        before: "",
        line: "node service.js",
    }
    .prints("asked 10");
}
