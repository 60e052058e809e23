//! The built-in profiles, each fit for its purpose with real programs. (S2.2; their filters follow with the
//! next issue.)

use support::{Outcome, Run, Scene, not_reachable};

use crate::tools::{executable, python, text};

fn profile(scene: &Scene, name: &str, words: &[&str]) -> Outcome {
    Run::new(scene).flags(["-p", name]).run(words)
}

#[test]
fn minimal_shows_nothing_of_the_callers() {
    let scene = Scene::new();
    scene.file("here/file", "x");
    assert_eq!(profile(&scene, "minimal", &["/bin/echo", "hello world"]).stdout, "hello world\n");
    let here = scene.path("here");
    let outcome = profile(&scene, "minimal", &["/bin/ls", text(&here)]);
    assert_ne!((outcome.status, outcome.stdout.as_str()), (0, "file\n"), "{outcome:#?}");
    // Nor a toolchain that was not asked for.
    let tool = executable(&scene, "tools/x/bin/tool", "#!/bin/sh\necho ran\n");
    assert_eq!(profile(&scene, "minimal", &[text(&tool)]).status, 127);
    assert_eq!(profile(&scene, "default", &[text(&tool)]).stdout, "ran\n", "control");
}

#[test]
fn python_safe_runs_real_python_programs() {
    let scene = Scene::new();
    let script = "import concurrent.futures, hashlib, json, multiprocessing, sqlite3, ssl, subprocess, tempfile\n\
        def square(n): return n * n\n\
        if __name__ == '__main__':\n\
        \x20   with concurrent.futures.ThreadPoolExecutor(8) as pool: print(sum(pool.map(square, range(100))))\n\
        \x20   with multiprocessing.Pool(2) as pool: print(sum(pool.map(square, range(100))))\n\
        \x20   with tempfile.NamedTemporaryFile('w+') as file: json.dump({'a': [1]}, file)\n\
        \x20   print(subprocess.run(['sh', '-c', 'echo child'], capture_output=True, text=True).stdout.strip())\n\
        \x20   database = sqlite3.connect(':memory:'); print(database.execute('select 6 * 7').fetchone()[0])\n\
        \x20   print(hashlib.sha256(open('data').read().encode()).hexdigest()[:8])\n\
        \x20   print(len(ssl.create_default_context().get_ca_certs()) > 0)\n\
        \x20   try: open('made', 'w')\n\
        \x20   except OSError: print('read-only')\n";
    scene.file("here/program.py", script);
    scene.file("here/data", "data");
    let outcome = profile(&scene, "python-safe", &[python(), "program.py"]);
    let expected = "328350\n328350\nchild\n42\n3a6eb079\nTrue\nread-only\n";
    assert_eq!((outcome.status, outcome.stdout.as_str()), (0, expected), "{outcome:#?}");
}

#[test]
fn node_safe_runs_real_node_programs() {
    let scene = Scene::new();
    let Some(node) = crate::tools::find_program("node") else {
        return not_reachable("node-safe", "node is not installed");
    };
    let script = "const { Worker } = require('worker_threads'), fs = require('fs'), crypto = require('crypto');\n\
        const worker = new Worker('require(\"worker_threads\").parentPort.postMessage(6 * 7)', { eval: true });\n\
        worker.once('message', async (answer) => {\n\
        \x20   const digest = crypto.createHash('sha256').update(fs.readFileSync('data')).digest('hex');\n\
        \x20   console.log(answer, digest.slice(0, 8));\n\
        \x20   console.log(require('child_process').execSync('echo child').toString().trim());\n\
        \x20   try { fs.writeFileSync('made', 'x') } catch (error) { console.log(error.code) }\n\
        \x20   fs.writeFileSync('/tmp/x', 'x'); console.log(fs.readFileSync('/tmp/x', 'utf8'));\n\
        });\n";
    scene.file("here/program.js", script);
    scene.file("here/data", "data");
    let outcome = profile(&scene, "node-safe", &[text(&node), "program.js"]);
    assert_eq!(
        (outcome.status, outcome.stdout.as_str()),
        (0, "42 3a6eb079\nchild\nEROFS\nx\n"),
        "{outcome:#?}"
    );
}

#[test]
fn shell_readonly_looks_around_and_nothing_that_it_writes_lasts() {
    let scene = Scene::new();
    scene.file("here/folder/file", "needle");
    let line = "find . -type f; grep -rl needle .; stat -c %s folder/file; for f in made folder/made folder/file; do \
                echo x >$f || echo refused; done 2>/dev/null; rm -f folder/file 2>/dev/null; echo x >/tmp/x \
                && cat /tmp/x";
    let outcome = profile(&scene, "shell-readonly", &["/bin/sh", "-c", line]);
    let expected = "./folder/file\n./folder/file\n6\nrefused\nrefused\nrefused\nx\n";
    assert_eq!(outcome.stdout, expected, "{outcome:#?}");
    assert_eq!(std::fs::read_to_string(scene.path("here/folder/file")).unwrap(), "needle");
}

#[test]
fn build_writes_the_working_directory_and_nothing_else() {
    let scene = Scene::new();
    scene.file("here/Makefile", "out: in\n\ttr a-z A-Z <in >out\n");
    scene.file("here/in", "text");
    let outside = scene.folder("beside");
    let line = format!("tr a-z A-Z <in >out && cat out; echo x >{0}/x || echo refused", text(&outside));
    let outcome = profile(&scene, "build", &["/bin/sh", "-c", &line]);
    assert_eq!(outcome.stdout, "TEXTrefused\n", "{outcome:#?}");
    assert_eq!(std::fs::read_to_string(scene.path("here/out")).unwrap(), "TEXT");
}

#[test]
fn every_profile_is_without_network_and_keeps_no_privilege() {
    let scene = Scene::new();
    for (name, _) in ringfence::policy::BUILTIN_PROFILES {
        let outcome = profile(&scene, name, &["/bin/cat", "/proc/net/dev", "/proc/self/status"]);
        let lines = |part: &str| outcome.stdout.lines().filter(|line| line.contains(part)).count();
        // Two lines of header, and the loopback.
        assert_eq!((lines("|"), lines("lo:"), lines(": ")), (2, 1, 1), "{name}: {outcome:#?}");
        assert_eq!(lines("CapEff:\t0000000000000000"), 1, "{name}: {outcome:#?}");
        assert_eq!(outcome.field("/profile"), name);
        for guarantee in ["files", "processes", "network", "ipc", "privileges", "kernel-surface", "cleanup"] {
            let status = &outcome.row(guarantee)["status"];
            let known_gap = name == "agent" && guarantee == "files";
            assert!(
                status == "enforced" || known_gap && status == "partial",
                "{name}: {guarantee}: {status}"
            );
        }
    }
}
