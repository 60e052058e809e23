//! Where a program stands: its working directory, its HOME, its umask.

use std::path::Path;

use support::{Outcome, Run, Scene, not_reachable};

use crate::tools::{at_home, finish, text};

const PLACES: &str = r#"pwd; echo "$HOME""#;

#[test]
fn the_working_directory_is_the_callers_at_its_own_path() {
    let scene = Scene::new();
    let here = scene.folder("here/below");
    scene.file("here/beside", "not granted");
    let outcome = Run::new(&scene).from(&here).shell("pwd; ls -A ..");
    assert_eq!(outcome.stdout, format!("{}\nbelow\n", text(&here)), "{outcome:#?}");
    // By a link it is the folder that the link leads to, as the kernel has it.
    let link = scene.path("link");
    std::os::unix::fs::symlink(&here, &link).unwrap();
    assert_eq!(Run::new(&scene).from(&link).shell("pwd -P").answer(), text(&here));
}

#[test]
fn a_working_directory_that_holds_everything_is_not_shown_and_home_is_the_place() {
    let scene = Scene::new();
    scene.file("home/secret", "x");
    let (home, above) = (scene.home(), scene.path(""));
    for from in [Path::new("/"), &above, &home, Path::new("/proc"), Path::new("/tmp")] {
        let outcome = Run::new(&scene).from(from).shell(&format!("{PLACES}; ls -A"));
        let home = text(&home);
        assert_eq!(outcome.stdout, format!("{home}\n{home}\n"), "from {}: {outcome:#?}", from.display());
        let said: Vec<_> = outcome.stderr.lines().collect();
        assert!(said.len() == 1 && said[0].contains("not shown"), "{outcome:#?}");
    }
    // Control: elsewhere nothing is said.
    let outcome = Run::new(&scene).shell(PLACES);
    assert_eq!(outcome.stdout, format!("{}\n{}\n", text(&scene.path("here")), text(&home)));
    assert_eq!(outcome.stderr, "");
}

#[test]
fn workdir_is_a_folder_inside_or_a_refusal() {
    let scene = Scene::new();
    let granted = scene.folder("granted/below");
    let bind = format!("{}:/elsewhere", text(&scene.path("granted")));
    let run = |workdir: &str| {
        let run = Run::new(&scene).flags(["--tmpfs", "/memory", "--bind", &bind]).flag("--ro").flag(&granted);
        run.flags(["--workdir", workdir])
    };
    let memory = ["/memory", "/elsewhere", "/elsewhere/below", "/tmp", "/usr/lib", text(&granted)];
    for workdir in memory {
        assert_eq!(run(workdir).shell("pwd").answer(), workdir);
    }
    // A link inside is followed; the kernel's name for the place is the real one.
    assert!(["/usr/bin", "/bin"].contains(&run("/bin").shell("pwd -P").answer()));
    for workdir in
        ["/nowhere", "/etc/passwd", "/elsewhere/missing", text(&scene.path("here").join("missing"))]
    {
        run(workdir).run(["/bin/true"]).expect_refusal(&[workdir, "not a folder inside"]);
    }
}

/// Ends well with a home that can be written, or is refused with a word on it.
#[track_caller]
fn home_is_fine_or_refused(home: &str, outcome: &Outcome) {
    if outcome.status == 125 {
        assert!(
            outcome.stderr.contains(home) && outcome.stderr.to_lowercase().contains("home"),
            "{outcome:#?}"
        );
    } else {
        assert_eq!((outcome.status, outcome.answer()), (0, "fine"), "HOME={home}: {outcome:#?}");
    }
}

#[test]
fn a_home_among_the_systems_folders_hides_nothing_of_the_system() {
    let scene = Scene::new();
    // Homes of real accounts (daemon, bin, sys, games, systemd's, www-data), and what a variable can say besides.
    let line = "test -x /bin/sh && test $(ls /usr/bin | wc -l) -gt 50 && test $(ls /usr/sbin | wc -l) -gt 10 \
                && test -c /dev/null && test ! -w /dev && test -r /proc/self/status && test -f /etc/passwd \
                && test ! -w /etc && touch \"$HOME/x\" && echo fine";
    for home in [
        "/usr/sbin",
        "/bin",
        "/dev",
        "/usr/games",
        "/",
        "/var/www",
        "/usr",
        "/etc",
        "/proc",
        "/proc/1",
        "/sys",
    ] {
        home_is_fine_or_refused(home, &at_home(Run::new(&scene), home, ["/bin/sh", "-c", line]));
    }
    // Control: an ordinary one.
    home_is_fine_or_refused("/home/x", &at_home(Run::new(&scene), "/home/x", ["/bin/sh", "-c", line]));
}

#[test]
fn a_folder_that_is_asked_for_around_the_home_keeps_the_home() {
    let scene = Scene::new();
    let line = "ls -A \"$HOME\"; touch \"$HOME/x\" && echo fine";
    let run = || Run::new(&scene).from("/");
    for flags in
        [["--tmpfs", "/home"], ["--tmpfs", "/home/a"], ["--tmpfs", "/home/a/b"], ["--tmpfs", "/home/a/b/c"]]
    {
        let outcome = at_home(run().flags(flags), "/home/a/b", ["/bin/sh", "-c", line]);
        assert!(outcome.stdout == "fine\n" || outcome.stdout == "c\nfine\n", "{flags:?}: {outcome:#?}");
    }
    // The folder for temporary files below one that was asked for, too.
    let outcome = run().flags(["--tmpfs", "/var"]).shell("touch /var/x /var/tmp/x /tmp/x && echo fine");
    assert_eq!(outcome.answer(), "fine", "{outcome:#?}");
}

#[test]
fn an_odd_home_breaks_no_file_that_names_it() {
    let scene = Scene::new();
    let line = "awk -F: 'NF != 7' /etc/passwd | wc -l; touch \"$HOME/x\" && echo fine";
    for home in ["/home/a b", "/home/ünï", "/home/a:b", "/home/new\nroot::0:0::/:/bin/sh"] {
        let outcome = at_home(Run::new(&scene), home, ["/bin/sh", "-c", line]);
        let refused = outcome.status == 125 && outcome.stdout.is_empty();
        assert!(refused || outcome.stdout == "0\nfine\n", "HOME={home:?}: {outcome:#?}");
        assert!(outcome.stderr.lines().all(|line| line.starts_with("ringfence: ")), "{outcome:#?}");
    }
}

#[test]
fn a_caller_without_home_gets_the_accounts() {
    let scene = Scene::new();
    let account = crate::tools::shell_outside("getent passwd $(id -u) | cut -d: -f6");
    if account.answer().is_empty() {
        return not_reachable("home", "this user has no account");
    }
    let line = "echo \"$HOME\"; touch \"$HOME/x\" && echo fine";
    let mut command = Run::new(&scene).command(["/bin/sh", "-c", line]);
    command.env_remove("HOME");
    let outcome = finish(command);
    assert_eq!(outcome.stdout, format!("{}\nfine\n", account.answer()), "{outcome:#?}");
    let mut command = Run::new(&scene).command(["/bin/sh", "-c", line]);
    command.env("HOME", "relative/path");
    assert_eq!(finish(command).stdout, outcome.stdout, "a relative one is none");
}

#[test]
fn the_umask_is_the_callers() {
    let scene = Scene::new();
    for umask in ["022", "077", "002"] {
        let wrapper = ["/bin/sh", "-c", &format!("umask {umask}; exec \"$@\""), "sh"];
        let outcome = Run::new(&scene).through(wrapper).shell("umask; touch ~/x; stat -c %a ~/x");
        let control = crate::tools::shell_outside(&format!("umask {umask}; umask"));
        assert_eq!(outcome.stdout.lines().next(), Some(control.answer()), "{outcome:#?}");
        let mode = 0o666 & !u32::from_str_radix(umask, 8).unwrap();
        assert_eq!(outcome.stdout.lines().last(), Some(&*format!("{mode:o}")), "{outcome:#?}");
    }
}
