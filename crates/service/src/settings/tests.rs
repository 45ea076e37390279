use super::*;
use clap::{ArgMatches, Command};
use std::collections::HashMap;
use std::time::Duration;

const SETTINGS: &[Setting] = &[
    Setting {
        name: "http",
        env: "WEIR_HTTP",
        env_aliases: &["HTTP_ADDRESS"],
        value_name: "ADDR",
        default: Some("127.0.0.1:5000"),
        help: "HTTP listener, or off",
    },
    Setting {
        name: "visibility-timeout",
        env: "WEIR_VISIBILITY_TIMEOUT",
        env_aliases: &[],
        value_name: "DURATION",
        default: Some("30s"),
        help: "Length of a lease",
    },
    Setting {
        name: "path.procfs",
        env: "WEIR_PATH_PROCFS",
        env_aliases: &[],
        value_name: "DIR",
        default: None,
        help: "Where proc is mounted",
    },
    Setting {
        name: "max-topics",
        env: "WEIR_MAX_TOPICS",
        env_aliases: &[],
        value_name: "N",
        default: Some("10000"),
        help: "Topics at most",
    },
];

fn matches(arguments: &[&str]) -> ArgMatches {
    let command = Command::new("test").no_binary_name(true);
    command
        .args(flags(SETTINGS))
        .arg(config_flag())
        .try_get_matches_from(arguments)
        .unwrap()
}

fn load(arguments: &[&str], env: &[(&str, &str)], file: &str) -> SettingsReader {
    let env: HashMap<_, _> = env.iter().copied().collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weir.toml");
    std::fs::write(&path, file).unwrap();
    let env = |name: &str| env.get(name).map(|&value| value.to_owned());
    SettingsReader::load(SETTINGS, &matches(arguments), &env, Some(&path))
}

fn seconds(reader: &mut SettingsReader) -> Option<u64> {
    let timeout: Option<Duration> = reader.read("visibility-timeout", duration);
    timeout.map(|timeout| timeout.as_secs())
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let flag: &[&str] = &["--visibility-timeout", "4s"];
    let env: &[(&str, &str)] = &[("WEIR_VISIBILITY_TIMEOUT", "3s")];
    let file = "visibility_timeout = \"2s\"";
    let empty: &[(&str, &str)] = &[("WEIR_VISIBILITY_TIMEOUT", "")];
    assert_eq!(seconds(&mut load(flag, env, file)), Some(4));
    assert_eq!(seconds(&mut load(&[], env, file)), Some(3));
    assert_eq!(seconds(&mut load(&[], empty, file)), Some(2));
    assert_eq!(seconds(&mut load(&[], empty, "")), Some(30));
}

#[test]
fn aliases_and_tables_and_plain_toml_values_are_read() {
    let file = "max_topics = 7\n[path]\nprocfs = \"/host/proc\"";
    let mut reader = load(&[], &[("HTTP_ADDRESS", "off")], file);
    assert_eq!(reader.read("http", listen), Some(Listen::Off));
    assert_eq!(reader.read("max-topics", in_range(1..=10)), Some(7));
    let path = reader.read("path.procfs", text::<String>);
    assert_eq!(path.as_deref(), Some("/host/proc"));
    assert_eq!(
        reader.source("http"),
        Some(&ValueSource::Environment("HTTP_ADDRESS"))
    );
    assert_eq!(reader.finish(), Ok(()));
}

#[test]
fn every_problem_is_listed_at_once_with_its_source() {
    let file = "max_topics = 0\nvisibility_timout = \"1s\"";
    let flag = &["--visibility-timeout", "soon"];
    let mut reader = load(flag, &[("WEIR_HTTP", "nowhere")], file);
    let http = reader.read("http", listen);
    let timeout = reader.read("visibility-timeout", duration);
    let topics = reader.read("max-topics", in_range(1..=10_000));
    let procfs = reader.read("path.procfs", text::<String>);
    reader.refuse("http and tcp cannot share an address");
    let problems = reader
        .finish_with(|| Some((http?, timeout?, topics?, procfs?)))
        .unwrap_err()
        .to_string();
    let expected = [
        "unknown key \"visibility_timout\"; did you mean \"visibility_timeout\"?",
        "http: \"nowhere\" (environment variable WEIR_HTTP) is refused: allowed are an IP address",
        "visibility-timeout: \"soon\" (flag --visibility-timeout) is refused: allowed is",
        "weir.toml, key max_topics) is refused: allowed is a whole number from 1 to 10000",
        "path.procfs: is not set; use flag --path.procfs, environment variable WEIR_PATH_PROCFS",
        "http and tcp cannot share an address",
    ];
    for part in expected {
        assert!(problems.contains(part), "{part:?} is missing in {problems}");
    }
    assert_eq!(problems.lines().count(), 1 + expected.len(), "{problems}");
}

#[test]
fn an_absent_optional_setting_is_no_problem() {
    let mut reader = load(&[], &[], "");
    let absent = reader.read_optional("path.procfs", text::<String>);
    assert_eq!(absent, Some(None));
    assert_eq!(reader.finish_with(|| absent), Ok(None));
}

#[test]
fn files_that_cannot_be_read_or_hold_other_kinds_are_problems() {
    let problems = |file| load(&[], &[], file).finish().unwrap_err().to_string();
    assert!(problems("http = ").contains("weir.toml: TOML parse error"));
    assert!(problems("http = [1]").contains("key http holds a array; allowed are a string"));
    let missing = SettingsReader::load(
        SETTINGS,
        &matches(&[]),
        &|_| None,
        Some("/nonexistent/weir.toml".as_ref()),
    );
    assert!(
        missing
            .finish()
            .unwrap_err()
            .to_string()
            .contains("No such file")
    );
}

#[test]
fn reading_what_is_not_in_the_table_is_reported() {
    let mut reader = load(&[], &[], "");
    assert_eq!(reader.read("nonsense", duration), None);
    assert!(reader.finish().is_err());
}

#[test]
fn misspelt_variables_are_warned_about() {
    let set = ["WEIR_HTPP", "WEIR_HTTP", "WEIR_CONFIG", "HOME"].map(str::to_owned);
    assert_eq!(
        unknown_variables(&[SETTINGS], set),
        ["environment variable WEIR_HTPP is not known; did you mean WEIR_HTTP?"]
    );
}

#[test]
fn the_config_file_is_named_by_flag_or_variable() {
    let env = |name: &str| (name == CONFIG_VARIABLE).then(|| "env.toml".to_owned());
    let named = |arguments: &[&str]| config_file(&matches(arguments), &env);
    assert_eq!(named(&["--config", "flag.toml"]), Some("flag.toml".into()));
    assert_eq!(named(&[]), Some("env.toml".into()));
}

#[test]
fn the_table_becomes_documentation() {
    let table = markdown_table(SETTINGS);
    let row = "| `--http ADDR` | `WEIR_HTTP`, `HTTP_ADDRESS` | `http` | `127.0.0.1:5000` | HTTP listener, or off |";
    assert!(table.contains(row), "{table}");
    let mut command = Command::new("test").args(flags(SETTINGS));
    let help = command.render_help().to_string();
    assert!(
        help.contains("[env: WEIR_HTTP]") && help.contains("[default: 10000]"),
        "{help}"
    );
}

#[test]
fn values_are_read_strictly() {
    assert_eq!(bytes("1MiB"), Ok(1 << 20));
    assert_eq!(bytes("512"), Ok(512));
    assert!(bytes("-1").is_err() && bytes("much").is_err());
    assert_eq!(bool("true"), Ok(true));
    assert!(bool("yes").is_err());
    assert!(listen("localhost:5000").is_err() && listen("5000").is_err());
    assert_eq!(listen("[::1]:0").unwrap().to_string(), "[::1]:0");
    assert!(in_range(1..=3_u8)("300").is_err());
}
