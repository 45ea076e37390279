//! The files of each image, as the Dockerfile's last stages copy them.
//!
//! `<base>/<arch>/<image>/root` becomes the root and belongs to root; `<base>/<arch>/<image>/data` is
//! laid over it and belongs to whom the image runs as. Every file has a fixed mode and time.

use super::arch::Arch;
use super::certificates;
use super::image::Image;
use anyhow::Context;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const PASSWD: &str = "root:x:0:0:root:/:/sbin/nologin
nobody:x:65534:65534:nobody:/:/sbin/nologin
nonroot:x:65532:65532:nonroot:/:/sbin/nologin
";
const GROUP: &str = "root:x:0:
nobody:x:65534:
nonroot:x:65532:
";
const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";

const DIRECTORY_MODE: u32 = 0o755;
/// Messages are nobody else's business.
const DATA_DIRECTORY_MODE: u32 = 0o750;

/// Where the files of one kind of machine's images lie.
pub(super) struct Layout {
    base: PathBuf,
}

impl Layout {
    pub(super) fn new(base: &Path, arch: Arch) -> Self {
        let base = base.join(arch.name());
        Self { base }
    }

    /// The files that belong to root.
    pub(super) fn root(&self, image: Image) -> PathBuf {
        self.base.join(image.name()).join("root")
    }

    /// The directories that belong to the image's user; it need not exist.
    pub(super) fn data(&self, image: Image) -> PathBuf {
        self.base.join(image.name()).join("data")
    }

    /// Replaces what was there.
    ///
    /// # Errors
    /// Something cannot be written, or there are no certificates on this machine.
    pub(super) fn lay_out(&self, image: Image, binary: &Path, epoch: u64) -> anyhow::Result<()> {
        let whole = self.base.join(image.name());
        if whole.exists() {
            fs::remove_dir_all(&whole).with_context(|| whole.display().to_string())?;
        }
        let root = self.root(image);
        let executable = fs::read(binary).with_context(|| binary.display().to_string())?;
        write(&root, image.name(), &executable, 0o755)?;
        for (file, text) in [("etc/passwd", PASSWD), ("etc/group", GROUP)] {
            write(&root, file, text.as_bytes(), 0o644)?;
        }
        if image.has_certificates() {
            write(
                &root,
                CERTIFICATES,
                certificates::bundle()?.as_bytes(),
                0o644,
            )?;
        }
        if let Some(directory) = image.data_directory() {
            make_directories(&self.data(image), Path::new(directory))?;
            let directory = self.data(image).join(directory);
            fs::set_permissions(directory, Permissions::from_mode(DATA_DIRECTORY_MODE))?;
        }
        set_times(&whole, SystemTime::UNIX_EPOCH + Duration::from_secs(epoch))
    }
}

fn write(root: &Path, file: &str, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    let file = Path::new(file);
    make_directories(root, file.parent().unwrap_or(Path::new("")))?;
    let path = root.join(file);
    fs::write(&path, bytes).with_context(|| path.display().to_string())?;
    Ok(fs::set_permissions(path, Permissions::from_mode(mode))?)
}

/// Each with the same mode, whatever the umask.
fn make_directories(root: &Path, below: &Path) -> anyhow::Result<()> {
    let all = root.join(below);
    fs::create_dir_all(&all).with_context(|| all.display().to_string())?;
    let within = all
        .ancestors()
        .take_while(|directory| directory.starts_with(root));
    for directory in within {
        fs::set_permissions(directory, Permissions::from_mode(DIRECTORY_MODE))?;
    }
    Ok(())
}

/// Directories last: what is written into them changes theirs.
fn set_times(path: &Path, time: SystemTime) -> anyhow::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            set_times(&entry?.path(), time)?;
        }
    }
    Ok(File::open(path)?.set_modified(time)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_fixed_modes_and_times() {
        let base = tempfile::tempdir().unwrap();
        let binary = base.path().join("built");
        fs::write(&binary, "binary").unwrap();
        let layout = Layout::new(base.path(), Arch::Arm64);
        for _twice in 0..2 {
            layout
                .lay_out(Image::WeirUi, &binary, 1_700_000_000)
                .unwrap();
        }

        let root = layout.root(Image::WeirUi);
        assert_eq!(root, base.path().join("arm64/weir-ui/root"));
        assert!(!layout.data(Image::WeirUi).exists());
        assert!(!root.join(CERTIFICATES).exists());
        for (file, mode) in [
            ("weir-ui", 0o755),
            ("etc", 0o755),
            ("etc/passwd", 0o644),
            ("", 0o755),
        ] {
            let metadata = root.join(file).metadata().unwrap();
            assert_eq!(metadata.permissions().mode() & 0o7777, mode, "{file}");
            let age = metadata
                .modified()
                .unwrap()
                .duration_since(SystemTime::UNIX_EPOCH);
            assert_eq!(age.unwrap().as_secs(), 1_700_000_000, "{file}");
        }
    }

    #[test]
    fn a_data_directory_is_for_its_user_alone() {
        let root = tempfile::tempdir().unwrap();
        make_directories(root.path(), Path::new("app/data")).unwrap();
        let mode = |path: &str| {
            root.path()
                .join(path)
                .metadata()
                .unwrap()
                .permissions()
                .mode()
        };
        assert_eq!(mode("app") & 0o7777, DIRECTORY_MODE);
        assert_eq!(Image::WeirBroker.data_directory(), Some("app/data"));
    }
}
