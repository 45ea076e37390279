//! What the images are built from: the commit, and the time that stands in them.

use crate::command_line::CommandLine;
use crate::rfc3339;
use crate::workspace::Workspace;

/// The state of the sources.
pub(crate) struct Source {
    /// Seconds since 1970 that every file and image bears: `SOURCE_DATE_EPOCH`, or the time of the
    /// commit, so that the same commit gives the same bytes.
    pub(crate) epoch: u64,
    /// The commit; empty outside a checkout.
    pub(crate) revision: String,
    /// Where they are published; empty if nobody said so.
    pub(crate) url: String,
}

impl Source {
    pub(crate) fn of(workspace: &Workspace, url: &str) -> Self {
        let git = |arguments: &str| {
            let git = CommandLine::new("git").arg("-C").arg(&workspace.root);
            let printed = git.args(arguments.split(' ')).output();
            printed.map(|text| text.trim().to_owned())
        };
        let told = std::env::var("SOURCE_DATE_EPOCH").ok();
        let epoch = told.or_else(|| git("log -1 --format=%ct"));
        Self {
            epoch: epoch.and_then(|epoch| epoch.parse().ok()).unwrap_or(0),
            revision: git("rev-parse HEAD").unwrap_or_default(),
            url: url.to_owned(),
        }
    }

    /// Its time as labels of images have it.
    pub(crate) fn created(&self) -> String {
        rfc3339::from_millis(self.epoch * 1000)
    }
}
