//! Policies: what must hold for every object of every release, whatever its values.
//!
//! Each is a small pure function over what was rendered. Each has bad examples, edits of the real
//! release that it must catch: a policy that cannot fail protects nobody.

mod bad_examples;
mod connections;
mod containers;
mod disruption;
mod metadata;
mod neighbours;
mod placement;
mod pod_security;
mod selectors;
mod services;
mod shutdown;
mod volumes;

use crate::releases;
use std::fmt;
use weir_chart::Object;

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    object: String,
    what: String,
}

impl Violation {
    fn new(object: &Object, what: impl Into<String>) -> Self {
        Self {
            object: format!("{}/{}", object.kind(), object.name()),
            what: what.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.what)
    }
}

/// One rule over a whole release, with examples that break it.
struct Policy {
    name: &'static str,
    check: fn(&[Object]) -> Vec<Violation>,
    bad: &'static [BadExample],
}

/// An edit of a good release: in the object `Kind/name`, at the pointer, this JSON (`""` removes).
#[derive(Clone, Copy)]
struct BadExample {
    object: &'static str,
    pointer: &'static str,
    json: &'static str,
}

const fn bad(object: &'static str, pointer: &'static str, json: &'static str) -> BadExample {
    BadExample {
        object,
        pointer,
        json,
    }
}

const POLICIES: &[&[Policy]] = &[
    connections::POLICIES,
    containers::POLICIES,
    disruption::POLICIES,
    metadata::POLICIES,
    placement::POLICIES,
    pod_security::POLICIES,
    selectors::POLICIES,
    services::POLICIES,
    shutdown::POLICIES,
    volumes::POLICIES,
];

fn policies() -> impl Iterator<Item = &'static Policy> {
    POLICIES.iter().copied().flatten()
}

/// Applies a rule that looks at one object to all.
fn each(objects: &[Object], rule: fn(&Object) -> Vec<String>) -> Vec<Violation> {
    let violations = objects.iter().flat_map(|object| {
        let found = rule(object).into_iter();
        found.map(move |what| Violation::new(object, what))
    });
    violations.collect()
}

#[test]
fn every_release_keeps_every_policy() {
    let mut broken = Vec::new();
    for (case, rendered) in releases::all() {
        for policy in policies() {
            let violations = (policy.check)(&rendered.objects);
            broken.extend(
                violations
                    .iter()
                    .map(|v| format!("{case}: {}: {v}", policy.name)),
            );
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
