//! A release on a cluster of one node: its pods, and the names by which they find each other.

use super::container::Identity;
use super::node::Node;
use super::pod::{Plan, Pod};
use super::spec::PodSpec;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::rc::Rc;
use weir_chart::{Object, Rendered};

pub(super) struct Cluster {
    release: Rendered,
    node: Rc<Node>,
    hosts: String,
    pub(super) pods: Vec<Pod>,
    addresses: usize,
}

impl Cluster {
    /// Starts every pod of a release but for its tests, and waits until all of them take work.
    pub(super) fn start(release: Rendered) -> Self {
        let node = Rc::new(Node::boot());
        let mut addresses = 0;
        let mut plans = Vec::new();
        for object in release.objects.iter().filter(|object| !object.is_hook()) {
            for (name, labels) in pods_of(object) {
                addresses += 1;
                plans.push(plan(object, name, labels, addresses));
            }
        }
        let hosts = hosts(&release, &plans);
        let start = |plan| Pod::start(&node, &release, plan, &hosts);
        let mut pods: Vec<_> = plans.into_iter().map(start).collect();
        pods.iter_mut().for_each(Pod::wait_until_ready);
        Self {
            release,
            node,
            hosts,
            pods,
            addresses,
        }
    }

    /// The first pod of a component.
    pub(super) fn pod(&self, component: &str) -> &Pod {
        let is_of = |pod: &&Pod| pod.component() == component;
        let found = self.pods.iter().find(is_of);
        found.unwrap_or_else(|| panic!("no pod of {component}"))
    }

    /// The same, to do something to it.
    pub(super) fn pod_mut(&mut self, component: &str) -> &mut Pod {
        let is_of = |pod: &&mut Pod| pod.component() == component;
        let found = self.pods.iter_mut().find(is_of);
        found.unwrap_or_else(|| panic!("no pod of {component}"))
    }

    /// Runs the pods of `helm test`, one after the other, and returns what they said; all must succeed.
    pub(super) fn helm_test(&mut self) -> String {
        let is_test = |object: &&Object| object.is_hook() && object.kind() == "Pod";
        let tests: Vec<_> = self
            .release
            .objects
            .iter()
            .filter(is_test)
            .cloned()
            .collect();
        assert!(!tests.is_empty(), "the chart has no test");
        let mut said = String::new();
        for object in tests {
            self.addresses += 1;
            let labels = text_map(object.at("/metadata/labels"));
            let plan = plan(&object, object.name().to_owned(), labels, self.addresses);
            let mut pod = Pod::start(&self.node, &self.release, plan, &self.hosts);
            let ended = pod.wait();
            assert!(ended.success(), "{}: {ended}", object.name());
            said += &pod.log();
        }
        said
    }
}

impl Pod {
    /// Which part of Weir it is.
    pub(super) fn component(&self) -> &str {
        &self.identity.labels["app.kubernetes.io/component"]
    }
}

/// Names and labels of the pods that a controller makes of an object.
fn pods_of(object: &Object) -> Vec<(String, BTreeMap<String, String>)> {
    let count = match object.kind() {
        "StatefulSet" | "Deployment" => object.at("/spec/replicas").as_u64().expect("replicas"),
        "DaemonSet" => 1,
        _ => 0,
    };
    let labels = text_map(object.at("/spec/template/metadata/labels"));
    let pod = |index: u64| {
        let (name, mut labels) = (format!("{}-{index}", object.name()), labels.clone());
        if object.kind() == "StatefulSet" {
            let pod_name = "statefulset.kubernetes.io/pod-name".to_owned();
            labels.insert(pod_name, name.clone());
            let pod_index = "apps.kubernetes.io/pod-index".to_owned();
            labels.insert(pod_index, index.to_string());
        }
        (name, labels)
    };
    (0..count).map(pod).collect()
}

fn plan(object: &Object, name: String, labels: BTreeMap<String, String>, number: usize) -> Plan {
    let identity = Identity {
        name,
        namespace: object.namespace().to_owned(),
        labels,
        address: format!("10.244.0.{}", number + 1),
    };
    let spec = object.pod().and_then(|pod| pod.get("spec"));
    Plan {
        identity,
        spec: PodSpec::of(spec.expect("a pod")),
        number,
    }
}

/// The names of the services, and of pods behind headless ones. There are no virtual addresses: a service's
/// name leads to its pods, so its ports must be theirs.
fn hosts(release: &Rendered, plans: &[Plan]) -> String {
    let mut hosts = "127.0.0.1 localhost\n".to_owned();
    for service in release.objects.iter().filter(|o| o.kind() == "Service") {
        let name = format!("{}.{}.svc", service.name(), service.namespace());
        let selector = text_map(service.at("/spec/selector"));
        for plan in plans.iter().filter(|plan| is_selected(plan, &selector)) {
            expect_same_ports(service, plan);
            let Identity {
                name: pod, address, ..
            } = &plan.identity;
            writeln!(hosts, "{address} {name} {name}.cluster.local").unwrap();
            if service.text_at("/spec/clusterIP") == "None" {
                writeln!(hosts, "{address} {pod}.{name}").unwrap();
            }
        }
    }
    hosts
}

fn is_selected(plan: &Plan, selector: &BTreeMap<String, String>) -> bool {
    let labels = &plan.identity.labels;
    selector
        .iter()
        .all(|(name, value)| labels.get(name) == Some(value))
}

fn expect_same_ports(service: &Object, plan: &Plan) {
    let container = plan.spec.container();
    for port in service.at("/spec/ports").as_array().unwrap() {
        let target = container.port(port["targetPort"].as_str().expect("a name"));
        assert_eq!(port["port"], target, "{}", service.name());
    }
}

fn text_map(map: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(map.clone()).unwrap_or_default()
}
