//! One request of a batch: read strictly, allowed only to tighten the policy, carried out.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use ringfence::policy::{Access, BindSpec, Limits, Policy, Problem};
use ringfence::{Cancellation, Command, DEFAULT_OUTPUT, Sandbox, Stdio, errno_name};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use serde::Deserialize;
use serde_json::Value;

use super::folder::{self, Collected, Folder};
use super::{Shared, answer, base64};

/// Where the fresh folder of a run stands, inside.
pub(super) const JOB: &str = "/tmp/job";

/// A line of input.
pub(super) enum Asked {
    Run(Box<Request>),
    Cancel(Value),
}

/// A run that is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    pub(super) id: Value,
    command: Vec<String>,
    #[serde(default)]
    cwd: Option<PathBuf>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    stdin: Option<String>,
    #[serde(default)]
    stdin_file: Option<String>,
    #[serde(default)]
    stdout_file: Option<String>,
    #[serde(default)]
    files: BTreeMap<String, String>,
    #[serde(default)]
    collect: Vec<String>,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    encoding: Encoding,
}

/// How `stdin` and `files` are written.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
enum Encoding {
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    #[serde(rename = "base64")]
    Base64,
}

impl Encoding {
    fn bytes(self, what: &str, text: &str) -> Result<Vec<u8>, Problem> {
        match self {
            Self::Utf8 => Ok(text.as_bytes().to_vec()),
            Self::Base64 => base64::decode(text)
                .ok_or_else(|| Problem::request("encoding", format!("{what} is not base64 with padding"))),
        }
    }
}

/// Reads a line.
///
/// # Errors
/// What is wrong, and the id, when it has one.
pub(super) fn read(line: &[u8]) -> Result<Asked, (Value, Problem)> {
    let wrong = |message: String| Problem::request("line", message);
    let value: Value = serde_json::from_slice(line).map_err(|e| {
        (Value::Null, wrong(format!("the line is not JSON: {e}")).remedy("write one object a line"))
    })?;
    let Some(object) = value.as_object() else {
        return Err((Value::Null, wrong("the line is no object".to_owned())));
    };
    if let Some(id) = object.get("cancel").filter(|_| object.len() == 1) {
        return Ok(Asked::Cancel(id.clone()));
    }
    let id = object.get("id").filter(|id| id.is_string() || id.is_number()).cloned();
    let Some(id) = id else {
        let problem = wrong("the request has no id".to_owned());
        return Err((Value::Null, problem.remedy("give it one: text or a number")));
    };
    let request: Request = serde_json::from_value(value).map_err(|e| (id.clone(), wrong(e.to_string())))?;
    request.check().map_err(|problem| (id, problem))?;
    Ok(Asked::Run(Box::new(request)))
}

/// Runs it, and gives its answer.
pub(super) fn perform(shared: &Shared, request: &Request, cancellation: &Cancellation) -> Value {
    let prepared = request.prepare(shared, cancellation);
    let (mut command, folder) = match prepared {
        Ok(prepared) => prepared,
        Err(problem) => return answer::error(&request.id, &problem),
    };
    match command.output() {
        Ok(output) => answer::ended(&request.id, output, request.collect(folder.as_ref())),
        Err(failure) => answer::refused(&request.id, &failure.report),
    }
}

impl Request {
    /// What is wrong with it under any policy.
    fn check(&self) -> Result<(), Problem> {
        let wrong = |message: &str| Err(Problem::request("line", message.to_owned()));
        if self.command.is_empty() {
            return wrong("the command is empty");
        }
        if self.stdin.is_some() && self.stdin_file.is_some() {
            return wrong("stdin and stdin_file contradict each other; keep one");
        }
        let relative = [&self.stdin_file, &self.stdout_file].into_iter().flatten();
        let relative = relative.filter(|path| !path.starts_with('/'));
        self.files.keys().chain(&self.collect).chain(relative).try_for_each(|path| folder::check(path))?;
        for (name, value) in &self.env {
            if name.is_empty() || name.contains(['=', '\0', '\n']) || value.contains('\0') {
                return wrong("a variable has no name, or holds what none can");
            }
        }
        Ok(())
    }

    /// The program: `./main.sh` is the one that came with the request, when one of that name did.
    fn program(&self) -> String {
        let name = &self.command[0];
        let own = name.strip_prefix("./").unwrap_or(name);
        if name.contains('/') && self.files.contains_key(own) { format!("{JOB}/{own}") } else { name.clone() }
    }

    /// Does it need a folder of its own?
    fn has_folder(&self) -> bool {
        let relative = |path: &Option<String>| path.as_ref().is_some_and(|path| !path.starts_with('/'));
        !self.files.is_empty()
            || !self.collect.is_empty()
            || relative(&self.stdin_file)
            || relative(&self.stdout_file)
    }

    /// The policy of this run: the batch's, tightened, with the run's own folder.
    fn policy(&self, policy: &Policy, folder: Option<&Folder>) -> Result<Policy, Problem> {
        let mut policy = policy.clone();
        policy.limits.tighten(self.limits.clone())?;
        let mut workdir = policy.filesystem.workdir.take();
        if let Some(folder) = folder {
            let (source, destination) = (folder.path.clone(), PathBuf::from(JOB));
            policy =
                policy.bind(BindSpec { source, destination: destination.clone(), access: Access::Write });
            workdir.get_or_insert(destination);
        }
        if let Some(cwd) = &self.cwd {
            let begin = workdir.take().map_or_else(std::env::current_dir, Ok);
            let begin =
                begin.map_err(|e| Problem::request("workdir", format!("no working directory: {e}")))?;
            // What is inside and what is not, the plan says.
            workdir = Some(begin.join(cwd));
        }
        policy.filesystem.workdir = workdir;
        Ok(policy)
    }

    /// The caller's environment, with the variables that the policy lets a request set.
    fn environment(&self, policy: &Policy) -> Result<BTreeMap<OsString, OsString>, Problem> {
        let mut environment: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        for (name, value) in &self.env {
            let passed = policy.environment.pass.contains(name) || is_harmless(name);
            // These two say which programs and files a policy means.
            let steers = matches!(name.as_str(), "HOME" | "PATH");
            if !passed || steers || policy.environment.set.contains_key(name) {
                let message = format!("the policy does not let a request set `{name}`");
                let remedy = format!("start the batch with --env {}", if steers { "NAME" } else { name });
                return Err(Problem::request("looser", message).remedy(remedy));
            }
            environment.insert(name.into(), value.into());
        }
        Ok(environment)
    }

    fn prepare(
        &self,
        shared: &Shared,
        cancellation: &Cancellation,
    ) -> Result<(Command, Option<Folder>), Problem> {
        let folder = if self.has_folder() { Some(shared.folders.make()?) } else { None };
        let policy = self.policy(&shared.policy, folder.as_ref())?;
        let environment = self.environment(&policy)?;
        let mut command = Sandbox::new(policy).command(self.program());
        command.args(&self.command[1..]).callers_environment(environment).cancel_with(cancellation);
        if let Some(registry) = &shared.registry {
            command.register(registry);
        }
        if let Some(folder) = &folder {
            command.hide(&folder.above);
            for (path, content) in &self.files {
                folder.put(path, &self.encoding.bytes(path, content)?)?;
            }
        }
        if let Some(text) = &self.stdin {
            command.stdin(Stdio::bytes(self.encoding.bytes("stdin", text)?));
        }
        if let Some(path) = &self.stdin_file {
            let file = open(&command, folder.as_ref(), path, Access::Read)?;
            command.stdin(file.into());
        }
        if let Some(path) = &self.stdout_file {
            let file = open(&command, folder.as_ref(), path, Access::Write)?;
            command.stdout(file.into());
        }
        Ok((command, folder))
    }

    /// What it wants to have, in its order, all of it no larger than what may be printed without a limit.
    fn collect(&self, folder: Option<&Folder>) -> Vec<(String, Option<Collected>)> {
        let mut left = DEFAULT_OUTPUT.size.0;
        let mut take = |path: &String| {
            let found = folder.and_then(|folder| folder.collect(path, left));
            left -= found.as_ref().map_or(0, |(content, _)| content.len() as u64);
            (path.clone(), found)
        };
        self.collect.iter().map(&mut take).collect()
    }
}

/// Passed from every caller: how to print, nothing of who or where.
fn is_harmless(name: &str) -> bool {
    let passed = ["TERM", "COLORTERM", "NO_COLOR", "FORCE_COLOR", "CI", "TZ", "LANG"];
    passed.contains(&name) || name.starts_with("LC_")
}

/// A file that is a stream: of the run's folder, or one of the host that the program itself might use so.
fn open(command: &Command, folder: Option<&Folder>, path: &str, access: Access) -> Result<File, Problem> {
    let failed = |e: io::Error| {
        let errno = e.raw_os_error().map_or_else(|| e.to_string(), errno_name);
        Problem::request("stream", format!("`{path}` cannot be a stream")).at(path).errno(errno)
    };
    let write = access == Access::Write;
    if let Some(folder) = folder.filter(|_| !path.starts_with('/')) {
        return if write { folder.create(path) } else { folder.input(path) }.map_err(failed);
    }
    let place = Path::new(path);
    // A file that does not exist yet is as its folder.
    let judged = if write && !place.exists() { place.parent().unwrap_or(place) } else { place };
    let given = command.plan()?.access(judged)?;
    if given.is_none_or(|given| write && given == Access::Read) {
        let what = if write { "write" } else { "read" };
        let message = format!("`{path}` is no file that the policy lets the program {what} at its own place");
        let flag = if write { "--rw" } else { "--ro" };
        let remedy = format!("start the batch with {flag} {path}, or name a file of the run's folder");
        return Err(Problem::request("looser", message).at(path).remedy(remedy));
    }
    let flags = if write { OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC } else { OFlags::RDONLY };
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(if write { 0o644 } else { 0 });
    let file = openat2(CWD, place, flags, mode, ResolveFlags::NO_SYMLINKS).map_err(|e| failed(e.into()))?;
    let kind = FileType::from_raw_mode(fstat(&file).map_err(|e| failed(e.into()))?.st_mode);
    if kind != FileType::RegularFile {
        return Err(failed(io::ErrorKind::InvalidInput.into()).remedy("name a plain file"));
    }
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> (Value, String) {
        match read(line.as_bytes()) {
            Ok(_) => (Value::Null, String::new()),
            Err((id, problem)) => (id, problem.to_string()),
        }
    }

    #[test]
    fn a_bad_line_is_named_by_its_id_when_it_has_one() {
        for (line, id, part) in [
            ("x", Value::Null, "not JSON"),
            ("[1]", Value::Null, "no object"),
            (r#"{"command": ["x"]}"#, Value::Null, "no id"),
            (r#"{"id": null, "command": ["x"]}"#, Value::Null, "no id"),
            (r#"{"id": {}, "command": ["x"]}"#, Value::Null, "no id"),
            (r#"{"id": 1}"#, 1.into(), "command"),
            (r#"{"id": 1, "command": []}"#, 1.into(), "empty"),
            (r#"{"id": "a", "command": "x"}"#, "a".into(), "sequence"),
            (r#"{"id": "a", "command": ["x"], "bogus": 1}"#, "a".into(), "bogus"),
            (r#"{"id": "a", "command": ["x"], "cancel": 1}"#, "a".into(), "cancel"),
            (r#"{"id": 1, "command": ["x"], "limits": {"bogus": 1}}"#, 1.into(), "bogus"),
            (r#"{"id": 1, "command": ["x"], "limits": {"timeout": "soon"}}"#, 1.into(), "duration"),
            (r#"{"id": 1, "command": ["x"], "files": {"../x": ""}}"#, 1.into(), "relative path"),
            (r#"{"id": 1, "command": ["x"], "files": {"/x": ""}}"#, 1.into(), "relative path"),
            (r#"{"id": 1, "command": ["x"], "collect": [""]}"#, 1.into(), "relative path"),
            (r#"{"id": 1, "command": ["x"], "stdin": "", "stdin_file": "f"}"#, 1.into(), "contradict"),
            (r#"{"id": 1, "command": ["x"], "stdout_file": "../f"}"#, 1.into(), "relative path"),
            (r#"{"id": 1, "command": ["x"], "env": {"A=B": ""}}"#, 1.into(), "variable"),
            (r#"{"id": 1, "command": ["x"], "encoding": "hex"}"#, 1.into(), "hex"),
        ] {
            let (seen, message) = said(line);
            assert!(seen == id && message.contains(part), "{line}: {seen}: {message}");
        }
        assert!(matches!(read(br#"{"cancel": "a"}"#), Ok(Asked::Cancel(id)) if id == "a"));
        assert!(
            matches!(read(br#"{"id": 7, "command": ["x"]}"#), Ok(Asked::Run(request)) if request.id == 7)
        );
    }

    #[test]
    fn a_variable_is_set_where_the_policy_passes_it_and_nowhere_else() {
        let mut policy = Policy::builtin("default").unwrap();
        policy.environment.pass.extend(["TOKEN".to_owned(), "PATH".to_owned(), "FIXED".to_owned()]);
        policy.environment.set.insert("FIXED".to_owned(), "1".to_owned());
        let asked = |name: &str| {
            let line = format!(r#"{{"id": 1, "command": ["x"], "env": {{"{name}": "value"}}}}"#);
            let Ok(Asked::Run(request)) = read(line.as_bytes()) else { panic!("{line}") };
            request.environment(&policy).map(|all| all.get(std::ffi::OsStr::new(name)).cloned())
        };
        for name in ["TOKEN", "LANG", "LC_ALL", "TERM"] {
            assert_eq!(asked(name).unwrap(), Some("value".into()), "{name}");
        }
        for name in ["LD_PRELOAD", "PATH", "HOME", "FIXED", "USER"] {
            let said = asked(name).unwrap_err().to_string();
            assert!(said.contains(name) && said.contains("--env"), "{said}");
        }
    }
}
