//! Limits that may only be lowered: what one request of many asks for, under the policy of all.

use std::fmt::Display;
use std::time::Duration;

use crate::{Beyond, CpuList, Limits, OutputLimit, Problem};

impl Limits {
    /// Takes over limits that are as strict as these or stricter.
    ///
    /// # Errors
    /// One is looser; the message names it.
    pub fn tighten(&mut self, asked: Self) -> Result<(), Problem> {
        // Every field by name: one that is added later must be judged here, too.
        let Self {
            timeout,
            grace,
            cpu_time,
            memory,
            cpus,
            cpuset,
            pids,
            nofile,
            file_size,
            stack,
            tmp,
            output,
        } = asked;
        // What is not said has a default, which is a limit too. A request that says nothing leaves the policy as it is.
        self.grace = self.grace.or(grace.map(|_| self.grace()));
        self.tmp = self.tmp.or(tmp.map(|_| self.tmp()));
        lower("timeout", &mut self.timeout, timeout, time)?;
        lower("grace", &mut self.grace, grace, time)?;
        lower("cpu_time", &mut self.cpu_time, cpu_time, time)?;
        lower("memory", &mut self.memory, memory, plain)?;
        lower("cpus", &mut self.cpus, cpus, plain)?;
        fewer(&mut self.cpuset, cpuset)?;
        lower("pids", &mut self.pids, pids, plain)?;
        lower("nofile", &mut self.nofile, nofile, plain)?;
        lower("file_size", &mut self.file_size, file_size, plain)?;
        lower("stack", &mut self.stack, stack, plain)?;
        lower("tmp", &mut self.tmp, tmp, plain)?;
        lower_output(&mut self.output, output)
    }
}

fn plain<T: Display>(value: T) -> String {
    value.to_string()
}

/// `1.5s`, `500ms`: as a duration shows itself.
fn time(duration: Duration) -> String {
    format!("{duration:?}")
}

fn lower<T: PartialOrd + Copy>(
    name: &str,
    limit: &mut Option<T>,
    asked: Option<T>,
    shown: fn(T) -> String,
) -> Result<(), Problem> {
    match (*limit, asked) {
        (Some(allowed), Some(asked)) if asked > allowed => {
            let (asked, allowed) = (shown(asked), shown(allowed));
            Err(looser(format!("limits.{name} is {asked}, and the policy allows {allowed}")))
        }
        (_, asked) => {
            *limit = asked.or(*limit);
            Ok(())
        }
    }
}

/// Of a list of processors a part may be asked for.
fn fewer(limit: &mut Option<CpuList>, asked: Option<CpuList>) -> Result<(), Problem> {
    if let (Some(allowed), Some(asked)) = (&*limit, &asked)
        && !allowed.contains(asked)
    {
        return Err(looser(format!("limits.cpuset is {asked}, and the policy allows {allowed}")));
    }
    *limit = asked.or(limit.take());
    Ok(())
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
    use super::*;
    use crate::Size;

    #[test]
    fn a_request_without_limits_leaves_the_policy_as_it_is() {
        let mut limits = Limits::default();
        limits.tighten(Limits::default()).unwrap();
        assert_eq!(limits, Limits::default());
    }

    #[test]
    fn limits_go_down_and_never_up() {
        let policy = Limits {
            timeout: Some(Duration::from_secs(10)),
            nofile: Some(64),
            output: Some("1M:kill".parse().unwrap()),
            cpus: Some("1.5".parse().unwrap()),
            cpuset: Some("0-3,7".parse().unwrap()),
            memory: Some(Size(1 << 20)),
            cpu_time: Some(Duration::from_secs(3)),
            pids: Some(8),
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
        let lower =
            asked(r#"{"cpus": 1, "cpuset": "1-2,7", "memory": "1M", "cpu_time": "1s", "pids": 1}"#).unwrap();
        assert_eq!((lower.cpus.unwrap().0, lower.cpuset.unwrap().count()), (1000, 3));
        assert_eq!((lower.memory, lower.pids), (Some(Size(1 << 20)), Some(1)));
        assert_eq!(lower.cpu_time, Some(Duration::from_secs(1)));
        assert_eq!(asked("{}").unwrap().cpuset, policy.cpuset);
        assert_eq!(asked("{}").unwrap().timeout, policy.timeout);
        for (text, part) in [
            (r#"{"timeout": "11s"}"#, "limits.timeout is 11s, and the policy allows 10s"),
            (r#"{"nofile": 65}"#, "limits.nofile"),
            (r#"{"grace": "6s"}"#, "limits.grace"),
            (r#"{"tmp": "2G"}"#, "limits.tmp"),
            (r#"{"cpus": 2}"#, "limits.cpus"),
            (r#"{"cpuset": "3-4"}"#, "limits.cpuset is 3-4, and the policy allows 0-3,7"),
            (r#"{"memory": "2M"}"#, "limits.memory"),
            (r#"{"cpu_time": "4s"}"#, "limits.cpu_time"),
            (r#"{"pids": 9}"#, "limits.pids"),
            (r#"{"output": "2M"}"#, "limits.output"),
            (r#"{"output": "1K:truncate"}"#, "limits.output is 1K:truncate, and the policy allows 1M:kill"),
        ] {
            let said = asked(text).unwrap_err().to_string();
            assert!(said.contains(part) && said.contains("only tighten"), "{text}: {said}");
        }
    }
}
