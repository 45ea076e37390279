//! Static binaries that bear no trace of the machine they were built on.

use super::arch::Arch;
use super::image::Image;
use crate::command_line::CommandLine;
use crate::web::REQUIRE_ASSETS;
use crate::workspace::Workspace;
use std::path::{Path, PathBuf};

/// Of Cargo.toml.
const PROFILE: &str = "image";
/// The linker's shorter form for the table of addresses that a program's start puts right: 1 % of the
/// broker. Not every linker for the other machine knows it.
const SHORT_RELOCATIONS: &str = "-C link-arg=-Wl,-z,pack-relative-relocs";
/// Leaves tables and AVX-512 code out of the TLS library, which only speed up handshakes and bulk
/// encryption, and no broker is bound by those: 8 % of the broker. The library knows it by that name
/// and keeps everything else, constant time too.
const SMALL_TLS: &str = "-DOPENSSL_SMALL=1";

/// Builds the binary of one image; where it lies.
///
/// One package for each call: built together, packages would get each other's features of shared
/// dependencies, and an image other bytes than when it is built alone.
///
/// # Errors
/// The build failed.
pub(super) fn build(workspace: &Workspace, image: Image, arch: Arch) -> anyhow::Result<PathBuf> {
    command(workspace, image, arch).run()?;
    let directory = workspace.target.join(arch.target()).join(PROFILE);
    Ok(directory.join(image.name()))
}

fn command(workspace: &Workspace, image: Image, arch: Arch) -> CommandLine {
    let names = Names::new(&cargo_home(), &workspace.root, &workspace.target);
    let target = arch.target();
    let in_variables = target.replace('-', "_");
    let linker = format!("CARGO_TARGET_{}_LINKER", in_variables.to_uppercase());
    let (require, required) = REQUIRE_ASSETS;
    // No binary has a time in it; told one, the crate that runs the C compiler builds anew at each commit.
    CommandLine::parse("env --unset=SOURCE_DATE_EPOCH")
        .arg(format!("RUSTFLAGS={}", rust_flags(arch, &names)))
        .arg(format!("CC_{in_variables}={}", arch.compiler()))
        .arg(format!("CFLAGS_{in_variables}={}", c_flags(&names)))
        .arg(format!("{linker}={}", arch.compiler()))
        .arg(format!("{require}={required}"))
        .args(["cargo", "build", "--locked", "--profile", PROFILE])
        .args(["--target", target, "-p", image.package(), "--bin"])
        .arg(image.name())
}

fn rust_flags(arch: Arch, names: &Names) -> String {
    let mut flags = vec!["-C target-feature=+crt-static".to_owned()];
    if arch == Arch::Amd64 {
        flags.push(SHORT_RELOCATIONS.to_owned());
    }
    flags.extend(names.each("--remap-path-prefix="));
    flags.join(" ")
}

fn c_flags(names: &Names) -> String {
    let mut flags = vec![SMALL_TLS.to_owned()];
    flags.extend(names.each("-ffile-prefix-map="));
    flags.join(" ")
}

/// What directories of this machine are called in binaries: in messages of panics, for the most part.
struct Names([(String, &'static str); 3]);

impl Names {
    fn new(cargo_home: &Path, root: &Path, target: &Path) -> Self {
        let text = |path: &Path| path.display().to_string();
        // Of several that fit, compilers take the last one, and target/ lies in the checkout.
        Self([
            (text(cargo_home), "/cargo"),
            (text(root), "/weir"),
            (text(target), "/weir/target"),
        ])
    }

    fn each(&self, flag: &str) -> impl Iterator<Item = String> {
        let Self(names) = self;
        names
            .iter()
            .map(move |(path, name)| format!("{flag}{path}={name}"))
    }
}

fn cargo_home() -> PathBuf {
    let told = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = || std::env::home_dir().unwrap_or_default().join(".cargo");
    told.unwrap_or_else(home)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let [cargo, root, target] = ["/home/me/.cargo", "/w", "/w/target"].map(Path::new);
        Names::new(cargo, root, target)
    }

    #[test]
    fn no_directory_of_this_machine_gets_into_a_binary() {
        for flags in [rust_flags(Arch::Arm64, &names()), c_flags(&names())] {
            assert!(flags.contains("=/home/me/.cargo=/cargo"), "{flags}");
            let (root, target) = (flags.find("=/w=/weir"), flags.find("=/w/target="));
            assert!(
                root.unwrap() < target.unwrap(),
                "the last one counts: {flags}"
            );
        }
    }

    #[test]
    fn every_binary_is_linked_with_all_it_needs() {
        for arch in [Arch::Amd64, Arch::Arm64] {
            assert!(rust_flags(arch, &names()).contains("+crt-static"));
        }
    }
}
