//! A component's settings as a JSON schema.
//!
//! A form is a first check, near the mistake; what it lets pass, the process itself checks at start.

use super::Component;
use serde_json::{Map, Value, json};
use weir_service::settings::Setting;

/// What `<component>.settings` may hold.
pub(super) fn definition(component: &Component) -> Value {
    let by_key = component.settings.iter().map(|s| (s.toml_key(), s));
    let own = by_key.filter(|(key, _)| !component.is_set_elsewhere(key));
    let own = own.map(|(key, setting)| (key, property(setting)));
    let elsewhere = component.elsewhere.iter();
    let elsewhere = elsewhere.map(|(key, instead)| ((*key).to_owned(), refused(instead)));
    json!({
        "description": format!("Settings of weir-{} by their key in its TOML file", component.name),
        "type": "object",
        "additionalProperties": false,
        "properties": own.chain(elsewhere).collect::<Map<_, _>>(),
    })
}

/// Only `const` makes Helm say why: "value must be 'left out: set … instead'".
fn refused(instead: &str) -> Value {
    json!({"const": format!("left out: {instead}")})
}

fn property(setting: &Setting) -> Value {
    let mut property = form(setting);
    property["description"] = setting.help.into();
    if let Some(default) = setting.default.filter(|default| !default.is_empty()) {
        property["default"] = default_value(setting, default);
    }
    property
}

/// The default as one would write it in YAML.
pub(super) fn default_value(setting: &Setting, default: &str) -> Value {
    let is_plain = matches!(setting.value_name, "N" | "SECONDS" | "BOOL");
    let plain = is_plain.then(|| serde_json::from_str(default).ok());
    plain.flatten().unwrap_or_else(|| default.into())
}

const DURATION: &str = "^([0-9]+ *[a-zA-Zµ]+ *)+$";
const BYTES: &str = "^([0-9]+|[0-9]+(\\.[0-9]+)? *([kKmMgGtTpPeE][iI]?[bB]?|[bB]))$";

fn form(setting: &Setting) -> Value {
    match setting.name {
        "durability" => return text("^(fsync|os|interval=.+)$"),
        "create-topics" => return json!({"enum": ["on-first-use", "explicitly"]}),
        "dialect" => return json!({"enum": ["weir", "minimq"]}),
        "breaker-reset" => return number_or_text(&format!("^[0-9]+$|{DURATION}")),
        _ => {}
    }
    match setting.value_name {
        "N" | "SECONDS" => number_or_text("^[0-9]+$"),
        "BYTES" => number_or_text(BYTES),
        "DURATION" => text(DURATION),
        "BOOL" => json!({"enum": [true, false, "true", "false"]}),
        "FORMAT" => json!({"enum": ["text", "json"]}),
        "JSON" => json!({"type": ["array", "object", "string"]}),
        "FILTER" | "LIST" | "RANGES" | "TOPIC:N" => json!({"type": "string"}),
        list if list.ends_with(",…") => json!({"type": "string"}),
        _ => json!({"type": ["string", "integer", "boolean"]}),
    }
}

fn text(pattern: &str) -> Value {
    json!({"type": "string", "pattern": pattern})
}

/// A `pattern` is for text alone, a `minimum` for numbers alone.
fn number_or_text(pattern: &str) -> Value {
    json!({"type": ["integer", "string"], "minimum": 0, "pattern": pattern})
}
