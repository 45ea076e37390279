//! The certificates of the public authorities.

use anyhow::{Context, bail};
use std::fs;
use std::path::Path;

/// What Debian's package ca-certificates brings. Not /etc/ssl/certs, which also has what somebody
/// trusts on this machine, and an image must not.
const AUTHORITIES: &str = "/usr/share/ca-certificates/mozilla";

/// All of them as one PEM file, in a fixed order.
///
/// # Errors
/// The package is not installed.
pub(super) fn bundle() -> anyhow::Result<String> {
    let bundle = bundle_of(Path::new(AUTHORITIES));
    bundle.context("install the Debian package ca-certificates")
}

fn bundle_of(directory: &Path) -> anyhow::Result<String> {
    let shown = || directory.display().to_string();
    let listed = fs::read_dir(directory).with_context(shown)?;
    let mut files: Vec<_> = listed
        .map(|entry| Ok(entry?.path()))
        .collect::<anyhow::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "crt"));
    files.sort();
    let mut bundle = String::new();
    for file in &files {
        let pem = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        bundle.push_str(pem.trim_end());
        bundle.push('\n');
    }
    if bundle.is_empty() {
        bail!("no certificates in {}", shown());
    }
    Ok(bundle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_joined_in_order_of_their_names() {
        let directory = tempfile::tempdir().unwrap();
        assert!(bundle_of(directory.path()).is_err());
        for (name, text) in [
            ("b.crt", "B"),
            ("a.crt", "A\n\n"),
            ("a.txt", "no certificate"),
        ] {
            fs::write(directory.path().join(name), text).unwrap();
        }
        assert_eq!(bundle_of(directory.path()).unwrap(), "A\nB\n");
    }
}
