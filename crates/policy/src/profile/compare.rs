//! What one profile says and another does not, line by line: for a person who decides whether to trust it.

use serde_json::Value;

use super::model::Profile;

impl Profile {
    /// What changed since `before`: lines that begin `+ ` for what is new and `- ` for what is gone. Values of
    /// variables are not shown. Name and description are no part of it.
    #[must_use]
    pub fn changes_since(&self, before: &Self) -> Vec<String> {
        let (old, new) = (before.statements(), self.statements());
        let only = |mark: &str, these: &[(String, String)], others: &[(String, String)]| {
            let shown = |(line, _): &(String, String)| format!("{mark} {line}");
            these.iter().filter(|statement| !others.contains(statement)).map(shown).collect::<Vec<_>>()
        };
        [only("+", &new, &old), only("-", &old, &new)].concat()
    }

    /// Everything that it says, as (what is shown, what it is).
    fn statements(&self) -> Vec<(String, String)> {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(keys) = value.as_object_mut() {
            keys.remove("name");
            keys.remove("description");
        }
        let mut statements = Vec::new();
        state("", &value, &mut statements);
        statements
    }
}

fn state(path: &str, value: &Value, statements: &mut Vec<(String, String)>) {
    match value {
        Value::Object(keys) if !is_entry(path) => {
            for (key, inner) in keys {
                let dot = if path.is_empty() { "" } else { "." };
                state(&format!("{path}{dot}{key}"), inner, statements);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| statements.push(statement(path, item))),
        other => statements.push(statement(path, other)),
    }
}

/// One rule or one folder is one statement, however many keys it has.
fn is_entry(path: &str) -> bool {
    matches!(path, "filesystem.base" | "on_violation")
}

fn statement(path: &str, value: &Value) -> (String, String) {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let shown = match path.strip_prefix("environment.set.") {
        Some(name) => format!("environment.set: {name}"),
        None => format!("{path}: {text}"),
    };
    (shown, format!("{path}: {text}"))
}
