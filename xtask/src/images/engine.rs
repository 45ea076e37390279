//! The program that makes images of laid out files: docker with buildx, or buildah.
//!
//! Both get the laid out files in place of the Dockerfile's stage `files`, so that they run nothing
//! and pull nothing.

use super::arch::Arch;
use super::image::Image;
use super::source::Source;
use crate::command_line::CommandLine;
use crate::debian::{self, Tool};
use std::path::{Path, PathBuf};

const VERSION: &str = env!("CARGO_PKG_VERSION");

const BUILDAH: &[Tool] = &[Tool {
    binary: "buildah",
    package: "buildah",
    needed_for: "images without a Docker daemon",
}];

/// Where the images go.
pub(super) enum Destination {
    /// What docker, or podman and buildah, have on this machine.
    Store,
    /// Files, one for each image.
    Archives(PathBuf),
    /// A registry that the program is logged in to, and the images' tag there.
    Registry { name: String, tag: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    Docker,
    Buildah,
}

impl Engine {
    /// docker where its daemon answers; else buildah, which is installed where it is missing.
    ///
    /// # Errors
    /// There is neither, and no right to install.
    pub(super) fn find() -> anyhow::Result<Self> {
        if CommandLine::parse("docker buildx inspect").succeeds() {
            return Ok(Self::Docker);
        }
        debian::ensure(BUILDAH)?;
        Ok(Self::Buildah)
    }

    /// Makes one image and brings it where it is wanted.
    ///
    /// # Errors
    /// A command failed.
    pub(super) fn make(
        self,
        image: Image,
        arch: Arch,
        files: &Path,
        source: &Source,
        destination: &Destination,
    ) -> anyhow::Result<()> {
        let name = destination.image_name(image);
        self.build(image, arch, files, source, &name).run()?;
        match destination {
            Destination::Store => Ok(()),
            Destination::Archives(directory) => {
                std::fs::create_dir_all(directory)?;
                let file = format!("{}-{VERSION}-linux-{}.tar", image.name(), arch.name());
                self.save(&name, &directory.join(file))
            }
            Destination::Registry { .. } => self.push(&name).run(),
        }
    }

    fn build(
        self,
        image: Image,
        arch: Arch,
        files: &Path,
        source: &Source,
        name: &str,
    ) -> CommandLine {
        let build = match self {
            Self::Docker => CommandLine::parse("docker buildx build --load --provenance=false")
                .arg("--build-arg")
                .arg(format!("SOURCE_DATE_EPOCH={}", source.epoch)),
            // Of the two formats only docker's has health checks. The host's programs cannot run in
            // empty roots, and nothing is run.
            Self::Buildah => CommandLine::parse("buildah build --isolation chroot --format docker")
                .args(["--identity-label=false", "--timestamp"])
                .arg(source.epoch.to_string()),
        };
        let platform = format!("linux/{}", arch.name());
        let mut build = build
            .args(["--platform", &platform, "--target", image.name()])
            .arg("--build-context")
            .arg(format!("files={}", files.display()));
        for argument in arguments(arch, source) {
            build = build.args(["--build-arg", &argument]);
        }
        build.args(["--tag", name, "--file", "Dockerfile", "."])
    }

    fn save(self, name: &str, file: &Path) -> anyhow::Result<()> {
        // buildah adds to an archive that is there.
        if file.exists() {
            std::fs::remove_file(file)?;
        }
        let save = match self {
            Self::Docker => CommandLine::parse("docker save --output")
                .arg(file)
                .arg(name),
            Self::Buildah => CommandLine::parse("buildah push --disable-compression")
                .arg(name)
                .arg(format!("docker-archive:{}:{name}", file.display())),
        };
        save.run()
    }

    fn push(self, name: &str) -> CommandLine {
        match self {
            Self::Docker => CommandLine::parse("docker push").arg(name),
            Self::Buildah => CommandLine::parse("buildah push").arg(name),
        }
    }
}

impl Destination {
    fn image_name(&self, image: Image) -> String {
        match self {
            Self::Store | Self::Archives(_) => format!("{}:{VERSION}", image.name()),
            Self::Registry { name, tag } => {
                format!("{name}/{}:{tag}", image.name())
            }
        }
    }
}

/// The Dockerfile's ARGs. docker knows TARGETARCH by itself, buildah wants to be told.
fn arguments(arch: Arch, source: &Source) -> [String; 5] {
    [
        format!("TARGETARCH={}", arch.name()),
        format!("VERSION={VERSION}"),
        format!("REVISION={}", source.revision),
        format!("SOURCE={}", source.url),
        format!("CREATED={}", source.created()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_named_by_where_it_goes() {
        let name = |destination: Destination| destination.image_name(Image::Weir);
        assert_eq!(name(Destination::Store), format!("weir:{VERSION}"));
        let registry = Destination::Registry {
            name: "ghcr.io/owner".to_owned(),
            tag: "1.0-arm64".to_owned(),
        };
        assert_eq!(name(registry), "ghcr.io/owner/weir:1.0-arm64");
    }

    #[test]
    fn the_files_are_put_in_place_of_the_stage_that_builds_them() {
        let source = Source {
            epoch: 7,
            revision: "abc".to_owned(),
            url: String::new(),
        };
        for engine in [Engine::Docker, Engine::Buildah] {
            let files = Path::new("target/images");
            let build = engine.build(Image::WeirUi, Arch::Amd64, files, &source, "weir-ui:1");
            let build = build.to_string();
            assert!(
                build.contains("--build-context files=target/images"),
                "{build}"
            );
            assert!(build.contains("--target weir-ui"), "{build}");
            assert!(
                build.contains("CREATED=1970-01-01T00:00:07.000Z"),
                "{build}"
            );
        }
    }
}
