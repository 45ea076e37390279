use super::*;
use crate::workspace::Workspace;

/// Four files that look like static binaries of this architecture: a header, and nothing to load.
fn fake_binaries(folder: &Path, arch: Arch) {
    let mut content = [0; 64];
    content[..6].copy_from_slice(b"\x7fELF\x02\x01");
    content[18..20].copy_from_slice(&arch.elf_machine().to_le_bytes());
    for binary in BINARIES {
        let folder = folder.join(arch.name()).join(binary).join("root");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(binary), content).unwrap();
    }
}

/// A release of this version in `target`.
fn release(target: &Path) -> anyhow::Result<()> {
    let changelog = format!("\n## [{}]\n\n- all\n", env!("CARGO_PKG_VERSION"));
    for document in DOCUMENTS {
        fs::write(target.join(document), &changelog)?;
    }
    let workspace = Workspace {
        root: target.to_owned(),
        target: target.to_owned(),
        packages: Vec::new(),
    };
    let release = Release {
        tag: format!("v{}", env!("CARGO_PKG_VERSION")),
        arch: vec![Arch::Amd64, Arch::Arm64],
        check: false,
        binaries: target.join("images"),
    };
    release.run(&workspace)
}

#[test]
fn a_release_has_tarballs_notes_and_sums_and_is_the_same_each_time() {
    let [first, second] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    for folder in [&first, &second] {
        for arch in [Arch::Amd64, Arch::Arm64] {
            fake_binaries(&folder.path().join("images"), arch);
        }
        release(folder.path()).unwrap();
    }
    let read = |folder: &tempfile::TempDir| {
        fs::read_to_string(folder.path().join(FILES).join(SUMS)).unwrap()
    };
    assert_eq!(read(&first), read(&second));
    let names: Vec<_> = read(&first)
        .lines()
        .map(|line| line.split_once("  ").unwrap().1.to_owned())
        .collect();
    let version = env!("CARGO_PKG_VERSION");
    let tarball = |arch: Arch| format!("weir-{version}-linux-{}.tar.gz", arch.name());
    assert_eq!(names, [tarball(Arch::Amd64), tarball(Arch::Arm64)]);
    let notes = fs::read_to_string(first.path().join(NOTES)).unwrap();
    assert_eq!(notes, "- all");
}

#[test]
fn a_binary_of_another_machine_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("images");
    fake_binaries(&images, Arch::Arm64);
    fs::rename(images.join("arm64"), images.join("amd64")).unwrap();
    let error = release(folder.path()).unwrap_err();
    assert!(
        format!("{error:#}").ends_with("is for machine 183 and not for amd64"),
        "{error:#}"
    );
}

#[test]
fn a_tag_that_is_not_the_version_is_refused() {
    let ours = env!("CARGO_PKG_VERSION");
    assert_eq!(version_of(&format!("v{ours}")).unwrap(), ours);
    assert!(version_of(ours).is_err());
    assert!(version_of("v99.0.0").is_err());
}
