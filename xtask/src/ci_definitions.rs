//! The definitions of CI, as far as they can be checked without running them: they follow their
//! schemas; the tasks, packages and files that they name exist; versions are those of this repository.

use crate::Arguments;
use crate::workspace::Workspace;
use clap::Parser;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

const WORKFLOWS: [&str; 3] = [
    ".github/workflows/ci.yml",
    ".github/workflows/long.yml",
    ".github/workflows/release.yml",
];
const GITLAB: &str = ".gitlab-ci.yml";

/// Turns YAML files into a list in JSON: one Python for all, which takes its time to start.
const TO_JSON: &str = "import json, sys, yaml
json.dump([yaml.safe_load(open(path)) for path in sys.argv[1:]], sys.stdout)";

/// Our manner: long lines wrap at 120, and a comment may follow after one space.
const YAMLLINT: &str = "{extends: default, rules: {line-length: {max: 120}, document-start: disable, \
     comments: {min-spaces-from-content: 1}, truthy: {check-keys: false}, \
     braces: {max-spaces-inside: 1}}}";

fn root() -> PathBuf {
    let xtask = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Python with the packages that `cargo xtask python` installs.
fn python(arguments: &[&str]) -> Command {
    let mut python = Command::new("python3");
    python.current_dir(root()).args(arguments);
    python.env("PYTHONPATH", root().join("target/tools/python"));
    python
}

fn printed(output: &Output) -> String {
    let [out, errors] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{out}{errors}");
    out.into_owned()
}

fn parsed<const N: usize>(paths: [&str; N]) -> [Value; N] {
    let json = python(&["-c", TO_JSON]).args(paths).output().unwrap();
    let values: Vec<Value> = serde_json::from_str(&printed(&json)).unwrap();
    values.try_into().unwrap()
}

fn all() -> [&'static str; 4] {
    let [ci, long, release] = WORKFLOWS;
    [ci, long, release, GITLAB]
}

/// All scripts: what stands behind `run` and `script`.
fn scripts() -> Vec<String> {
    let mut found = Vec::new();
    for definition in parsed(all()) {
        let before = found.len();
        collect_scripts(&definition, &mut found);
        assert!(found.len() > before, "{definition} runs nothing");
    }
    found
}

fn collect_scripts(value: &Value, found: &mut Vec<String>) {
    let lines = |script: &Value| match script {
        Value::Array(lines) => lines.clone(),
        line => vec![line.clone()],
    };
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match key.as_str() {
                    "run" | "script" if !value.is_object() => {
                        let lines = lines(value).into_iter();
                        found.extend(lines.filter_map(|line| line.as_str().map(str::to_owned)));
                    }
                    _ => collect_scripts(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_scripts(item, found)),
        _ => {}
    }
}

/// The commands of a script, each as its words without quotes.
fn commands(script: &str) -> Vec<Vec<String>> {
    let joined = script.replace("\\\n", " ");
    let commands = joined.split(['\n', '|', ';', '&', '>']);
    let words = |command: &str| -> Vec<String> {
        let words = command.split_whitespace();
        words.map(|word| word.replace(['"', '\''], "")).collect()
    };
    commands.map(words).collect()
}

fn all_commands() -> Vec<Vec<String>> {
    let scripts = scripts().into_iter();
    scripts.flat_map(|script| commands(&script)).collect()
}

/// What follows `cargo xtask`, as it would be parsed.
fn task_arguments(command: &[String]) -> Option<&[String]> {
    let rest = command.strip_prefix(&["cargo".to_owned()][..])?;
    rest.strip_prefix(&["xtask".to_owned()][..])
}

#[test]
fn slow_definitions_follow_their_schemas_and_are_tidy() {
    let schema = "--builtin-schema";
    let github = python(&["-m", "check_jsonschema", schema, "vendor.github-workflows"])
        .args(WORKFLOWS)
        .output();
    printed(&github.unwrap());
    // GitLab's `!reference` is no YAML of the standard.
    let gitlab = python(&["-m", "check_jsonschema", schema, "vendor.gitlab-ci"])
        .args(["--data-transform", "gitlab-ci", GITLAB])
        .output();
    printed(&gitlab.unwrap());
    let lint = python(&["-m", "yamllint", "--strict", "-d", YAMLLINT])
        .args(all())
        .args(["docker-compose.yaml", "dashboards/compose"])
        .output();
    printed(&lint.unwrap());
}

#[test]
fn every_task_that_is_called_exists_and_takes_these_flags() {
    let commands = all_commands();
    let tasks: Vec<_> = commands
        .iter()
        .filter_map(|it| task_arguments(it))
        .collect();
    assert!(tasks.len() > 10, "only {} tasks are called", tasks.len());
    for task in tasks {
        let line = ["cargo xtask".to_owned()].into_iter().chain(task.to_vec());
        if let Err(error) = Arguments::try_parse_from(line) {
            panic!("cargo xtask {}: {error}", task.join(" "));
        }
    }
}

#[test]
fn every_package_and_every_file_that_is_named_exists() {
    let workspace = Workspace::load().unwrap();
    let is_package = |name: &str| workspace.packages.iter().any(|one| one.name == name);
    let top: Vec<String> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "target")
        .collect();
    for command in all_commands() {
        if command.first().is_some_and(|word| word == "cargo") {
            for pair in command.windows(2).filter(|pair| pair[0] == "-p") {
                assert!(is_package(&pair[1]), "{command:?}: no package {}", pair[1]);
            }
        }
        for word in &command {
            let first = word.split('/').next().unwrap_or_default();
            let is_path = word.contains('/') && top.iter().any(|name| name == first);
            assert!(!is_path || root().join(word).exists(), "no file {word}");
        }
    }
}

#[test]
fn actions_are_pinned_by_commit_and_say_which_version_that_is() {
    for path in WORKFLOWS {
        let text = read(path);
        let uses = text.lines().filter_map(|line| line.split_once("uses: "));
        for (_, action) in uses.filter(|(_, action)| !action.starts_with("./")) {
            let (name, pin) = action.split_once('@').unwrap();
            let (commit, version) = pin.split_once(" # v").unwrap_or((pin, ""));
            let is_commit = commit.len() == 40 && commit.chars().all(|c| c.is_ascii_hexdigit());
            assert!(is_commit && !version.is_empty(), "{path}: {name}@{pin}");
        }
    }
}

#[test]
fn jobs_have_a_time_limit_and_only_a_release_may_write() {
    for (path, workflow) in WORKFLOWS.into_iter().zip(parsed(WORKFLOWS)) {
        let readable = serde_json::json!({"contents": "read"});
        assert_eq!(workflow["permissions"], readable, "{path}");
        for (name, job) in workflow["jobs"].as_object().unwrap() {
            let is_limited = job["timeout-minutes"].is_u64() || job["uses"].is_string();
            assert!(is_limited, "{path}: {name} may run for ever");
            let may_write = job["permissions"].to_string().contains("write");
            assert!(
                !may_write || path.ends_with("release.yml"),
                "{path}: {name}"
            );
        }
    }
}

/// No expression of GitHub's is pasted into a script: who names a branch could run commands.
#[test]
fn scripts_take_values_from_variables_only() {
    for script in scripts() {
        assert!(!script.contains("${{"), "{script}");
    }
}

#[test]
fn versions_are_those_of_this_repository() {
    let toolchain = read("rust-toolchain.toml");
    let channel = toolchain
        .lines()
        .find_map(|line| line.strip_prefix("channel = "));
    let image = format!("rust:{}-", channel.unwrap().trim_matches('"'));
    for path in all() {
        for line in read(path)
            .lines()
            .filter(|line| line.contains("image: rust:"))
        {
            assert!(line.contains(&image), "{path}: {line}");
        }
    }
    let [chart] = parsed(["helm/weir/Chart.yaml"]);
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    for line in read(".github/workflows/ci.yml").lines() {
        for (_, tag) in line
            .split(' ')
            .filter_map(|word| word.split_once("weir-broker:"))
        {
            assert_eq!(tag, env!("CARGO_PKG_VERSION"), "{line}");
        }
    }
}

#[test]
fn a_task_that_is_not_there_is_noticed() {
    let script = "cargo xtask no-such-task --flag | tee x";
    let commands = commands(script);
    let task = task_arguments(&commands[0]).unwrap();
    let line = ["cargo xtask".to_owned()].into_iter().chain(task.to_vec());
    assert!(Arguments::try_parse_from(line).is_err());
}
