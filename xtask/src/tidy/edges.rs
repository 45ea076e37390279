//! Who may depend on whom.

use super::Violation;
use super::rules::{EDGES, Edges, OUTSIDERS, TESTS_MAY_USE, TESTS_OF_MAY_USE};
use crate::workspace::{Dependency, DependencyKind, Package, Workspace};
use std::path::Path;

const TESTKIT: &str = "weir-testkit";

/// Checks every member's dependency tables; `read_manifest` gives a Cargo.toml for line numbers.
pub(super) fn check(
    workspace: &Workspace,
    read_manifest: impl Fn(&Path) -> String,
) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in &workspace.packages {
        let manifest = read_manifest(&package.manifest_path);
        for (name, rule, why) in broken_edges(package, &workspace.packages) {
            violations.push(Violation {
                file: workspace.relative(&package.manifest_path).to_owned(),
                line: line_of(&manifest, name),
                rule,
                why,
            });
        }
    }
    violations
}

/// For each broken edge: the name to look for in the manifest, the rule, the reason.
fn broken_edges<'a>(
    package: &'a Package,
    members: &[Package],
) -> Vec<(&'a str, String, &'static str)> {
    let name = package.name.as_str();
    let Some(edges) = EDGES.iter().find(|edges| edges.package == name) else {
        let rule = format!("{name} has no row in EDGES of xtask/src/tidy/rules.rs");
        return vec![(
            name,
            rule,
            "a new crate's place among the others is a decision",
        )];
    };
    let is_member = |dependency: &Dependency| members.iter().any(|m| m.name == dependency.name);
    let (inside, outside): (Vec<_>, Vec<_>) =
        package.dependencies.iter().partition(|d| is_member(d));

    let inside = inside.into_iter().filter(|d| !is_allowed(edges, d));
    let inside = inside.map(|d| (d.name.as_str(), describe(name, d), edges.why));
    let outside = outside.into_iter().filter_map(|d| {
        let why = refused_outsider(name, d)?;
        Some((d.name.as_str(), describe(name, d), why))
    });
    inside.chain(outside).collect()
}

fn is_allowed(edges: &Edges, dependency: &Dependency) -> bool {
    let name = dependency.name.as_str();
    let for_tests = dependency.kind == Some(DependencyKind::Dev);
    let test_only = TESTS_MAY_USE.contains(&name)
        || TESTS_OF_MAY_USE.contains(&(edges.package, name))
        || name == edges.package;
    (edges.may_use.contains(&name) && name != TESTKIT) || (for_tests && test_only)
}

fn refused_outsider(package: &str, dependency: &Dependency) -> Option<&'static str> {
    if dependency.kind == Some(DependencyKind::Dev) || dependency.optional {
        return None;
    }
    let name = dependency.name.as_str();
    let refuses = OUTSIDERS.iter().find(|outsiders| {
        outsiders.packages.contains(&package) && outsiders.must_not_use.contains(&name)
    });
    refuses.map(|outsiders| outsiders.why)
}

fn describe(package: &str, dependency: &Dependency) -> String {
    let table = match dependency.kind {
        None => "",
        Some(DependencyKind::Dev) => " (dev)",
        Some(DependencyKind::Build) => " (build)",
    };
    format!("{package} must not depend on {}{table}", dependency.name)
}

/// The line, from 1, that begins with this name; 1 when none does.
fn line_of(manifest: &str, name: &str) -> usize {
    let begins = |line: &str| {
        let rest = line.trim_start().strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with([' ', '.', '=']))
    };
    manifest
        .lines()
        .position(begins)
        .map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, Option<DependencyKind>)]) -> Package {
        let dependency = |&(name, kind): &(&str, _)| Dependency {
            name: str::to_owned(name),
            kind,
            optional: false,
        };
        Package {
            name: name.to_owned(),
            manifest_path: format!("/w/{name}/Cargo.toml").into(),
            dependencies: dependencies.iter().map(dependency).collect(),
            targets: Vec::new(),
        }
    }

    fn refused(name: &str, dependency: &str, kind: Option<DependencyKind>) -> bool {
        let everyone = EDGES.iter().map(|edges| package(edges.package, &[]));
        let members: Vec<_> = everyone.collect();
        !broken_edges(&package(name, &[(dependency, kind)]), &members).is_empty()
    }

    #[test]
    fn edges_of_the_design_stand_and_their_reverses_are_refused() {
        for (upper, lower) in [
            ("weir-protocol", "weir-types"),
            ("weir-commitlog", "weir-types"),
            ("weir-client", "weir-protocol"),
            ("weir-broker", "weir-commitlog"),
            ("weir-broker", "weir-service"),
            ("weir-agent", "weir-client"),
            ("weir-ui", "weir-client"),
            ("weir-cli", "weir-broker"),
        ] {
            assert!(!refused(upper, lower, None), "{upper} → {lower}");
            assert!(refused(lower, upper, None), "{lower} → {upper}");
        }
    }

    #[test]
    fn strangers_to_each_other_stay_so() {
        for (one, other) in [
            ("weir-protocol", "weir-commitlog"),
            ("weir-commitlog", "weir-protocol"),
            ("weir-service", "weir-commitlog"),
            ("weir-client", "weir-commitlog"),
            ("weir-agent", "weir-broker"),
            ("weir-ui", "weir-broker"),
            ("weir-broker", "weir-client"),
        ] {
            assert!(refused(one, other, None), "{one} → {other}");
            assert!(
                refused(one, other, Some(DependencyKind::Build)),
                "{one} → {other}"
            );
        }
    }

    #[test]
    fn testkit_is_for_tests_only() {
        for package in ["weir-broker", "weir-cli", "weir-client", "weir-commitlog"] {
            assert!(refused(package, TESTKIT, None), "{package}");
            assert!(
                refused(package, TESTKIT, Some(DependencyKind::Build)),
                "{package}"
            );
            assert!(
                !refused(package, TESTKIT, Some(DependencyKind::Dev)),
                "{package}"
            );
        }
        assert!(EDGES.iter().all(|edges| !edges.may_use.contains(&TESTKIT)));
    }

    #[test]
    fn tests_may_use_the_client_and_their_own_package_but_no_forbidden_edge() {
        let dev = Some(DependencyKind::Dev);
        assert!(!refused("weir-broker", "weir-client", dev));
        assert!(!refused("weir-commitlog", "weir-commitlog", dev));
        assert!(refused("weir-commitlog", "weir-protocol", dev));
        assert!(refused("weir-agent", "weir-broker", dev));
        assert!(!refused("weir-ui", "weir-broker", dev));
    }

    #[test]
    fn async_and_randomness_stay_out_of_the_lower_crates() {
        assert!(refused("weir-commitlog", "tokio", None));
        assert!(refused("weir-types", "fastrand", None));
        assert!(!refused(
            "weir-commitlog",
            "tokio",
            Some(DependencyKind::Dev)
        ));
        assert!(!refused("weir-broker", "tokio", None));

        let mut behind_a_feature = package("weir-commitlog", &[("fastrand", None)]);
        behind_a_feature.dependencies[0].optional = true;
        assert_eq!(broken_edges(&behind_a_feature, &[]), []);
    }

    #[test]
    fn a_crate_without_a_row_is_reported() {
        let newcomer = package("weir-newcomer", &[]);
        assert_eq!(broken_edges(&newcomer, &[]).len(), 1);
    }

    #[test]
    fn a_violation_points_at_the_line_of_the_dependency() {
        let workspace = Workspace {
            root: "/w".into(),
            target: "/w/target".into(),
            packages: vec![
                package("weir-types", &[("weir-protocol", None)]),
                package("weir-protocol", &[]),
            ],
        };
        let manifest = "[dependencies]\nweir-protocol-x = \"1\"\nweir-protocol.workspace = true\n";
        let violations = check(&workspace, |_| manifest.to_owned());
        assert_eq!(violations.len(), 1);
        assert_eq!(violations[0].file, Path::new("weir-types/Cargo.toml"));
        assert_eq!(violations[0].line, 3);
    }
}
