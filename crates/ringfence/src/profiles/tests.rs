use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// Folders of one test, and profiles that are looked for in them.
struct Scene {
    root: tempfile::TempDir,
    profiles: Profiles,
}

impl Scene {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let path = fs::canonicalize(root.path()).unwrap();
        let profiles = Profiles {
            system: path.join("system"),
            user: Some(path.join("user")),
            directory: path.join("here"),
            home: Some(path.join("home")),
            trusted: Some(path.join("state/trusted.json")),
        };
        for folder in ["system", "user", "here/profiles", "home"] {
            fs::create_dir_all(path.join(folder)).unwrap();
        }
        Self { root, profiles }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = fs::canonicalize(self.root.path()).unwrap().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        path
    }

    fn found(&self, word: &str) -> Found {
        self.profiles.find(word).unwrap_or_else(|problem| panic!("{word}: {problem}"))
    }

    fn refused(&self, word: &str) -> String {
        self.profiles.find(word).unwrap_err().to_string()
    }
}

#[test]
fn a_name_is_found_in_one_place_and_two_are_refused() {
    let scene = Scene::new();
    scene.file("system/one.json", "{}");
    scene.file("user/two.toml", "");
    assert_eq!(scene.found("one").origin, Origin::System);
    assert_eq!(scene.found("two").origin, Origin::User);
    for second in ["user/one.json", "here/profiles/one.toml", "system/one.toml"] {
        let path = scene.file(second, "");
        let said = scene.refused("one");
        assert!(said.contains("system/one.json") && said.contains(second), "{said}");
        fs::remove_file(path).unwrap();
    }
    assert_eq!(scene.found("one").origin, Origin::System, "control: alone again");
    let said = scene.refused("tow");
    assert!(said.contains("no profile is called `tow`") && said.contains("python-safe"), "{said}");
}

#[test]
fn a_built_in_name_is_never_another_profile() {
    let scene = Scene::new();
    for folder in ["system", "user", "here/profiles"] {
        scene.file(&format!("{folder}/minimal.json"), r#"{"network": "host"}"#);
    }
    let found = scene.found("minimal");
    assert_eq!((found.origin, found.files.len()), (Origin::BuiltIn, 0));
    assert_eq!(found.into_policy(), Policy::builtin("minimal").unwrap());
    let listed = scene.profiles.list().unwrap();
    let shadows: Vec<_> = listed.iter().filter(|one| one.name == "minimal" && one.path.is_some()).collect();
    assert!(shadows.len() == 3 && shadows.iter().all(|one| one.description.is_err()), "{shadows:?}");
}

#[test]
fn a_name_leads_out_of_no_folder() {
    let scene = Scene::new();
    scene.file("here/secret.json", "{}");
    for word in ["..", ".hidden", "a b", "a\nb", "ü", "-x", "", "a\\b", &"x".repeat(65)] {
        let said = scene.refused(word);
        assert!(said.contains("is not the name of a profile"), "{word:?}: {said}");
    }
    // With a slash it is a path, and relative to the working directory.
    assert_eq!(scene.found("./secret.json").origin, Origin::Path);
    assert_eq!(scene.found("secret.json").origin, Origin::Path);
    assert!(scene.refused("../secret").contains("ENOENT"));
}

#[test]
fn what_others_can_write_is_not_believed() {
    let scene = Scene::new();
    let path = scene.file("user/own.json", "{}");
    for (mode, counts) in [(0o644, true), (0o664, true), (0o646, false), (0o666, false)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(scene.profiles.find("own").is_ok(), counts, "{mode:o}");
        // Named, it is the caller's own choice.
        scene.found(&path.to_string_lossy());
    }
    assert!(scene.refused("own").contains("others may write it"));
    fs::remove_file(&path).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    assert!(scene.refused("own").contains("no regular file"));
    assert!(
        scene.refused("/dev/zero").contains("no profile") || scene.refused("/dev/zero").contains("regular")
    );
    let large = scene.file("here/large.json", &" ".repeat(LARGEST as usize + 1));
    assert!(scene.refused(&large.to_string_lossy()).contains("larger than 1 MiB"));
    let text = scene.file("here/latin.json", "");
    fs::write(&text, b"{\n\"name\": \"\xff\"}").unwrap();
    assert!(scene.refused(&text.to_string_lossy()).contains("not UTF-8 (line 2)"));
}

#[test]
fn a_profile_of_the_working_directory_is_trusted_as_it_is_and_no_other_way() {
    let scene = Scene::new();
    let path = scene.file("here/profiles/job.json", r#"{"filesystem": {"read": ["."]}}"#);
    let said = scene.refused("job");
    assert!(said.contains("is not trusted") && said.contains("profile trust"), "{said}");
    scene.found("./profiles/job.json");
    let trusted = scene.profiles.trust(Path::new("profiles/job.json")).unwrap();
    assert_eq!((trusted.before, trusted.path.as_path()), (false, path.as_path()));
    assert_eq!(trusted.changes, Vec::<String>::new(), "it is what `default` says");
    assert_eq!(scene.found("job").origin, Origin::WorkingDirectory);

    let text =
        r#"{"filesystem": {"write": ["."]}, "network": "host", "environment": {"set": {"TOKEN": "secret"}}}"#;
    scene.file("here/profiles/job.json", text);
    let said = scene.refused("job");
    assert!(said.contains("has changed since it was trusted"), "{said}");
    let trusted = scene.profiles.trust(Path::new("profiles/job.json")).unwrap();
    assert!(trusted.before);
    for line in
        ["+ filesystem.write: .", "+ network: host", "+ environment.set: TOKEN", "- filesystem.read: ."]
    {
        assert!(trusted.changes.iter().any(|change| change == line), "{line}: {:?}", trusted.changes);
    }
    assert!(!trusted.changes.concat().contains("secret"));
    scene.found("job");
    let store = scene.profiles.trusted.clone().unwrap();
    assert_eq!(fs::metadata(&store).unwrap().permissions().mode() & 0o777, 0o600);
    // A list that others can write says nothing.
    fs::set_permissions(&store, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(scene.refused("job").contains("only you can write"));
}

#[test]
fn extending_does_not_lead_around_trust() {
    let scene = Scene::new();
    let base = scene.file("here/base.json", r#"{"network": "host"}"#);
    scene.file("here/profiles/job.json", r#"{"extends": "../base.json"}"#);
    let trusted = scene.profiles.trust(Path::new("profiles/job.json")).unwrap();
    assert_eq!(trusted.with, std::slice::from_ref(&base));
    let found = scene.found("job");
    assert_eq!(found.files.len(), 2);
    assert_eq!(found.into_policy().network, ringfence_policy::Network::Host);
    scene.file("here/base.json", r#"{"network": "host", "filesystem": {"write": ["~"]}}"#);
    assert!(scene.refused("job").contains("has changed since it was trusted"));
    // Nor does a name: a named file that extends one of the working directory by name.
    scene.file("here/outer.json", r#"{"extends": "job"}"#);
    assert!(scene.refused("./outer.json").contains("trust"));
    // Nor a searched file that extends what others can write.
    scene.file("user/mine.json", r#"{"extends": "./loose.json"}"#);
    let loose = scene.file("user/loose.json", "{}");
    scene.found("mine");
    fs::set_permissions(&loose, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(scene.refused("mine").contains("others may write it"));
}

#[test]
fn lists_append_scalars_replace_and_the_nearer_word_holds() {
    let scene = Scene::new();
    scene.file(
        "here/a.json",
        r#"{"filesystem": {"write": ["."], "deny": ["~/.ssh"]}, "syscalls": {"deny": ["ptrace"]},
            "limits": {"timeout": "10s", "nofile": 9}, "environment": {"set": {"A": "1"}, "pass": ["B"]}}"#,
    );
    scene.file(
        "here/b.toml",
        "extends = ['a.json', 'minimal']\n[filesystem]\nread = ['.']\n[syscalls]\nallow = ['ptrace', 'kcmp']\n\
         [limits]\ntimeout = 5\n[environment]\npass = ['A']\n[environment.set]\nB = '2'\n",
    );
    let policy = scene.found("b.toml").into_policy();
    let grants: Vec<_> =
        policy.filesystem.grants.iter().map(|grant| (grant.source.as_path(), grant.access)).collect();
    assert_eq!(grants, [(Path::new("."), ringfence_policy::Access::Read)]);
    assert_eq!(policy.filesystem.deny, ["~/.ssh"]);
    assert_eq!(policy.filesystem.toolchain, ringfence_policy::Toolchain::None, "minimal's");
    let minimal = Policy::builtin("minimal").unwrap().syscalls.allow;
    let lists = [vec!["@default".to_owned()], minimal, vec!["kcmp".to_owned()]];
    assert_eq!(policy.syscalls.allow, lists.concat(), "a.json's, minimal's, its own");
    assert_eq!(policy.syscalls.deny, ["ptrace"], "it stays denied, whoever allows it");
    assert_eq!(policy.limits.timeout, Some(std::time::Duration::from_secs(5)));
    assert_eq!(policy.limits.nofile, Some(64), "minimal comes after a.json");
    assert_eq!(policy.environment.pass, ["A"]);
    assert!(policy.environment.set.into_iter().eq([("B".to_owned(), "2".to_owned())]));
    assert_eq!(policy.profile, "b.toml", "a file does not choose what it is called");
}

#[test]
fn circles_and_long_chains_are_refused() {
    let scene = Scene::new();
    scene.file("here/a.json", r#"{"extends": "./b.json"}"#);
    scene.file("here/b.json", r#"{"extends": ["minimal", "./a.json"]}"#);
    assert!(scene.refused("a.json").contains("extends itself"));
    for index in 0..9 {
        scene.file(&format!("here/c{index}.json"), &format!(r#"{{"extends": "c{}.json"}}"#, index + 1));
    }
    scene.file("here/c9.json", "{}");
    assert!(scene.refused("c0.json").contains("each by the next"));
    scene.found("c2.json");
    // The same base twice is no circle.
    scene.file("here/d.json", r#"{"extends": ["c9.json", "./c8.json"]}"#);
    scene.found("d.json");
}
