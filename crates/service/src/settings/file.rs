use super::{Setting, SettingsProblem};
use std::collections::BTreeMap;
use std::path::Path;
use toml::{Table, Value};

/// The values of a TOML file by key, as text; those that no setting has are problems.
pub(super) fn read_file(
    path: &Path,
    settings: &[Setting],
    problems: &mut Vec<SettingsProblem>,
) -> BTreeMap<String, String> {
    let unreadable = |reason: String| SettingsProblem::UnreadableFile {
        path: path.to_owned(),
        reason,
    };
    let table = std::fs::read_to_string(path)
        .map_err(|error| error.to_string())
        .and_then(|text| text.parse::<Table>().map_err(|error| error.to_string()));
    let mut values = BTreeMap::new();
    match table {
        Ok(table) => flatten("", table, &mut values),
        Err(reason) => problems.push(unreadable(reason.trim_end().to_owned())),
    }
    let known: Vec<String> = settings.iter().map(Setting::toml_key).collect();
    let mut texts = BTreeMap::new();
    for (key, value) in values {
        if !known.contains(&key) {
            let nearest = nearest(&key, known.iter().map(String::as_str)).map(str::to_owned);
            let path = path.to_owned();
            problems.push(SettingsProblem::UnknownKey { path, key, nearest });
        } else if let Some(text) = text_of(&value) {
            texts.insert(key, text);
        } else {
            let kind = value.type_str();
            problems.push(unreadable(format!(
                "key {key} holds a {kind}; allowed are a string, an integer or a boolean"
            )));
        }
    }
    texts
}

/// `[path]` with `procfs = …` becomes `path.procfs`.
fn flatten(prefix: &str, table: Table, values: &mut BTreeMap<String, Value>) {
    for (key, value) in table {
        let key = format!("{prefix}{key}");
        match value {
            Value::Table(inner) => flatten(&format!("{key}."), inner, values),
            value => {
                values.insert(key, value);
            }
        }
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// The candidate most like `name`, if one is alike at all.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|&(likeness, _)| likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
