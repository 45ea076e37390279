//! The settings in the chart's values are the code's: helm/weir/values.schema.json knows each of them,
//! with its meaning, its default and the form of its value.

mod rendered;
mod schema;

use crate::support::root;
use serde_json::Value;
use std::collections::BTreeSet;
use weir_service::settings::Setting;

/// One of the three processes, as the chart knows it.
struct Component {
    name: &'static str,
    settings: &'static [Setting],
    /// Keys that do not belong into the values' settings, and what to do instead.
    elsewhere: &'static [(&'static str, &'static str)],
}

const COMPONENTS: [Component; 3] = [
    Component {
        name: "agent",
        settings: weir_agent::settings::SETTINGS,
        elsewhere: &[
            ("broker", "set agent.brokerUrl instead"),
            ("node", "it is the name of the node"),
            ("http", "set agent.listen and agent.ports.http instead"),
            ("host_mode", "set agent.access instead"),
            ("path", "set agent.access instead"),
            ("path.procfs", "set agent.access instead"),
            ("path.sysfs", "set agent.access instead"),
            ("path.rootfs", "set agent.access instead"),
        ],
    },
    Component {
        name: "broker",
        settings: weir_broker::settings::SETTINGS,
        elsewhere: &[
            ("data_dir", "set broker.persistence instead"),
            ("http", "set broker.listen and broker.ports.http instead"),
            ("grpc", "set broker.listen and broker.ports.grpc instead"),
            ("tcp", "this version has no such listener"),
            ("broker_index", "set broker.replicas instead"),
            ("broker_count", "set broker.replicas instead"),
            ("broker_peers", "set broker.replicas instead"),
            ("grace_period", "set broker.gracePeriodSeconds instead"),
            ("push_ca", "set broker.caCertificates instead"),
        ],
    },
    Component {
        name: "ui",
        settings: weir_ui::settings::SETTINGS,
        elsewhere: &[
            ("broker", "set ui.brokerUrl instead"),
            ("http", "set ui.listen and ui.ports.http instead"),
            ("grace_period", "set ui.gracePeriodSeconds instead"),
        ],
    },
];

impl Component {
    fn is_set_elsewhere(&self, key: &str) -> bool {
        self.elsewhere.iter().any(|(managed, _)| *managed == key)
    }

    fn definition_name(&self) -> String {
        format!("{}Settings", self.name)
    }
}

/// The file with `definition` in place of the one of that name; the rest stays as people wrote it.
fn with_definition(file: &str, name: &str, definition: &Value) -> String {
    let definition = serde_json::to_string_pretty(definition).unwrap();
    let head = format!("    \"{name}\": {{\n");
    let start = file.find(&head).expect("values.schema.json defines it");
    let end = start + file[start..].find("\n    }").unwrap() + "\n    }".len();
    let definition = definition.replace('\n', "\n    ");
    format!(
        "{}    \"{name}\": {definition}{}",
        &file[..start],
        &file[end..]
    )
}

#[test]
fn the_chart_knows_every_setting() {
    let path = root().join("helm/weir/values.schema.json");
    let mut file = std::fs::read_to_string(&path).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        for component in &COMPONENTS {
            let definition = schema::definition(component);
            file = with_definition(&file, &component.definition_name(), &definition);
        }
        std::fs::write(&path, &file).unwrap();
    }
    let written: Value = serde_json::from_str(&file).unwrap();
    for component in &COMPONENTS {
        let name = component.definition_name();
        assert!(
            written["$defs"][&name] == schema::definition(component),
            "{name} in values.schema.json is old; renew it: \
             UPDATE_DOCS=1 cargo test -p weir-cli --test it chart_settings"
        );
    }
}

#[test]
fn every_key_that_is_set_elsewhere_is_a_setting() {
    for component in &COMPONENTS {
        let known: BTreeSet<String> = component.settings.iter().map(Setting::toml_key).collect();
        for (key, _) in component.elsewhere {
            let is_table = known.iter().any(|k| k.starts_with(&format!("{key}.")));
            assert!(
                is_table || known.contains(*key),
                "{}: {key}",
                component.name
            );
        }
    }
}
