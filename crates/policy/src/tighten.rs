//! Limits that may only be lowered: what one request of many asks for, under the policy of all.

use std::fmt::Debug;

use crate::{Beyond, Limits, OutputLimit, Problem};

impl Limits {
    /// Takes over limits that are as strict as these or stricter.
    ///
    /// # Errors
    /// One is looser; the message names it.
    pub fn tighten(&mut self, asked: Self) -> Result<(), Problem> {
        // What is not said has a default, which is a limit too.
        (self.grace, self.tmp) = (Some(self.grace()), Some(self.tmp()));
        // Every field by name: one that is added later must be judged here, too.
        let Self { timeout, grace, pids, nofile, file_size, stack, tmp, output } = asked;
        lower("timeout", &mut self.timeout, timeout)?;
        lower("grace", &mut self.grace, grace)?;
        lower("pids", &mut self.pids, pids)?;
        lower("nofile", &mut self.nofile, nofile)?;
        lower("file_size", &mut self.file_size, file_size)?;
        lower("stack", &mut self.stack, stack)?;
        lower("tmp", &mut self.tmp, tmp)?;
        lower_output(&mut self.output, output)
    }
}

fn lower<T: PartialOrd + Copy + Debug>(
    name: &str,
    limit: &mut Option<T>,
    asked: Option<T>,
) -> Result<(), Problem> {
    match (*limit, asked) {
        (Some(allowed), Some(asked)) if asked > allowed => {
            Err(looser(format!("limits.{name} is {asked:?}, and the policy allows {allowed:?}")))
        }
        (_, asked) => {
            *limit = asked.or(*limit);
            Ok(())
        }
    }
}

/// A program that the policy would kill must not go on.
fn lower_output(limit: &mut Option<OutputLimit>, asked: Option<OutputLimit>) -> Result<(), Problem> {
    if let (Some(allowed), Some(asked)) = (*limit, asked) {
        let milder = allowed.beyond == Beyond::Kill && asked.beyond == Beyond::Truncate;
        if asked.size > allowed.size || milder {
            return Err(looser(format!("limits.output is {asked}, and the policy allows {allowed}")));
        }
    }
    *limit = asked.or(*limit);
    Ok(())
}

fn looser(message: String) -> Problem {
    Problem::request("looser", message).remedy("a request may only tighten: lower it, or leave it out")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Size;

    #[test]
    fn limits_go_down_and_never_up() {
        let policy = Limits {
            timeout: Some(Duration::from_secs(10)),
            nofile: Some(64),
            output: Some("1M:kill".parse().unwrap()),
            ..Limits::default()
        };
        let asked = |text: &str| {
            let mut limits = policy.clone();
            limits.tighten(serde_json::from_str(text).unwrap()).map(|()| limits)
        };
        let lower =
            asked(r#"{"timeout": "2s", "nofile": 64, "file_size": "1K", "grace": "1s", "output": "1K"}"#);
        let lower = lower.unwrap();
        assert_eq!((lower.timeout, lower.nofile), (Some(Duration::from_secs(2)), Some(64)));
        assert_eq!((lower.file_size, lower.grace), (Some(Size(1024)), Some(Duration::from_secs(1))));
        assert_eq!(lower.output.unwrap().size, Size(1024));
        assert_eq!(asked("{}").unwrap().timeout, policy.timeout);
        for (text, part) in [
            (r#"{"timeout": "11s"}"#, "limits.timeout is 11s, and the policy allows 10s"),
            (r#"{"nofile": 65}"#, "limits.nofile"),
            (r#"{"grace": "6s"}"#, "limits.grace"),
            (r#"{"tmp": "2G"}"#, "limits.tmp"),
            (r#"{"output": "2M"}"#, "limits.output"),
            (r#"{"output": "1K:truncate"}"#, "limits.output is 1K:truncate, and the policy allows 1M:kill"),
        ] {
            let said = asked(text).unwrap_err().to_string();
            assert!(said.contains(part) && said.contains("only tighten"), "{text}: {said}");
        }
    }
}
