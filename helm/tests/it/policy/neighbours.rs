//! Several releases in one cluster.

use crate::releases;
use serde_json::json;
use std::collections::BTreeSet;
use weir_chart::{Object, Request, render_all};

/// Release and namespace of each.
const NEIGHBOURS: [(&str, &str); 4] = [
    ("weir", "weir"),
    ("weir", "shop"),
    ("metrics", "weir"),
    ("weir-broker", "weir"),
];

#[test]
fn releases_share_no_object_and_no_pod() {
    let requests = NEIGHBOURS.map(|(release, namespace)| Request {
        release: release.to_owned(),
        namespace: namespace.to_owned(),
        ..releases::everything().with(json!({"namespace": {"create": false}}))
    });
    let rendered = render_all(&requests).unwrap().into_iter();
    let objects: Vec<_> = rendered.flat_map(|r| r.unwrap().objects).collect();
    let names = objects.iter().map(|o| (o.kind(), o.namespace(), o.name()));
    assert_eq!(names.collect::<BTreeSet<_>>().len(), objects.len());
    let workloads = objects
        .iter()
        .filter(|o| o.at("/spec/template").is_object());
    let selectors = workloads.map(|o| (o.namespace(), selector(o)));
    assert_eq!(
        selectors.collect::<BTreeSet<_>>().len(),
        3 * NEIGHBOURS.len()
    );
}

fn selector(object: &Object) -> String {
    object.at("/spec/selector").to_string()
}
