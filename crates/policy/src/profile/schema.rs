//! The JSON Schema of a profile file, made from the model itself.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::model::Profile;

/// The whole schema, draft 2020-12.
pub(super) fn schema() -> serde_json::Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<Profile>();
    schema.insert("title".to_owned(), "A profile of Ringfence".into());
    schema.to_value()
}

/// A name, or a list of names.
pub(super) struct OneOrMore;

impl JsonSchema for OneOrMore {
    fn schema_name() -> Cow<'static, str> {
        "Names".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }],
        })
    }
}

/// What an unlisted call gets.
pub(super) struct ViolationShape;

impl JsonSchema for ViolationShape {
    fn schema_name() -> Cow<'static, str> {
        "Violation".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "enum": ["errno", "kill", "log"] },
                {
                    "type": "object",
                    "properties": { "errno": { "type": "integer", "minimum": 0, "maximum": 4095 } },
                    "required": ["errno"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

/// A rule: its type is of a crate that knows no schemas.
pub(super) struct RuleShape;

impl JsonSchema for RuleShape {
    fn schema_name() -> Cow<'static, str> {
        "Rule".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An answer for some calls, when all its conditions hold.",
            "type": "object",
            "properties": {
                "syscalls": { "type": "array", "items": { "type": "string" } },
                "args": {
                    "description": "All of them must hold.",
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "index": { "type": "integer", "minimum": 0, "maximum": 5 },
                            "op": { "enum": ["eq", "ne", "lt", "le", "gt", "ge"] },
                            "value": { "type": "integer" },
                            "mask": { "type": ["integer", "null"], "minimum": 0 },
                        },
                        "required": ["index", "op", "value"],
                        "additionalProperties": false,
                    },
                },
                "action": { "enum": ["allow", "log", "notify", "errno", "trap", "kill"] },
                "errno": {
                    "description": "The error number of the action `errno`; EPERM when not said.",
                    "type": ["integer", "null"], "minimum": 0, "maximum": 4095,
                },
            },
            "required": ["syscalls", "action"],
            "additionalProperties": false,
        })
    }
}
