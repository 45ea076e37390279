//! `cargo xtask release`: the files of a release, from what the other tasks have built.

mod changelog;

use crate::command_line::CommandLine;
use crate::images::{Arch, Source, check_static};
use crate::workspace::Workspace;
use anyhow::{Context, bail, ensure};
use clap::Args;
use std::fs;
use std::path::{Path, PathBuf};

/// The binaries of a tarball.
const BINARIES: &[&str] = &["weir", "weir-broker", "weir-agent", "weir-ui"];
/// What lies beside them.
const DOCUMENTS: &[&str] = &[
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "LICENSE-APACHE",
    "LICENSE-MIT",
];
const NOTES: &str = "release-notes.md";
const FILES: &str = "release-files";
const SUMS: &str = "SHA256SUMS";

/// Makes the files of a release: tarballs of the binaries, notes, checksums.
///
/// The tag must name the version of this workspace, and CHANGELOG.md must have a section for it. The
/// binaries are those that `cargo xtask images --files` has laid out. Tarballs are the same, byte for byte,
/// for the same commit. They go to target/release-files; SHA256SUMS there counts all that lies in it,
/// what others have put there included. The changelog's section goes to target/release-notes.md.
///
/// Examples:
///   cargo xtask release --tag v0.1.0 --check                 refuses a wrong tag
///   cargo xtask images --files target/images --arch amd64
///   cargo xtask release --tag v0.1.0 --arch amd64
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Release {
    /// The tag: "v" and the version.
    #[arg(long, value_name = "TAG")]
    tag: String,
    /// Makes a tarball for this architecture; may be given twice.
    #[arg(long, value_enum, value_name = "ARCH")]
    arch: Vec<Arch>,
    /// Only checks the tag and the changelog.
    #[arg(long, conflicts_with = "arch")]
    check: bool,
    /// Where the binaries are: DIR/ARCH/NAME/root/NAME.
    #[arg(long, value_name = "DIR", default_value = "target/images")]
    binaries: PathBuf,
}

impl Release {
    pub(crate) fn run(self, workspace: &Workspace) -> anyhow::Result<()> {
        let version = version_of(&self.tag)?;
        let changelog = fs::read_to_string(workspace.root.join("CHANGELOG.md"))?;
        let notes = changelog::section(&changelog, version)
            .with_context(|| format!("CHANGELOG.md has no section `## [{version}]`"))?;
        if self.check {
            println!(
                "{} is this workspace's version, and the changelog has it",
                self.tag
            );
            return Ok(());
        }
        fs::write(workspace.target.join(NOTES), notes)?;
        let files = workspace.target.join(FILES);
        fs::create_dir_all(&files)?;
        for &arch in &self.arch {
            self.make_tarball(workspace, &files, version, arch)?;
        }
        write_sums(&files)
    }

    fn make_tarball(
        &self,
        workspace: &Workspace,
        files: &Path,
        version: &str,
        arch: Arch,
    ) -> anyhow::Result<()> {
        let name = format!("weir-{version}-linux-{}", arch.name());
        let staging = tempfile::tempdir()?;
        let folder = staging.path().join(&name);
        fs::create_dir(&folder)?;
        for binary in BINARIES {
            let root = self.binaries.join(arch.name()).join(binary).join("root");
            let source = root.join(binary);
            copy_binary(&source, &folder.join(binary), arch)?;
        }
        for document in DOCUMENTS {
            let source = workspace.root.join(document);
            fs::copy(&source, folder.join(document))
                .with_context(|| source.display().to_string())?;
        }
        let tarball = files.join(format!("{name}.tar.gz"));
        let epoch = Source::of(workspace, "").epoch;
        tar_command(&staging, &name, &tarball, epoch).run()
    }
}

/// The version that a tag names, if it is this one.
fn version_of(tag: &str) -> anyhow::Result<&str> {
    let version = tag.strip_prefix('v').context("a tag begins with `v`")?;
    let ours = env!("CARGO_PKG_VERSION");
    ensure!(
        version == ours,
        "{tag} is not v{ours}, the version in Cargo.toml"
    );
    Ok(version)
}

/// Copies a binary, if it is one for this architecture that runs alone.
fn copy_binary(source: &Path, target: &Path, arch: Arch) -> anyhow::Result<()> {
    let arch_name = arch.name();
    check_static(source, arch).with_context(|| {
        format!("`cargo xtask images --files target/images --arch {arch_name}` makes it")
    })?;
    fs::copy(source, target)?;
    Ok(())
}

/// Nothing of this machine goes into it: no owners, no times, no order of a file system.
fn tar_command(staging: &tempfile::TempDir, name: &str, tarball: &Path, epoch: u64) -> CommandLine {
    CommandLine::parse(
        "tar --create --sort=name --owner=0 --group=0 --numeric-owner --mode=u+rw,go=rX",
    )
    .arg(format!("--mtime=@{epoch}"))
    .args(["--use-compress-program", "gzip -9 --no-name"])
    .arg("--file")
    .arg(tarball)
    .arg("--directory")
    .arg(staging.path())
    .arg(name)
}

/// Counts everything in the folder, in the order of the names.
fn write_sums(folder: &Path) -> anyhow::Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name());
    }
    names.retain(|name| name != SUMS);
    names.sort();
    if names.is_empty() {
        bail!("nothing lies in {}: give --arch", folder.display());
    }
    let mut sha256sum = CommandLine::parse("sha256sum").args(names).command();
    let output = sha256sum
        .current_dir(folder)
        .output()
        .context("sha256sum")?;
    ensure!(
        output.status.success(),
        "sha256sum failed: {}",
        output.status
    );
    print!("{}", String::from_utf8_lossy(&output.stdout));
    fs::write(folder.join(SUMS), output.stdout)?;
    Ok(())
}

#[cfg(test)]
mod tests;
