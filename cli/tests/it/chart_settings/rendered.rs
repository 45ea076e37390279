//! What the chart makes of settings, read by the processes' own parsers: every setting at its default,
//! and every flag of the containers.

use super::{COMPONENTS, Component, schema};
use clap::ArgMatches;
use serde_json::{Map, Value, json};
use std::path::Path;
use tempfile::TempDir;
use weir_chart::{Object, Rendered, Request, render};

/// Where the containers have their file of settings.
const SETTINGS_FILE: &str = "/etc/weir/weir.toml";

/// Reads a command line as the process of a component does, with no environment.
fn read(component: &str, flags: &[String]) -> Result<(), String> {
    let matches = |command: clap::Command| -> Result<ArgMatches, String> {
        let program = std::iter::once(component.to_owned());
        let line = program.chain(flags.iter().cloned());
        command
            .try_get_matches_from(line)
            .map_err(|e| e.to_string())
    };
    let env = |_: &str| None;
    match component {
        "agent" => {
            let matches = matches(weir_agent::settings::command())?;
            weir_agent::Settings::read(&matches, &env).map(drop)
        }
        "broker" => {
            let matches = matches(weir_broker::settings::command())?;
            weir_broker::Settings::read(&matches, &env).map(drop)
        }
        _ => {
            let matches = matches(weir_ui::settings::command())?;
            weir_ui::Settings::read(&matches, &env).map(drop)
        }
    }
    .map_err(|problems| problems.to_string())
}

/// Every setting of a component that belongs into the values, at its default.
fn all_settings(component: &Component) -> Value {
    let own = component.settings.iter().filter_map(|setting| {
        let key = setting.toml_key();
        let value = setting.default?;
        (!component.is_set_elsewhere(&key)).then(|| (key, schema::default_value(setting, value)))
    });
    own.collect::<Map<_, _>>().into()
}

/// A release whose agents mount nothing, because their flags name directories that must exist.
fn release(settings: impl Fn(&Component) -> Value) -> Rendered {
    let values = COMPONENTS.iter().map(|component| {
        let settings = settings(component);
        (component.name.to_owned(), json!({"settings": settings}))
    });
    let values: Map<_, _> = values.collect();
    let request = Request::default_values().with(values.into());
    render(&request.with(json!({"agent": {"access": "minimal"}}))).unwrap()
}

fn of<'a>(
    rendered: &'a Rendered,
    component: &'a Component,
) -> impl Iterator<Item = &'a Object> + use<'a> {
    let objects = rendered.objects.iter();
    objects.filter(|object| object.label("app.kubernetes.io/component") == component.name)
}

/// The file of settings in a component's config map.
fn settings_file<'a>(rendered: &'a Rendered, component: &'a Component) -> &'a str {
    let mut texts = of(rendered, component).map(|object| object.text_at("/data/weir.toml"));
    texts.find(|text| !text.is_empty()).unwrap()
}

/// The flags of a component's container, as its process gets them on a node, with the file at `file`.
fn flags(rendered: &Rendered, component: &Component, file: &Path) -> Vec<String> {
    let mut containers = of(rendered, component).flat_map(Object::containers);
    let flags = containers.next().unwrap()["args"].as_array().unwrap();
    let on_a_node = |flag: &Value| {
        let flag = flag.as_str().unwrap();
        let flag = flag.replace(SETTINGS_FILE, file.to_str().unwrap());
        let flag = flag.replace("$(NODE_NAME)", "node-1");
        let flag = flag.replace("$(POD_NAME)", "weir-agent-x7k2p");
        flag.replace("$(POD_NAMESPACE)", "weir")
            .replace("$(NODE_ZONE)", "")
    };
    flags.iter().map(on_a_node).collect()
}

/// What the process of a component says of its file and its flags.
fn outcome(rendered: &Rendered, component: &Component) -> Result<(), String> {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("weir.toml");
    std::fs::write(&file, settings_file(rendered, component)).unwrap();
    read(component.name, &flags(rendered, component, &file))
}

#[test]
fn every_setting_at_its_default_reaches_the_process() {
    let rendered = release(all_settings);
    for component in &COMPONENTS {
        let file = settings_file(&rendered, component);
        for key in all_settings(component).as_object().unwrap().keys() {
            let line = format!("\n{key} = ");
            assert!(file.contains(&line), "{key} is missing in {file}");
        }
        assert_eq!(outcome(&rendered, component), Ok(()), "{file}");
    }
}

#[test]
fn the_containers_are_started_with_flags_that_their_processes_know() {
    let rendered = release(|_| json!({}));
    for component in &COMPONENTS {
        assert_eq!(outcome(&rendered, component), Ok(()));
    }
}

#[test]
fn large_numbers_lists_and_odd_text_survive_yaml_and_toml() {
    let odd = "info,weir_broker=\"debug\" <&> \\ 'x'\n[weir]";
    let rendered = release(|component| match component.name {
        "broker" => json!({
            "max_held_back": 100_000_000,
            "retention_bytes": 1_099_511_627_776_u64,
            "retry_backoff": ["1s", "10s"],
            "log_format": "json",
        }),
        "agent" => json!({"labels": "pool=batch: \"big\" #1", "log_filter": odd}),
        _ => json!({}),
    });
    let [agent, broker, _] = &COMPONENTS;
    assert_eq!(outcome(&rendered, broker), Ok(()));
    assert_eq!(outcome(&rendered, agent), Ok(()));
    let file = settings_file(&rendered, broker);
    assert!(file.contains("\nmax_held_back = 100000000\n"), "{file}");
    assert!(
        file.contains("\nretention_bytes = 1099511627776\n"),
        "{file}"
    );
    let file: toml::Table = settings_file(&rendered, agent).parse().unwrap();
    assert_eq!(file["log_filter"].as_str(), Some(odd));
}
