//! What a sandbox shows before anything is granted: exactly this, and nothing else of the host.

use std::path::Path;

use support::{Outcome, Run, Scene, outside};

use crate::tools::{at_home, finish_with_input, shell_outside, text};

/// A home that no host path stands in the way of, so that `/tmp` holds nothing but what the sandbox puts there.
const HOME: &str = "/home/ringfence-test";

/// A line of shell in a default run: from `/`, which is not shown as a working directory.
fn default_run(scene: &Scene, line: &str) -> Outcome {
    let outcome = at_home(Run::new(scene).from("/"), HOME, ["/bin/sh", "-c", line]);
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    outcome
}

fn names(outcome: &Outcome) -> Vec<&str> {
    outcome.stdout.split_whitespace().collect()
}

#[test]
fn the_root_holds_the_hosts_programs_and_the_sandboxes_own_folders() {
    let scene = Scene::new();
    let mut expected = vec!["dev", "etc", "home", "proc", "run", "tmp", "var"];
    // hier(7) and the multilib folders, where the host has them.
    let system = ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"];
    expected.extend(system.iter().filter(|name| Path::new("/").join(name).exists()));
    expected.sort_unstable();
    assert_eq!(names(&default_run(&scene, "LC_ALL=C ls -A /")), expected);
    // Control: the host shows more, and the home of somebody else is there.
    let host = shell_outside("LC_ALL=C ls -A /");
    assert!(host.stdout.lines().any(|name| !expected.contains(&name)), "{host:#?}");
}

#[test]
fn etc_holds_what_programs_need_and_nothing_of_users_hosts_keys_or_services() {
    let scene = Scene::new();
    const ALLOWED: [&str; 38] = [
        "alternatives",
        "ca-certificates",
        "ca-certificates.conf",
        "crypto-policies",
        "debian_version",
        "fonts",
        "gai.conf",
        "group",
        "host.conf",
        "hostname",
        "hosts",
        "java-17-openjdk",
        "java-21-openjdk",
        "java-25-openjdk",
        "ld.so.cache",
        "ld.so.conf",
        "ld.so.conf.d",
        "locale.conf",
        "localtime",
        "machine-id",
        "magic",
        "mime.types",
        "nsswitch.conf",
        "os-release",
        "passwd",
        "perl",
        "pki",
        "protocols",
        "python3",
        "python3.10",
        "python3.11",
        "python3.12",
        "python3.13",
        "services",
        "ssl",
        "terminfo",
        "timezone",
        "vulkan",
    ];
    let outcome = default_run(&scene, "ls -A /etc; echo; ls -A /etc/ssl");
    let (etc, ssl) = outcome.stdout.split_once("\n\n").expect("two lists");
    let unexpected: Vec<_> = etc.lines().filter(|name| !ALLOWED.contains(name)).collect();
    assert_eq!(unexpected, [""; 0], "more of /etc than a program needs");
    assert_eq!(ssl.lines().filter(|name| !["certs", "openssl.cnf"].contains(name)).count(), 0, "{ssl}");
    for needed in ["passwd", "group", "hosts", "hostname"] {
        assert!(etc.lines().any(|name| name == needed), "{needed} is missing: {etc}");
    }
    // Control: the host has much that is not in the list.
    let host = shell_outside("ls -A /etc");
    assert!(host.stdout.lines().filter(|name| !ALLOWED.contains(name)).count() > 3, "{host:#?}");
}

#[test]
fn what_the_minimal_etc_is_for_works() {
    let scene = Scene::new();
    let line = "getent passwd $(id -u) >/dev/null && getent group $(id -g) >/dev/null && getent hosts localhost \
                && getent services https && date +%Z && test -r /etc/ssl/certs && readlink -e /etc/localtime";
    let inside = default_run(&scene, line);
    assert!(inside.stdout.contains("https"), "{inside:#?}");
    let zone = shell_outside("date +%Z");
    assert!(
        inside.stdout.lines().any(|word| word == zone.answer()),
        "another time zone: {inside:#?} {zone:#?}"
    );
}

#[test]
fn no_account_of_the_host_is_in_passwd() {
    let scene = Scene::new();
    let inside = default_run(&scene, "cut -d: -f1 /etc/passwd /etc/group; id -un; cat /etc/passwd");
    let user = shell_outside("id -un");
    let known = [user.answer(), "root", "nobody", "nogroup"];
    let accounts: Vec<_> = inside.stdout.lines().filter(|line| !line.contains(':')).collect();
    assert!(accounts.len() >= 4 && accounts.iter().all(|name| known.contains(name)), "{inside:#?}");
    let own = inside.stdout.lines().find(|line| line.starts_with(&format!("{}:", user.answer())));
    assert!(own.is_some_and(|line| line.contains(&format!(":{HOME}:"))), "{inside:#?}");
    // Control: the host has others.
    let host = shell_outside("cut -d: -f1 /etc/passwd");
    assert!(host.stdout.lines().any(|name| !known.contains(&name)), "{host:#?}");
}

#[test]
fn dev_holds_exactly_the_usual_nodes() {
    let scene = Scene::new();
    let expected = [
        "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom",
        "zero",
    ];
    assert_eq!(names(&default_run(&scene, "LC_ALL=C ls -A /dev")), expected);
    let works = "echo x >/dev/null && head -c 3 /dev/zero | wc -c && head -c 3 /dev/urandom | wc -c \
                 && ! echo x 2>&- >/dev/full && ls -A /dev/shm /dev/pts && echo x >/dev/shm/x \
                 && cat /dev/shm/x";
    let outcome = default_run(&scene, works);
    assert_eq!(names(&outcome), ["3", "3", "/dev/pts:", "ptmx", "/dev/shm:", "x"], "{outcome:#?}");
    // Control: the host has more.
    outside(["list", "/dev"])
        .answer()
        .split(' ')
        .find(|name| !expected.contains(name))
        .expect("other devices");
}

#[test]
fn the_streams_can_be_opened_by_their_names() {
    let scene = Scene::new();
    // What shell scripts do: `echo ... >/dev/stderr`, `tee /dev/stderr`, `cat /dev/stdin`.
    let line = "cat /dev/stdin && echo out >/dev/stdout && echo err >/dev/stderr";
    let control = finish_with_input(
        Run::new(&scene).command(["/bin/sh", "-c", "cat; echo out; echo err >&2"]),
        b"in\n",
    );
    let by_name = finish_with_input(Run::new(&scene).command(["/bin/sh", "-c", line]), b"in\n");
    for outcome in [control, by_name] {
        let said = (outcome.status, outcome.stdout.as_str(), outcome.stderr.as_str());
        assert_eq!(said, (0, "in\nout\n", "err\n"), "{outcome:#?}");
    }
}

#[test]
fn sys_is_absent() {
    let scene = Scene::new();
    Run::new(&scene).probe(["list", "/sys"]).expect(&["ENOENT"]);
    assert!(outside(["list", "/sys"]).answer().contains("kernel"));
}

#[test]
fn home_is_the_callers_path_and_empty_and_writable() {
    let scene = Scene::new();
    scene.file("home/.profile", "x");
    let line =
        r#"echo $HOME; ls -A "$HOME"; echo kept >"$HOME/file" && cat "$HOME/file"; stat -c %a "$HOME""#;
    let inside = Run::new(&scene).shell(line);
    let home = scene.home();
    assert_eq!(inside.stdout, format!("{}\nkept\n700\n", home.display()), "{inside:#?}");
    assert_eq!(outside(["list", text(&home)]).answer(), ".profile", "the host's home is another");
    // A home that the host does not have is no reason to fail.
    assert_eq!(names(&default_run(&scene, "echo $HOME; ls -A $HOME")), [HOME]);
}

#[test]
fn tmp_is_private_and_empty_and_writable() {
    let scene = Scene::new();
    let mark = tempfile::Builder::new().prefix("ringfence-mark-").tempfile_in("/tmp").unwrap();
    let name = mark.path().file_name().unwrap().to_str().unwrap();
    let line = format!(
        "ls -A /tmp /var/tmp; cat /tmp/{name} 2>/dev/null; echo $TMPDIR; \
         echo a >/tmp/{name}.new && cat /tmp/{name}.new; \
         echo b >/var/tmp/{name}.new && cat /var/tmp/{name}.new; stat -c %a /tmp /var/tmp"
    );
    assert_eq!(names(&default_run(&scene, &line)), ["/tmp:", "/var/tmp:", "/tmp", "a", "b", "1777", "1777"]);
    assert!(!Path::new(&format!("/tmp/{name}.new")).exists(), "it was written to the host");
    assert_eq!(names(&default_run(&scene, "ls -A /tmp")), [""; 0], "the next run sees it");
    assert!(outside(["list", "/tmp"]).answer().contains(name));
}

#[test]
fn the_system_is_read_only() {
    let scene = Scene::new();
    for path in
        ["/usr/x", "/usr/bin/x", "/etc/x", "/x", "/dev/x", "/run/x", "/var/x", "/proc/sys/kernel/hostname"]
    {
        Run::new(&scene).probe(["write", path, "x"]).expect(&["EROFS"]);
    }
    // Control: where it may be written.
    for path in ["/tmp/x", "/dev/shm/x", "/var/tmp/x"] {
        Run::new(&scene).probe(["write", path, "x"]).expect(&["ok"]);
    }
}

#[test]
fn the_host_name_is_the_sandboxes_own() {
    let scene = Scene::new();
    let line = "cat /proc/sys/kernel/hostname /etc/hostname; getent hosts $(cat /etc/hostname) | wc -l; \
                cat /etc/hosts";
    let hosts = |name: &str| format!("127.0.0.1 localhost {name}\n::1 localhost {name}\n");
    let inside = Run::new(&scene).shell(line);
    assert_eq!(inside.stdout, format!("ringfence\nringfence\n1\n{}", hosts("ringfence")), "{inside:#?}");
    let named = Run::new(&scene).flags(["--hostname", "builder-7"]).shell(line);
    assert_eq!(named.stdout, format!("builder-7\nbuilder-7\n1\n{}", hosts("builder-7")), "{named:#?}");
    assert_ne!(outside(["read", "/proc/sys/kernel/hostname"]).answer(), "ringfence", "control");
}

#[test]
fn only_the_sandboxes_own_processes_are_in_proc() {
    let scene = Scene::new();
    Run::new(&scene).probe(["processes"]).expect(&["1 2"]);
    let host = outside(["processes"]);
    assert!(host.answer().split(' ').count() > 2, "control: {host:#?}");
}

#[test]
fn base_empty_shows_only_the_sandboxes_own_folders() {
    let scene = Scene::new();
    // Nothing is there to run a program with: one that needs no library is shown by name.
    let busybox = ["/usr/bin/busybox", "/bin/busybox"].map(Path::new).into_iter().find(|path| path.is_file());
    let busybox = busybox.expect("apt-get install busybox-static");
    let spec = format!("{}:/busybox:ro", busybox.canonicalize().unwrap().display());
    let run = || Run::new(&scene).from("/").flags(["--base", "empty", "--bind", &spec]);
    let outcome = at_home(run(), HOME, ["/busybox", "ls", "-A", "/"]);
    assert_eq!(names(&outcome), ["busybox", "dev", "home", "proc", "tmp"], "{outcome:#?}");
    let own = at_home(
        run(),
        HOME,
        ["/busybox", "sh", "-c", "echo x >/tmp/x && echo x >$HOME/x && /busybox ls -A /dev/shm"],
    );
    assert_eq!((own.status, own.stdout.as_str()), (0, ""), "{own:#?}");
    // The host's programs are not there, and that is said.
    let missing = at_home(run(), HOME, ["/bin/true"]);
    assert_eq!((missing.status, missing.stdout.as_str()), (127, ""), "{missing:#?}");
    assert!(missing.stderr.contains("/bin/true"), "{missing:#?}");
    // Control: on the host's base they are.
    assert_eq!(Run::new(&scene).run(["/bin/true"]).status, 0);
}

#[test]
fn base_empty_runs_a_program_with_the_folders_that_it_was_given() {
    let scene = Scene::new();
    let mut run = Run::new(&scene).from("/").flags(["--base", "empty", "--ro", "/usr"]);
    for link in ["/lib64", "/lib"] {
        if Path::new(link).exists() {
            run = run.flags(["--bind", &format!("/usr{link}:{link}:ro")]);
        }
    }
    let outcome = run.probe(["list", "/"]);
    let shown: Vec<_> = outcome.answer().split(' ').collect();
    assert!(shown.contains(&"usr") && !shown.contains(&"etc") && !shown.contains(&"sys"), "{outcome:#?}");
}
