//! One answer of a batch.

use ringfence::Output;
use ringfence::policy::{Problem, Report};
use serde_json::{Map, Value, json};

use super::base64;
use super::folder::Collected;

/// A line that came to nothing: it has no report.
pub(super) fn error(id: &Value, problem: &Problem) -> Value {
    json!({ "id": id, "error": problem })
}

/// A run that was not started.
pub(super) fn refused(id: &Value, report: &Report) -> Value {
    whole(id, report, (Vec::new(), Vec::new()), Map::new(), Vec::new())
}

/// A run that has ended. A file that is no plain file is `null`.
pub(super) fn ended(id: &Value, output: Output, files: Vec<(String, Option<Collected>)>) -> Value {
    let mut truncated = Map::new();
    for (stream, dropped) in [("stdout", output.truncated.stdout), ("stderr", output.truncated.stderr)] {
        if dropped > 0 {
            truncated.insert(stream.to_owned(), dropped.into());
        }
    }
    let short: Map<String, Value> = files
        .iter()
        .filter_map(|(path, found)| {
            let (content, size) = found.as_ref()?;
            let missing = size.saturating_sub(content.len() as u64);
            (missing > 0).then(|| (path.clone(), missing.into()))
        })
        .collect();
    if !short.is_empty() {
        truncated.insert("files".to_owned(), short.into());
    }
    let files = files.into_iter().map(|(path, found)| (path, found.map(|(content, _)| content))).collect();
    whole(id, &output.report, (output.stdout, output.stderr), truncated, files)
}

fn whole(
    id: &Value,
    report: &Report,
    (stdout, stderr): (Vec<u8>, Vec<u8>),
    truncated: Map<String, Value>,
    files: Vec<(String, Option<Vec<u8>>)>,
) -> Value {
    let is_text = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok();
    // One word for the whole answer: a reader decodes all of it, or nothing.
    let plain = is_text(&stdout)
        && is_text(&stderr)
        && files.iter().all(|(_, file)| file.as_deref().is_none_or(is_text));
    let text = |bytes: Vec<u8>| match plain {
        true => String::from_utf8(bytes).unwrap_or_default(),
        false => base64::encode(&bytes),
    };
    let (stdout, stderr) = (text(stdout), text(stderr));
    let files: Map<String, Value> = files
        .into_iter()
        .map(|(path, file)| (path, file.map_or(Value::Null, |file| text(file).into())))
        .collect();
    json!({
        "id": id,
        "report": report,
        "stdout": stdout,
        "stderr": stderr,
        "encoding": if plain { "utf-8" } else { "base64" },
        "truncated": truncated,
        "files": files,
    })
}

#[cfg(test)]
mod tests {
    use ringfence::Truncated;

    use super::*;

    fn output(stdout: &[u8], truncated: Truncated) -> Output {
        let report = Report::begin("i".to_owned(), vec!["true".to_owned()], None, "now".to_owned());
        Output { stdout: stdout.to_vec(), stderr: b"err".to_vec(), truncated, report }
    }

    #[test]
    fn text_is_text_and_one_byte_that_is_none_makes_all_of_it_base64() {
        let plain = ended(&1.into(), output(b"out", Truncated::default()), vec![("none".to_owned(), None)]);
        assert_eq!((&plain["stdout"], &plain["encoding"]), (&"out".into(), &"utf-8".into()));
        assert_eq!((&plain["files"], &plain["truncated"]), (&json!({"none": null}), &json!({})));
        let files = vec![("f".to_owned(), Some((vec![0xff], 3)))];
        let odd = ended(&1.into(), output(b"out", Truncated { stdout: 5, stderr: 0 }), files);
        assert_eq!((&odd["stdout"], &odd["encoding"]), (&"b3V0".into(), &"base64".into()));
        assert_eq!(
            (&odd["files"]["f"], &odd["truncated"]),
            (&"/w==".into(), &json!({"stdout": 5, "files": {"f": 2}}))
        );
    }
}
