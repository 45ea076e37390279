//! The Python packages that tests need (clients of the broker, Helm's engine and what judges manifests),
//! pinned by hash, in target/tools/python.

use crate::command_line::CommandLine;
use crate::steps::Outcome;
use crate::workspace::Workspace;
use anyhow::Context;
use clap::Args;
use std::fs;
use std::path::{Path, PathBuf};

/// What to install: every package with its version and the hashes of its files.
const REQUIREMENTS: &str = "xtask/python/requirements.txt";
/// Says what lies beside it, so that nothing is installed twice.
const INSTALLED: &str = "installed.txt";
/// Wheels hold no symbolic links: Helm's engine, 80 MB, comes under three names, of which the package
/// takes the most specific one.
const COPIES: [&str; 2] = [
    "helm_python/lib/libhelm_c.so",
    "helm_python/lib/libhelm_c.so.0",
];

/// Installs the Python packages that tests need (grpcio, Helm's engine, …) into target/tools/python.
///
/// Needs python3 with pip, and 250 MB. Nothing outside target/ is touched, and nothing is installed again
/// before xtask/python/requirements.txt or the version of Python changes.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Python {}

impl Python {
    pub(crate) fn run(self, workspace: &Workspace) -> anyhow::Result<()> {
        let Self {} = self;
        install(workspace).map(drop)
    }
}

/// Installs what is missing.
///
/// # Errors
/// pip is missing, or failed.
pub(crate) fn install(workspace: &Workspace) -> anyhow::Result<Outcome> {
    let packages = workspace.target.join("tools/python");
    let wanted = wanted(workspace)?;
    if is_installed(&packages, &wanted) {
        return Ok(Outcome::Passed);
    }
    if packages.exists() {
        fs::remove_dir_all(&packages).with_context(|| packages.display().to_string())?;
    }
    pip_install(workspace.relative(&packages)).run()?;
    for copy in COPIES {
        let copy = packages.join(copy);
        fs::remove_file(&copy).with_context(|| copy.display().to_string())?;
    }
    // Last: after an installation that was interrupted, the next one begins anew.
    fs::write(packages.join(INSTALLED), wanted)?;
    Ok(Outcome::Passed)
}

/// The requirements, and for which Python: compiled packages fit one version.
fn wanted(workspace: &Workspace) -> anyhow::Result<String> {
    let version = CommandLine::parse("python3 --version").output();
    let version = version.context("python3 cannot be started")?;
    let requirements: PathBuf = workspace.root.join(REQUIREMENTS);
    let requirements = fs::read_to_string(requirements).context(REQUIREMENTS)?;
    Ok(format!("{version}{requirements}"))
}

fn is_installed(packages: &Path, wanted: &str) -> bool {
    let installed = fs::read_to_string(packages.join(INSTALLED));
    installed.is_ok_and(|installed| installed == wanted)
}

fn pip_install(packages: &Path) -> CommandLine {
    CommandLine::parse("python3 -m pip install --quiet --disable-pip-version-check --no-input")
        .args(["--require-hashes", "--only-binary", ":all:", "-r"])
        .args([REQUIREMENTS, "--target"])
        .arg(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_installed_when_the_requirements_or_python_changed() {
        let packages = tempfile::tempdir().unwrap();
        assert!(!is_installed(packages.path(), "Python 3.11\nrequests"));
        fs::write(packages.path().join(INSTALLED), "Python 3.11\nrequests").unwrap();
        assert!(is_installed(packages.path(), "Python 3.11\nrequests"));
        assert!(!is_installed(packages.path(), "Python 3.13\nrequests"));
    }
}
