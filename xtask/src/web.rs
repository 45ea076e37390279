//! The dashboard's page: built by npm into consumer-ui/web/dist, which the binaries embed.

use crate::command_line::CommandLine;
use crate::debian;
use crate::steps::Outcome;
use crate::workspace::Workspace;
use anyhow::bail;
use clap::Args;
use std::path::Path;
use std::time::SystemTime;

const WEB: &str = "consumer-ui/web";
/// Makes a binary without the page a compile error, so that CI cannot ship one.
pub(crate) const REQUIRE_ASSETS: (&str, &str) = ("REQUIRE_UI_ASSETS", "1");

/// Builds the dashboard's page into consumer-ui/web/dist, and runs its tests.
///
/// Needs Node.js 20 and npm. Packages are installed only when package-lock.json changed. Without the
/// page, binaries serve one that says how to build it.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Web {}

impl Web {
    pub(crate) fn run(self, workspace: &Workspace) -> anyhow::Result<()> {
        let Self {} = self;
        build(workspace)?;
        test().map(drop)
    }
}

/// Installs what is missing and builds the page.
///
/// # Errors
/// npm is missing, or failed.
pub(crate) fn build(workspace: &Workspace) -> anyhow::Result<Outcome> {
    if debian::find("npm").is_none() {
        bail!("npm is missing: the dashboard needs Node.js 20 with npm, https://nodejs.org");
    }
    install_packages(workspace, WEB)?;
    npm(WEB, "run build").run()?;
    Ok(Outcome::Passed)
}

/// Installs what package-lock.json of a directory says, unless it is there already.
///
/// # Errors
/// npm failed.
pub(crate) fn install_packages(workspace: &Workspace, directory: &str) -> anyhow::Result<()> {
    if packages_are_old(&workspace.root.join(directory)) {
        npm(directory, "ci --no-audit --no-fund --loglevel=error").run()?;
    }
    Ok(())
}

/// Runs the page's own tests.
///
/// # Errors
/// One failed.
pub(crate) fn test() -> anyhow::Result<Outcome> {
    npm(WEB, "test").run()?;
    Ok(Outcome::Passed)
}

fn npm(directory: &str, arguments: &str) -> CommandLine {
    CommandLine::parse(&format!("npm --prefix {directory} {arguments}"))
}

/// Whether the lock file is newer than what was installed from it.
fn packages_are_old(directory: &Path) -> bool {
    let changed = |name: &str| {
        directory
            .join(name)
            .metadata()
            .and_then(|file| file.modified())
            .ok()
    };
    is_older(
        changed("node_modules/.package-lock.json"),
        changed("package-lock.json"),
    )
}

fn is_older(installed: Option<SystemTime>, locked: Option<SystemTime>) -> bool {
    installed.is_none_or(|installed| locked.is_some_and(|locked| locked > installed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn packages_are_installed_when_the_lock_file_is_newer() {
        let then = SystemTime::UNIX_EPOCH;
        let later = then + Duration::from_secs(1);
        assert!(is_older(None, Some(then)));
        assert!(is_older(Some(then), Some(later)));
        assert!(!is_older(Some(later), Some(then)));
    }
}
