use super::steps::{Passed, Step, Steps, Trouble};
use crate::failure::Failure;
use weir_client::{Client, ClientError};

const NODE: Step = Step {
    name: "node",
    advice: "whether an agent runs on the node, its log, and `weir tail host.cpu`",
};

/// weir-ui has this family only of nodes whose agent sent something lately.
const FAMILY: &str = "node_time_seconds{instance=\"";

/// Waits until weir-ui has figures of a node.
pub(super) struct NodeWatch {
    ui: Client,
    /// Any will do if it is `None`.
    node: Option<String>,
}

impl NodeWatch {
    pub(super) const fn new(ui: Client, node: Option<String>) -> Self {
        Self { ui, node }
    }

    pub(super) async fn run(&self, steps: &Steps) -> Result<(), Failure> {
        let seen = steps.until_it_works(async || self.look().await);
        steps.run(NODE, seen).await
    }

    async fn look(&self) -> Result<Passed<()>, Trouble> {
        let page = self.ui.metrics().await;
        let page = page.map_err(|error| Trouble::new(&error, self.reason(&error)))?;
        let nodes: Vec<_> = nodes(&page).collect();
        match nodes.iter().find(|seen| self.wants(seen)) {
            Some(node) => {
                let detail = format!("weir-ui at {} has figures of {node}", self.ui.authority());
                Ok(Passed::new((), detail))
            }
            None => Err(Trouble::Passing(self.missing(&nodes))),
        }
    }

    fn wants(&self, seen: &str) -> bool {
        self.node.as_ref().is_none_or(|node| escaped(node) == seen)
    }

    fn missing(&self, seen: &[&str]) -> String {
        let wanted = self.node.as_deref().unwrap_or("any node");
        let ui = self.ui.authority();
        match seen {
            [] => format!("weir-ui at {ui} has no current figures of {wanted}"),
            [first, ..] => {
                let count = seen.len();
                format!(
                    "weir-ui at {ui} has figures of {count} nodes, {first} among them, but not of {wanted}"
                )
            }
        }
    }

    /// The client's errors speak of a broker.
    fn reason(&self, error: &ClientError) -> String {
        let ui = self.ui.authority();
        match error {
            ClientError::Unreachable { reason, .. } | ClientError::Interrupted { reason, .. } => {
                format!("cannot reach weir-ui at {ui}: {reason}")
            }
            ClientError::TimedOut { .. } => format!("weir-ui at {ui} does not answer in time"),
            ClientError::Malformed { status, .. } => {
                format!("http://{ui}/metrics is not weir-ui's page (status {status})")
            }
            other => other.to_string(),
        }
    }
}

/// The names as the page has them: escaped.
fn nodes(page: &str) -> impl Iterator<Item = &str> {
    page.lines().filter_map(|line| {
        let (node, _value) = line.strip_prefix(FAMILY)?.rsplit_once("\"} ")?;
        Some(node)
    })
}

fn escaped(node: &str) -> String {
    let node = node.replace('\\', "\\\\").replace('"', "\\\"");
    node.replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# TYPE agent_up gauge
agent_up{instance=\"silent\"} 0
# TYPE node_time_seconds gauge
node_time_seconds{instance=\"a\"} 1.7e9
node_time_seconds{instance=\"q\\\"} \\\\\"} 1.7e9
";

    fn watch(node: Option<&str>) -> NodeWatch {
        let ui = Client::new("http://ui:8080", weir_client::ClientOptions::default());
        NodeWatch::new(ui.unwrap(), node.map(str::to_owned))
    }

    #[test]
    fn nodes_with_current_figures_are_found_by_name() {
        let seen: Vec<_> = nodes(PAGE).collect();
        assert_eq!(seen.len(), 2);
        for (node, is_there) in [("a", true), ("q\"} \\", true), ("silent", false)] {
            let watch = watch(Some(node));
            assert_eq!(
                seen.iter().any(|seen| watch.wants(seen)),
                is_there,
                "{node}"
            );
        }
        assert!(watch(None).wants("a"));
    }

    #[test]
    fn a_missing_node_is_named_beside_one_that_is_there() {
        let told = watch(Some("b")).missing(&["a", "c"]);
        let expected = "weir-ui at ui:8080 has figures of 2 nodes, a among them, but not of b";
        assert_eq!(told, expected);
        assert!(
            watch(None)
                .missing(&[])
                .ends_with("no current figures of any node")
        );
    }
}
