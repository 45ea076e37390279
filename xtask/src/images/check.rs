//! Whether the binaries run where there is nothing else: each in its image's root and declared user,
//! without any right, the root read-only, names found by a name server of this check's own.
//!
//! Everything happens in namespaces of their own (mounts, network, processes), which end with this
//! process: no port, mount or process is left behind, and nothing outside can answer instead.

mod container;
mod name_server;
mod proofs;
mod witness;

use super::arch::Arch;
use super::image::Image;
use super::layout::Layout;
use crate::command_line::CommandLine;
use crate::debian::{self, Tool};
use crate::workspace::Workspace;
use anyhow::Context;

const TOOLS: &[Tool] = &[
    Tool {
        binary: "unshare",
        package: "util-linux",
        needed_for: "namespaces of their own",
    },
    Tool {
        binary: "setpriv",
        package: "util-linux",
        needed_for: "processes without rights",
    },
    Tool {
        binary: "ip",
        package: "iproute2",
        needed_for: "a loopback interface in a network of its own",
    },
];

/// Starts this check anew inside namespaces of its own, and waits for it.
///
/// # Errors
/// A proof failed, or there is no right to make namespaces.
pub(super) fn outside(arch: Arch, images: &[Image]) -> anyhow::Result<()> {
    debian::ensure(TOOLS)?;
    let this = std::env::current_exe().context("where is this program?")?;
    let names = images.iter().flat_map(|image| ["--image", image.name()]);
    CommandLine::parse("unshare --mount --net --pid --fork --kill-child --mount-proc")
        .arg(this)
        .args(["images", "--inside", "--arch", arch.name()])
        .args(names)
        .run()
}

/// The check itself.
///
/// # Errors
/// The first proof that failed, with what the binary printed.
pub(super) fn inside(
    workspace: &Workspace,
    layout: &Layout,
    images: &[Image],
) -> anyhow::Result<()> {
    CommandLine::parse("ip link set dev lo up").run()?;
    let dockerfile = std::fs::read_to_string(workspace.root.join("Dockerfile"))?;
    proofs::prove(workspace, layout, images, &dockerfile)
}
