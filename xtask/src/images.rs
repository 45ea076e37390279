//! `cargo xtask images`: static binaries, the file trees of the images, and the images themselves.
//!
//! What an image declares (user, variables, ports, health check) stands in the Dockerfile and nowhere
//! else; the checks here read it from there.

mod arch;
mod binaries;
mod certificates;
mod check;
mod dockerfile;
mod elf;
mod engine;
mod image;
mod layout;
mod sizes;
mod source;

use crate::debian;
use crate::web;
use crate::workspace::Workspace;
use anyhow::bail;
pub(crate) use arch::Arch;
use clap::Args;
pub(crate) use elf::check_static;
use engine::{Destination, Engine};
use image::Image;
use layout::Layout;
pub(crate) use source::Source;
use std::path::{Path, PathBuf};

/// Builds the container images from static binaries, and says what they weigh.
///
/// Lays the files of each image out in target/images/ARCH/IMAGE, after a look into each binary
/// that it needs no other file to run, and lets docker or buildah make images of them, whichever is
/// installed (buildah is, where none is and we may). The images are then in that program's store.
///
/// Examples:
///   cargo xtask images
///   cargo xtask images --image weir-agent --check
///   cargo xtask images --archives target/images/archives
///   cargo xtask images --push registry.example.org/weir
///   cargo xtask images --arch arm64 --push registry.example.org/weir --tag 0.1.0-arm64
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Images {
    /// Only this image; may be given several times.
    #[arg(long = "image", value_name = "NAME", value_enum)]
    images: Vec<Image>,
    /// The machines it is for; another one's than this needs a cross compiler, which is installed.
    #[arg(long, value_enum, default_value_t = Arch::of_this_machine())]
    arch: Arch,
    /// Only lays the files out, in DIR instead of target/images; the Dockerfile does this.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["check", "archives", "push"])]
    files: Option<PathBuf>,
    /// Takes consumer-ui/web/dist as it is instead of building the dashboard's page.
    #[arg(long)]
    prebuilt_page: bool,
    /// Builds no images, but runs each binary in an otherwise empty root, as its image's user: it must
    /// start, answer, find names by DNS and authorities' certificates, tell its health, and stop.
    /// Needs root, and a processor of the images' kind.
    #[arg(long, conflicts_with_all = ["archives", "push"])]
    check: bool,
    /// Also writes each image to DIR, as `docker load` and `kind load image-archive` read it.
    #[arg(long, value_name = "DIR", conflicts_with = "push")]
    archives: Option<PathBuf>,
    /// Pushes the images to REGISTRY/IMAGE:TAG.
    #[arg(long, value_name = "REGISTRY")]
    push: Option<String>,
    /// The tag under which they are pushed: of the version's own there is one, for one kind of machine.
    #[arg(long, requires = "push", default_value = env!("CARGO_PKG_VERSION"))]
    tag: String,
    /// Where the sources are to be found, for the images' labels.
    #[arg(long, value_name = "URL", default_value = "")]
    source_url: String,
    /// What `--check` runs in namespaces of its own.
    #[arg(long, hide = true)]
    inside: bool,
}

impl Images {
    pub(crate) fn run(self, workspace: &Workspace) -> anyhow::Result<()> {
        let base = self.files.clone();
        let base = base.unwrap_or_else(|| workspace.target.join("images"));
        let layout = Layout::new(&base, self.arch);
        let images = self.chosen();
        if self.inside {
            return check::inside(workspace, &layout, &images);
        }
        if self.check && !rustix::process::geteuid().is_root() {
            bail!("--check makes namespaces and empty roots, and so needs root");
        }
        debian::ensure(self.arch.tools())?;
        let source = Source::of(workspace, &self.source_url);
        self.lay_out(workspace, &layout, &source)?;
        println!("\n{}", sizes::table(&layout, &images, source.epoch)?);
        if self.check {
            return check::outside(self.arch, &images);
        }
        if self.files.is_none() {
            self.make_images(&base, &source)?;
        }
        Ok(())
    }

    fn chosen(&self) -> Vec<Image> {
        match self.images.is_empty() {
            true => Image::ALL.to_vec(),
            false => self.images.clone(),
        }
    }

    fn lay_out(
        &self,
        workspace: &Workspace,
        layout: &Layout,
        source: &Source,
    ) -> anyhow::Result<()> {
        let images = self.chosen();
        if !self.prebuilt_page && images.iter().any(|image| image.has_page()) {
            web::build(workspace)?;
        }
        for image in images {
            let binary = binaries::build(workspace, image, self.arch)?;
            check_static(&binary, self.arch)?;
            layout.lay_out(image, &binary, source.epoch)?;
        }
        Ok(())
    }

    fn make_images(&self, files: &Path, source: &Source) -> anyhow::Result<()> {
        let engine = Engine::find()?;
        let destination = match (&self.archives, &self.push) {
            (Some(directory), _) => Destination::Archives(directory.clone()),
            (None, Some(registry)) => Destination::Registry {
                name: registry.clone(),
                tag: self.tag.clone(),
            },
            (None, None) => Destination::Store,
        };
        for image in self.chosen() {
            engine.make(image, self.arch, files, source, &destination)?;
        }
        Ok(())
    }
}
