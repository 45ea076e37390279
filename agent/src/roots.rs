//! Where the host's files are, seen from here.

use std::path::{Path, PathBuf};

/// The three roots below which everything is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    /// The host's /proc.
    pub procfs: PathBuf,
    /// The host's /sys.
    pub sysfs: PathBuf,
    /// The host's /.
    pub rootfs: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self {
            procfs: "/proc".into(),
            sysfs: "/sys".into(),
            rootfs: "/".into(),
        }
    }
}

impl Roots {
    /// A file of /proc that is the same for all processes.
    pub(crate) fn proc(&self, name: &str) -> PathBuf {
        self.procfs.join(name)
    }

    /// A file of /proc that depends on namespaces. Below a given root that is init's, which is the
    /// host's; otherwise our own, which on a plain host is the same and needs no pid 1 to be seen.
    pub(crate) fn of_host_process(&self, name: &str) -> PathBuf {
        let process = if self.is_foreign() { "1" } else { "self" };
        self.procfs.join(process).join(name)
    }

    /// Whether the host is looked at from outside, as from a container.
    pub(crate) fn is_foreign(&self) -> bool {
        self.procfs != Path::new("/proc")
    }

    /// A path of the host, below the root file system's root.
    pub(crate) fn host(&self, path: &Path) -> PathBuf {
        self.rootfs.join(path.strip_prefix("/").unwrap_or(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_root_leads_to_init_and_below_itself() {
        let own = Roots::default();
        assert_eq!(
            own.of_host_process("net/dev"),
            Path::new("/proc/self/net/dev")
        );
        assert_eq!(own.host(Path::new("/mnt/a")), Path::new("/mnt/a"));
        let host = Roots {
            procfs: "/host/proc".into(),
            sysfs: "/host/sys".into(),
            rootfs: "/host/root".into(),
        };
        assert_eq!(
            host.of_host_process("mountinfo"),
            Path::new("/host/proc/1/mountinfo")
        );
        assert_eq!(
            host.host(Path::new("/mnt/a")),
            Path::new("/host/root/mnt/a")
        );
        assert_eq!(host.host(Path::new("/")), Path::new("/host/root/"));
    }
}
