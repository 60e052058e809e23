//! What one value of a flag may be. Every error is a sentence that stands by itself after the flag's name.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, StringValueParser, TypedValueParser};
use ringfence::policy::{
    BUILTIN_PROFILES, Base, Guarantee, HostUser, IdMap, Network, Policy, Toolchain, Tty, Variable, Violation,
};

/// The name or the path of a profile. The built-in names are told to completions; whether there is another is
/// known when it is looked for.
#[derive(Clone)]
pub(crate) struct ProfileParser;

impl TypedValueParser for ProfileParser {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().try_map(|word| profile_word(&word)).parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(BUILTIN_PROFILES.iter().map(|(name, _)| PossibleValue::new(*name))))
    }
}

fn profile_word(word: &str) -> Result<String, String> {
    if word.is_empty() {
        return Err("a profile has a name or a path".to_owned());
    }
    // Ports of other tools: a colon is in no name.
    if word.contains(['\n', '\0']) || (word.contains(':') && !word.contains('/')) {
        return Err(format!("`{}` is neither a name nor a path of a profile", word.escape_debug()));
    }
    Ok(word.to_owned())
}

pub(crate) fn violation() -> impl TypedValueParser<Value = Violation> {
    let read = |word: String| match &*word {
        "kill" => Violation::Kill,
        "log" => Violation::Log,
        _ => Violation::default(),
    };
    PossibleValuesParser::new(["errno", "kill", "log"]).map(read)
}

/// The guarantees that need something from the host, which a host may lack: all but two.
pub(crate) fn waivable() -> impl TypedValueParser<Value = Guarantee> {
    let names = Guarantee::ALL.into_iter().filter(|guarantee| guarantee.is_waivable()).map(Guarantee::name);
    PossibleValuesParser::new(names).try_map(|name| name.parse::<Guarantee>())
}

pub(crate) fn network() -> impl TypedValueParser<Value = Network> {
    let read = |word: String| if word == "host" { Network::Host } else { Network::None };
    PossibleValuesParser::new(["none", "host"]).map(read)
}

pub(crate) fn base() -> impl TypedValueParser<Value = Base> {
    let read = |word: String| if word == "empty" { Base::Empty } else { Base::Host };
    PossibleValuesParser::new(["host", "empty"]).map(read)
}

pub(crate) fn toolchain(text: &str) -> Result<Toolchain, String> {
    text.parse()
}

pub(crate) fn tty() -> impl TypedValueParser<Value = Tty> {
    let read = |word: String| match word.as_str() {
        "always" => Tty::Always,
        "never" => Tty::Never,
        _ => Tty::Auto,
    };
    PossibleValuesParser::new(["auto", "always", "never"]).map(read)
}

pub(crate) fn id_map() -> impl TypedValueParser<Value = IdMap> {
    let read = |word: String| if word == "range" { IdMap::Range } else { IdMap::Single };
    PossibleValuesParser::new(["single", "range"]).map(read)
}

/// A path of the host or of the inside. Reports are JSON, so it must be text.
pub(crate) fn path(text: &OsStr) -> Result<PathBuf, String> {
    let plain = text.to_str().ok_or_else(|| {
        format!(
            "the path `{}` is not UTF-8; name a folder above it, or a symlink to it",
            text.to_string_lossy()
        )
    })?;
    if plain.is_empty() {
        return Err("the path is empty".to_owned());
    }
    if plain.contains(['\n', '\0']) {
        return Err(format!("the path `{}` holds a newline or a NUL", plain.escape_default()));
    }
    Ok(PathBuf::from(plain))
}

pub(crate) fn device(text: &OsStr) -> Result<PathBuf, String> {
    let path = path(text)?;
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(format!("the device `{}` is not an absolute path (like /dev/kvm)", path.display()))
    }
}

/// Where the program starts, inside.
pub(crate) fn workdir(text: &OsStr) -> Result<PathBuf, String> {
    let path = path(text)?;
    judged(|policy| policy.filesystem.workdir = Some(path.clone()))?;
    Ok(path)
}

pub(crate) fn hostname(text: &str) -> Result<String, String> {
    judged(|policy| text.clone_into(&mut policy.process.hostname))?;
    Ok(text.to_owned())
}

/// What the policy's own check says of one change, said where the flag is known.
fn judged(change: impl FnOnce(&mut Policy)) -> Result<(), String> {
    let mut policy = Policy::builtin("minimal").map_err(|problem| problem.to_string())?;
    change(&mut policy);
    policy.check().map_err(|problem| problem.to_string())
}

pub(crate) fn pattern(text: &str) -> Result<String, String> {
    path(OsStr::new(text)).map(|_| text.to_owned())
}

/// Reads `NAME[=VALUE]`; an error tells the name only, because it may end in a report or a log.
pub(crate) fn variable(text: &OsStr) -> Result<Variable, String> {
    Variable::parse(text).map_err(|_| {
        let shown = text.to_string_lossy();
        let name = shown.split('=').next().unwrap_or_default();
        match Variable::parse(OsStr::new(name)) {
            Err(why) => why,
            Ok(_) => format!("the value of `{name}` is not UTF-8 or holds a NUL"),
        }
    })
}

pub(crate) fn count(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err(format!("`{text}` is not a whole number above 0")),
    }
}

/// The highest number means "no id" to the kernel (`setresuid(2)`).
pub(crate) fn id(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(n) if n < u32::MAX => Ok(n),
        _ => Err(format!("`{text}` is not an id: those are the numbers from 0 to {}", u32::MAX - 1)),
    }
}

pub(crate) fn host_user(text: &str) -> Result<HostUser, String> {
    if text == "auto" {
        return Ok(HostUser::Auto);
    }
    if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return id(text).map(HostUser::Uid);
    }
    // passwd(5) has colons and newlines between its fields and lines.
    let plain = |c: char| !c.is_control() && !c.is_whitespace() && c != ':' && c != '/';
    if text.is_empty() || !text.chars().all(plain) {
        return Err(format!("`{}` is neither a user's name nor an id nor `auto`", text.escape_default()));
    }
    Ok(HostUser::Name(text.to_owned()))
}

/// A run's name: a word that can stand in a line, a file name and a table.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.len() > 64 || !text.chars().all(plain) {
        return Err(format!(
            "`{}` is not a name: 1 to 64 letters, digits, `-`, `_` and `.`",
            text.escape_default()
        ));
    }
    Ok(text.to_owned())
}

/// One word as a shell reads it back.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+~".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Words as a shell reads them back.
pub(crate) fn quoted_all(words: &[OsString]) -> String {
    words.iter().map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_bad_variable_never_shows_its_value() {
        for bad in [&b"=secret"[..], b"A\nB=secret", b"TOKEN=secret\xff", b"TOKEN=secret\0"] {
            let why = variable(OsStr::from_bytes(bad)).unwrap_err();
            assert!(!why.contains("secret"), "{why}");
        }
        let why = variable(OsStr::from_bytes(b"TOKEN=secret\xff")).unwrap_err();
        assert!(why.contains("TOKEN"), "{why}");
        assert_eq!(variable(OsStr::new("A=b=c")).unwrap().value, Some("b=c".into()));
        assert_eq!(variable(OsStr::new("A")).unwrap().value, None);
    }

    #[test]
    fn a_host_user_is_a_name_an_id_or_auto() {
        assert_eq!(host_user("auto"), Ok(HostUser::Auto));
        assert_eq!(host_user("1000"), Ok(HostUser::Uid(1000)));
        assert_eq!(host_user("www-data"), Ok(HostUser::Name("www-data".to_owned())));
        for bad in ["", "-1", "12x", "a:b", "a b", "a/b"] {
            assert!(host_user(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_can_be_waived_is_what_a_policy_takes() {
        let command = clap::Command::new("x").arg(clap::Arg::new("g").long("g").value_parser(waivable()));
        for guarantee in Guarantee::ALL {
            let words = ["x".to_owned(), format!("--g={guarantee}")];
            let taken = Policy::builtin("default").unwrap().waive(guarantee).check().is_ok();
            assert_eq!(command.clone().try_get_matches_from(words).is_ok(), taken, "{guarantee}");
        }
    }

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        let words: Vec<OsString> = ["python3", "-c", "print('a b')", ""].map(OsString::from).into();
        assert_eq!(quoted_all(&words), r"python3 -c 'print('\''a b'\'')' ''");
    }

    #[test]
    fn a_path_is_text() {
        assert!(path(OsStr::from_bytes(b"/a\xff")).unwrap_err().contains("UTF-8"));
        assert!(path(OsStr::new("~/x y")).is_ok());
    }

    #[test]
    fn a_name_is_one_word() {
        assert!(name("job-1.a_b").is_ok());
        for bad in ["", "a b", "a/b", "\u{1b}[31m", &"x".repeat(65)] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }
}
