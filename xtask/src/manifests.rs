//! `cargo xtask manifests`: what is made from the Helm chart and committed.

use crate::steps::Outcome;
use crate::workspace::Workspace;
use crate::{python, web};
use anyhow::{Context, bail};
use clap::Args;
use std::fs;
use weir_chart::generated;

/// Schemas that tests judge the chart's custom resources by, from npm.
const SCHEMAS: &str = "helm/tests/custom-resources";

/// Makes k8s/ and other files from the Helm chart.
///
/// These are k8s/*.yaml, the table of values in helm/weir/README.md, and helm/weir/files/, copies of
/// dashboards/. Installs what this and the chart's tests need: Python packages into target/tools/python,
/// npm packages into helm/tests/custom-resources. A test fails while a file is not as it would be made.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Manifests {
    /// Change nothing, and fail if anything would change.
    #[arg(long)]
    check: bool,
}

impl Manifests {
    pub(crate) fn run(self, workspace: &Workspace) -> anyhow::Result<()> {
        python::install(workspace)?;
        install_schemas(workspace)?;
        let stale = generated::stale_files()?;
        for file in &stale {
            println!("{}", file.path.display());
        }
        if self.check && !stale.is_empty() {
            bail!("not as the chart makes them; make them with\n\n    cargo xtask manifests\n");
        }
        for file in stale {
            let path = workspace.root.join(&file.path);
            write(&path, &file.text).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }
}

fn write(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(path, text)
}

/// Installs the schemas that tests need, if they are not there.
///
/// # Errors
/// npm failed.
pub(crate) fn install_schemas(workspace: &Workspace) -> anyhow::Result<Outcome> {
    web::install_packages(workspace, SCHEMAS)?;
    Ok(Outcome::Passed)
}
