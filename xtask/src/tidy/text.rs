//! Text that must not occur in code.

use super::Violation;
use super::rules::{FORBIDDEN, Forbidden, InTests};
use super::rust_source::{CodeLine, RustSource};
use std::path::Path;

pub(super) fn check(source: &RustSource) -> Vec<Violation> {
    let mut violations = Vec::new();
    for rule in FORBIDDEN
        .iter()
        .filter(|rule| applies_to(rule, &source.path))
    {
        for line in source.lines.iter().filter(|line| concerns(rule, line)) {
            let broken = rule
                .text
                .iter()
                .filter(|text| contains(&line.code, text, rule.unless));
            violations.extend(broken.map(|text| Violation {
                file: source.path.clone(),
                line: line.number,
                rule: format!("`{text}` must not occur here"),
                why: rule.why,
            }));
        }
    }
    violations
}

fn applies_to(rule: &Forbidden, path: &Path) -> bool {
    rule.within.is_empty() || rule.within.iter().any(|place| path.starts_with(place))
}

fn concerns(rule: &Forbidden, line: &CodeLine) -> bool {
    rule.tests == InTests::Forbidden || !line.is_test
}

/// Whether `text` occurs where it does not continue an identifier, as `rand::` does in
/// `fastrand::`, and does not begin one of the longer texts.
fn contains(code: &str, text: &str, unless: &[&str]) -> bool {
    let excused = |at: usize| unless.iter().any(|longer| code[at..].starts_with(longer));
    let continues = |at: usize| {
        let left = code[..at].chars().next_back();
        left.is_some_and(|c| c.is_alphanumeric() || c == '_')
    };
    let mut found = code.match_indices(text);
    found.any(|(at, _)| !continues(at) && !excused(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOWHERE: [usize; 0] = [];

    fn broken_lines(path: &str, text: &str) -> Vec<usize> {
        let violations = check(&RustSource::new(Path::new(path), text));
        violations.iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn every_forbidden_text_is_found() {
        for rule in FORBIDDEN {
            for text in rule.text {
                let path = format!("{}/src/x.rs", rule.within.first().unwrap_or(&"broker"));
                let code = format!("fn f() {{}}\n{text}\n");
                assert_eq!(broken_lines(&path, &code), [2], "{text} in {path}");
            }
        }
    }

    #[test]
    fn comments_and_strings_may_speak_of_it() {
        let text = "// todo!()\n/* todo!() */\nlet x = \"todo!()\";\nlet y = r#\"todo!()\"#;\n";
        assert_eq!(broken_lines("broker/src/x.rs", text), NOWHERE);
    }

    #[test]
    fn the_clock_is_read_only_above_and_in_tests() {
        let now = "fn f() { Instant::now(); }\n";
        assert_eq!(broken_lines("crates/commitlog/src/segment.rs", now), [1]);
        assert_eq!(broken_lines("broker/src/group/partition/x.rs", now), [1]);
        assert_eq!(broken_lines("broker/src/group/partition.rs", now), [1]);
        assert_eq!(broken_lines("broker/src/group/task.rs", now), NOWHERE);
        assert_eq!(broken_lines("crates/service/src/clock.rs", now), NOWHERE);
        assert_eq!(
            broken_lines("crates/commitlog/tests/it/model.rs", now),
            NOWHERE
        );
        let tested = format!("#[cfg(test)]\nmod tests {{\n{now}}}\n{now}");
        assert_eq!(broken_lines("crates/types/src/offset.rs", &tested), [5]);
    }

    #[test]
    fn a_longer_identifier_is_something_else() {
        assert!(contains("rand::random()", "rand::", &[]));
        assert!(contains("<rand::Rng>", "rand::", &[]));
        assert!(!contains("fastrand::u64(..)", "rand::", &[]));
        assert!(!contains("my_todo!()", "todo!(", &[]));
    }

    #[test]
    fn a_seeded_generator_is_deterministic_and_allowed() {
        let path = "crates/commitlog/src/fs/faulty.rs";
        assert_eq!(broken_lines(path, "fastrand::Rng::with_seed(1)"), NOWHERE);
        assert_eq!(broken_lines(path, "fastrand::Rng::new()"), [1]);
        assert_eq!(broken_lines(path, "fastrand::u64(..)"), [1]);
    }
}
