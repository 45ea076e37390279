//! Where files are and what they are called.

use super::Violation;
use super::rules::{
    DOCUMENTED_FILES, DOCUMENTED_FILES_WHY, EMPTY_NAMES, EMPTY_NAMES_WHY, TEST_BINARY,
    TEST_BINARY_WHY,
};
use super::rust_source::RustSource;
use crate::workspace::{Target, Workspace};
use std::path::Path;

/// One integration test binary per package.
pub(super) fn check_targets(workspace: &Workspace) -> Vec<Violation> {
    let targets = workspace
        .packages
        .iter()
        .flat_map(|package| &package.targets);
    let stray = targets.filter(|target| is_test(target) && !target.src_path.ends_with(TEST_BINARY));
    let violation = |target: &Target| Violation {
        file: workspace.relative(&target.src_path).to_owned(),
        line: 1,
        rule: format!("integration tests live under {TEST_BINARY}"),
        why: TEST_BINARY_WHY,
    };
    stray.map(violation).collect()
}

fn is_test(target: &Target) -> bool {
    target.kind.iter().any(|kind| kind == "test")
}

/// Names that say something, and module docs where they are owed.
pub(super) fn check_source(source: &RustSource) -> Vec<Violation> {
    let violation = |rule: String, why| Violation {
        file: source.path.clone(),
        line: 1,
        rule,
        why,
    };
    let mut violations = Vec::new();
    if let Some(name) = empty_name(&source.path) {
        let rule = format!("nothing is named `{name}`");
        violations.push(violation(rule, EMPTY_NAMES_WHY));
    }
    let documented = DOCUMENTED_FILES
        .iter()
        .any(|name| source.path.ends_with(name));
    if documented && !source.begins_with_module_doc {
        let rule = "the file begins with a module doc (`//!`)".to_owned();
        violations.push(violation(rule, DOCUMENTED_FILES_WHY));
    }
    violations
}

fn empty_name(path: &Path) -> Option<&'static str> {
    let stem = path.with_extension("");
    let mut parts = stem.iter().map(|part| part.to_string_lossy());
    parts.find_map(|part| EMPTY_NAMES.iter().find(|&&name| name == part).copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Package;

    #[test]
    fn only_one_integration_binary_is_accepted() {
        let target = |kind: &str, path: &str| Target {
            kind: vec![kind.to_owned()],
            src_path: path.into(),
        };
        let workspace = Workspace {
            root: "/w".into(),
            target: "/w/target".into(),
            packages: vec![Package {
                name: "weir-broker".to_owned(),
                manifest_path: "/w/broker/Cargo.toml".into(),
                dependencies: Vec::new(),
                targets: vec![
                    target("lib", "/w/broker/src/lib.rs"),
                    target("test", "/w/broker/tests/it/main.rs"),
                    target("test", "/w/broker/tests/publish.rs"),
                ],
            }],
        };
        let violations = check_targets(&workspace);
        assert_eq!(violations.len(), 1);
        assert_eq!(violations[0].file, Path::new("broker/tests/publish.rs"));
    }

    fn rules_broken(path: &str, text: &str) -> usize {
        check_source(&RustSource::new(Path::new(path), text)).len()
    }

    #[test]
    fn names_that_say_nothing_are_refused_as_files_and_as_folders() {
        assert_eq!(rules_broken("broker/src/utils.rs", ""), 1);
        assert_eq!(rules_broken("broker/tests/it/common/server.rs", ""), 1);
        assert_eq!(rules_broken("broker/src/utilization.rs", ""), 0);
    }

    #[test]
    fn a_file_that_opens_a_folder_begins_with_its_doc() {
        assert_eq!(
            rules_broken("cli/src/main.rs", "\n//! The command line.\n"),
            0
        );
        assert_eq!(
            rules_broken("cli/src/main.rs", "// A comment.\n//! Doc.\n"),
            0
        );
        assert_eq!(rules_broken("cli/src/main.rs", "fn main() {}\n"), 1);
        assert_eq!(rules_broken("cli/src/main.rs", ""), 1);
        assert_eq!(rules_broken("cli/src/produce.rs", "fn produce() {}\n"), 0);
    }
}
