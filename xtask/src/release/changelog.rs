//! CHANGELOG.md, as far as a release needs it.

/// What stands below `## [version]`, up to the next version.
pub(super) fn section<'a>(changelog: &'a str, version: &str) -> Option<&'a str> {
    let heading = format!("\n## [{version}]");
    let at = changelog.find(&heading)? + 1;
    let (_heading, below) = changelog[at..].split_once('\n')?;
    let end = below.find("\n## [").unwrap_or(below.len());
    let section = below[..end].trim();
    (!section.is_empty()).then_some(section)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_ends_where_the_next_version_begins() {
        let changelog = "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2027-01-01\n\n### Added\n\n- b\n\n## [0.1.0]\n\n- a\n";
        assert_eq!(section(changelog, "0.2.0"), Some("### Added\n\n- b"));
        assert_eq!(section(changelog, "0.1.0"), Some("- a"));
        assert_eq!(section(changelog, "Unreleased"), None);
        assert_eq!(section(changelog, "0.1"), None);
    }
}
