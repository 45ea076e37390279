//! The table of values: what `# --` comments in values.yaml say, with types from the schema.

use serde_json::Value;
use std::fmt::Write as _;

/// One documented value.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    path: Vec<String>,
    description: String,
}

/// Markdown: a table of what stands alone, then one for each section of the file.
pub(super) fn tables(values_yaml: &str, defaults: &Value, schema: &Value) -> String {
    let rows = documented(values_yaml);
    let mut sections: Vec<&str> = Vec::new();
    for row in &rows {
        if !sections.contains(&section(row)) {
            sections.push(section(row));
        }
    }
    let mut text = String::new();
    for name in sections {
        if !name.is_empty() {
            let _ = writeln!(text, "### `{name}`\n");
        }
        text.push_str("| value | type | default | what |\n|---|---|---|---|\n");
        for row in rows.iter().filter(|row| section(row) == name) {
            text.push_str(&line(row, defaults, schema));
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

/// The first step of a path that has more; empty for a value that stands alone.
fn section(row: &Row) -> &str {
    match row.path.as_slice() {
        [first, _, ..] => first,
        _ => "",
    }
}

fn line(row: &Row, defaults: &Value, schema: &Value) -> String {
    let path = row.path.join(".");
    let default = row.path.iter().try_fold(defaults, |at, step| at.get(step));
    let default = default.unwrap_or(&Value::Null);
    let kind = kind(schema, &row.path).unwrap_or_else(|| kind_of(default).to_owned());
    let what = row.description.replace('|', "\\|");
    let default = default.to_string().replace('|', "\\|");
    format!("| `{path}` | {kind} | `{default}` | {what} |\n")
}

/// The values with a `# --` comment, in the file's order.
fn documented(values_yaml: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut parents: Vec<(usize, &str)> = Vec::new();
    let mut description: Option<String> = None;
    for line in values_yaml.lines() {
        let text = line.trim_start();
        let indentation = line.len() - text.len();
        if let Some(first) = text.strip_prefix("# -- ") {
            description = Some(first.to_owned());
        } else if let Some(more) = text.strip_prefix('#') {
            if let Some(description) = &mut description {
                description.push(' ');
                description.push_str(more.trim());
            }
        } else if let Some(key) = key(text) {
            parents.retain(|(parent, _)| *parent < indentation);
            parents.push((indentation, key));
            let path = parents.iter().map(|(_, key)| (*key).to_owned()).collect();
            rows.extend(
                description
                    .take()
                    .map(|description| Row { path, description }),
            );
        }
    }
    rows
}

/// The key that a line begins with; `None` for items of lists and empty lines.
fn key(text: &str) -> Option<&str> {
    let (key, rest) = text.split_once(':')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let is_key = !key.is_empty() && key.chars().all(plain);
    (is_key && (rest.is_empty() || rest.starts_with(' '))).then_some(key)
}

/// What the schema allows at a path, in words.
fn kind(schema: &Value, path: &[String]) -> Option<String> {
    let mut at = resolved(schema, schema)?;
    for step in path {
        at = resolved(schema, property(schema, at, step)?)?;
    }
    if let Some(values) = at.get("enum").and_then(Value::as_array) {
        let values: Vec<_> = values.iter().map(|value| format!("`{value}`")).collect();
        return Some(values.join(", "));
    }
    match at.get("type")? {
        Value::String(kind) => Some(kind.clone()),
        Value::Array(kinds) => {
            let kinds: Vec<_> = kinds.iter().filter_map(Value::as_str).collect();
            Some(kinds.join(" or "))
        }
        _ => None,
    }
}

/// A property of a schema, which may lie in one that it is composed of.
fn property<'a>(schema: &'a Value, at: &'a Value, name: &str) -> Option<&'a Value> {
    if let Some(found) = at.get("properties").and_then(|own| own.get(name)) {
        return Some(found);
    }
    let composed = at.get("allOf").and_then(Value::as_array)?;
    let mut parts = composed.iter().filter_map(|part| resolved(schema, part));
    parts.find_map(|part| property(schema, part, name))
}

/// The schema itself, or the one that it refers to.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => resolved(root, root.pointer(reference.strip_prefix('#')?)?),
        None => Some(schema),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "any",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const VALUES: &str = r#"# A chart.

# -- A name
# of its own
name: ""
broker:
  # Not for the table.
  image:
    # -- With | without
    tag: "1"
  nodes: 1
  # -- Where
  tolerations:
    - operator: Exists
    # -- Not a value of the chart's
    - key: x
  # -- How
  mode: a
"#;

    #[test]
    fn comments_become_rows_with_type_and_default() {
        let defaults = json!({
            "name": "",
            "broker": {
                "image": {"tag": "1"},
                "tolerations": [{"operator": "Exists"}],
                "mode": "a",
            }
        });
        let schema = json!({
            "properties": {"broker": {"$ref": "#/$defs/broker"}},
            "$defs": {
                "image": {"properties": {"tag": {"type": ["string", "null"]}}},
                "broker": {
                    "allOf": [{"properties": {"image": {"$ref": "#/$defs/image"}}}],
                    "properties": {"mode": {"enum": ["a", "b"]}},
                },
            }
        });
        let expected = r#"| value | type | default | what |
|---|---|---|---|
| `name` | string | `""` | A name of its own |

### `broker`

| value | type | default | what |
|---|---|---|---|
| `broker.image.tag` | string or null | `"1"` | With \| without |
| `broker.tolerations` | array | `[{"operator":"Exists"}]` | Where |
| `broker.mode` | `"a"`, `"b"` | `"a"` | How |
"#;
        assert_eq!(tables(VALUES, &defaults, &schema), expected);
    }
}
