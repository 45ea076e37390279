//! Recorded machines for the parsers' tests; tests/fixtures/README.md describes them.

use crate::roots::Roots;
use std::path::{Path, PathBuf};

/// The machines, by the name of their folder.
pub(crate) const MACHINES: &[&str] = &[
    "firecracker",
    "k8s-pod",
    "nfs-server",
    "old-kernel",
    "plain-vm",
];

pub(crate) fn machine(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// The roots of a machine. Its root file system does not exist: nothing here answers statvfs.
pub(crate) fn roots(name: &str) -> Roots {
    let machine = machine(name);
    Roots {
        procfs: machine.join("proc"),
        sysfs: machine.join("sys"),
        rootfs: machine.join("root"),
    }
}

pub(crate) fn read(name: &str, file: &str) -> String {
    std::fs::read_to_string(machine(name).join(file)).unwrap()
}
