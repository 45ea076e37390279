//! `cargo xtask tidy`: the rules of this repository that no compiler knows.
//!
//! What the rules are stands in [`rules`], as data with reasons; the other files only apply them.

mod edges;
mod layout;
mod rules;
mod rust_source;
mod text;

use crate::steps::Outcome;
use crate::workspace::Workspace;
use anyhow::{Context, bail};
use clap::Args;
use rust_source::RustSource;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// Checks crate edges, file layout and forbidden text.
///
/// The rules are tables with reasons in xtask/src/tidy/rules.rs: which crate of this workspace may
/// use which, and which outside crates stay out of which; one integration test binary per crate
/// (tests/it/main.rs); names that say nothing (utils, helpers, …); a module doc in every lib.rs,
/// main.rs and mod.rs; no todo!, no ignored tests; no clock and no randomness below the task layer.
/// Each violation says file:line, the rule and why.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Tidy {}

/// One place where a rule is broken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    file: PathBuf,
    /// From 1.
    line: usize,
    rule: String,
    why: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        write!(f, "{file}:{}: {}\n    {}", self.line, self.rule, self.why)
    }
}

impl Tidy {
    pub(crate) fn run(self, workspace: &Workspace) -> anyhow::Result<()> {
        let Self {} = self;
        step(workspace).map(|_| ())
    }
}

/// # Errors
/// When a rule is broken; every violation has been printed.
pub(crate) fn step(workspace: &Workspace) -> anyhow::Result<Outcome> {
    let sources = read_sources(workspace)?;
    let mut violations = edges::check(workspace, |manifest| {
        fs::read_to_string(manifest).unwrap_or_default()
    });
    violations.extend(layout::check_targets(workspace));
    for source in &sources {
        violations.extend(layout::check_source(source));
        violations.extend(text::check(source));
    }
    violations.sort();

    for violation in &violations {
        println!("{violation}");
    }
    let (files, members) = (sources.len(), workspace.packages.len());
    println!("tidy: {files} Rust files, {members} packages");
    match violations.len() {
        0 => Ok(Outcome::Passed),
        count => bail!("{count} rule(s) broken; repeat it with\n\n    cargo xtask tidy\n"),
    }
}

fn read_sources(workspace: &Workspace) -> anyhow::Result<Vec<RustSource>> {
    let mut paths = Vec::new();
    for package in &workspace.packages {
        let directory = package.manifest_path.parent();
        collect_rust_files(directory.unwrap_or(&workspace.root), &mut paths)?;
    }
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(RustSource::new(workspace.relative(&path), &text))
    };
    paths.into_iter().map(read).collect()
}

fn collect_rust_files(directory: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if !is_foreign(&entry.file_name()) {
                collect_rust_files(&path, found)?;
            }
        } else if path.extension() == Some(OsStr::new("rs")) {
            found.push(path);
        }
    }
    Ok(())
}

/// Directories whose content nobody here has written.
fn is_foreign(directory: &OsStr) -> bool {
    let name = directory.to_string_lossy();
    name.starts_with('.') || name == "target" || name == "node_modules"
}
