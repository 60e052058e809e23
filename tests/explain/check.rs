//! Runs the corpus: under the policy, and again with the change that was printed.

use std::io::Write as _;
use std::net::TcpListener;
use std::process::Command;

use support::{Outcome, Run, Scene, has_cgroups, not_reachable};

use crate::corpus::{CASES, Case, Language};

/// A service on the host's loopback that says `done` to everybody.
pub(crate) fn service() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let _gone_is_fine = stream.write_all(b"done");
        }
    });
    port
}

/// A scene with what the programs need.
fn scene() -> Scene {
    let scene = Scene::new();
    scene.file("there/data", "content\n");
    scene.file("there/it's odd", "content\n");
    scene.file("there/settings.sh", "SAID=done\n");
    scene.file("there/extra.py", "said = 'done'\n");
    scene.file("there/extra.js", "exports.said = 'done'\n");
    scene.file("here/own", "content\n");
    let tool = scene.file("there/tool", "#!/bin/sh\necho done\n");
    std::os::unix::fs::symlink(scene.path("there/data"), scene.path("here/link")).expect("a fresh name");
    std::fs::set_permissions(tool, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("our own file");
    scene
}

/// Is the language here?
fn has(language: Language) -> bool {
    let tool = match language {
        Language::Shell => return true,
        Language::Python => "python3",
        Language::Node => "node",
        Language::Java => "javac",
        Language::C => "cc",
    };
    Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Puts the program into the scene, built where that is needed, and answers how it is run.
fn put(case: &Case, scene: &Scene, text: &str) -> Vec<String> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let built = |tool: &str, file: &str, more: &[&str]| {
        let done = Command::new(tool).args(more).arg(file).current_dir(scene.path("here")).output();
        let done = done.unwrap_or_else(|e| panic!("{tool}: {e}"));
        assert!(done.status.success(), "{}: {}", case.name, String::from_utf8_lossy(&done.stderr));
    };
    match case.language {
        Language::Shell => words(&["/bin/sh", "-c", text]),
        Language::Python => {
            scene.file("here/main.py", text);
            words(&["python3", "main.py"])
        }
        Language::Node => {
            scene.file("here/main.js", text);
            words(&["node", "main.js"])
        }
        Language::Java => {
            let class = "public class Main {\n public static void main(String[] a) throws Exception {\n";
            scene.file("here/Main.java", &format!("{class}{text}\n }}\n}}\n"));
            built("javac", "Main.java", &[]);
            words(&["java", "-XX:+UseSerialGC", "Main"])
        }
        Language::C => {
            let heads =
                ["stdio", "unistd", "arpa/inet", "sys/ptrace", "sys/socket", "sys/stat", "sys/syscall"];
            let heads: String = heads.iter().map(|head| format!("#include <{head}.h>\n")).collect();
            scene.file("here/main.c", &format!("{heads}int main(void) {{\n{text}\n}}\n"));
            built("cc", "main.c", &["-o", "main"]);
            words(&["./main"])
        }
    }
}

/// The flags of a run to which a change was applied as printed: a flag as a shell takes it, in the place of one of
/// the same name, or a line of a profile.
fn applied(case: &Case, scene: &Scene, change: &str) -> Vec<String> {
    let mut flags: Vec<String> = case.flags.iter().map(|flag| (*flag).to_owned()).collect();
    if !change.starts_with("--") {
        let profile = format!("{{ \"name\": \"wider\", \"extends\": \"default\", {change} }}");
        let file = scene.file("profile/wider.json", &profile);
        flags.extend(["-p".to_owned(), file.display().to_string()]);
        return flags;
    }
    let split = Command::new("/bin/sh").args(["-c", &format!("printf '%s\\n' {change}")]).output();
    let split = String::from_utf8(split.expect("a shell").stdout).expect("text");
    let words: Vec<_> = split.lines().map(str::to_owned).collect();
    let name = format!("{}=", words[0]);
    flags.retain(|flag| !flag.starts_with(&name));
    flags.extend(words);
    flags
}

fn run(scene: &Scene, flags: &[String], words: &[String]) -> Outcome {
    Run::new(scene).flag("--explain").flags(flags).run(words)
}

/// What is wrong with one case; nothing when all is well.
fn wrong(case: &Case, port: u16) -> Option<String> {
    let scene = scene();
    let filled = |text: &str| {
        let text = text.replace("{here}", &scene.path("here").display().to_string());
        text.replace("{there}", &scene.path("there").display().to_string())
            .replace("{port}", &port.to_string())
    };
    let words = put(case, &scene, &filled(case.program));
    let flags: Vec<String> = case.flags.iter().map(|flag| (*flag).to_owned()).collect();
    let refused = run(&scene, &flags, &words);
    if refused.status == 0 {
        return Some(format!("{}: it ran though it should not: {refused:#?}", case.name));
    }
    let first = refused.field("/violations/0/allow_with").as_str().unwrap_or("nothing").to_owned();
    if first != filled(case.change) || !refused.stderr.contains(&first) {
        return Some(format!("{}: said {first}: {:#?}", case.name, refused));
    }
    let allowed = run(&scene, &applied(case, &scene, &first), &words);
    if allowed.status != 0 || !allowed.stdout.ends_with("done\n") {
        return Some(format!("{}: it does not run with {first}: {allowed:#?}", case.name));
    }
    None
}

#[test]
fn each_program_is_told_the_one_thing_that_it_needs_and_runs_with_it() {
    let port = service();
    let (mut wrongs, mut right) = (Vec::new(), 0);
    for case in CASES {
        if !has(case.language) {
            not_reachable(case.name, &format!("{:?} is not installed", case.language));
            continue;
        }
        if case.flags.contains(&"--pids=1") && !has_cgroups(case.name) {
            continue;
        }
        match wrong(case, port) {
            Some(wrong) => wrongs.push(wrong),
            None => right += 1,
        }
    }
    assert!(wrongs.is_empty(), "{right} right, {} wrong:\n{}", wrongs.len(), wrongs.join("\n"));
    let line = format!("explain: {right} of {} programs run with the change that was printed\n", CASES.len());
    std::io::stderr().write_all(line.as_bytes()).expect("somebody hears it");
    assert!(CASES.len() >= 30, "{}", CASES.len());
}
