//! Half of `host.disk`: the host's real filesystems and how full they are.
//!
//! What is mounted comes from init's mount table, how full it is from statvfs below the root that
//! was given. Whether a mount is read-only is the table's word: seen through our own read-only
//! mount, everything is.

use super::mounts::{self, Mount};
use super::statvfs::{Question, StatvfsPool, Usage};
use super::{CollectError, Files};
use crate::roots::Roots;
use crate::sample::Filesystem;
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Filesystems {
    pool: StatvfsPool,
}

impl Filesystems {
    pub(crate) fn new() -> Self {
        Self {
            pool: StatvfsPool::new(),
        }
    }

    pub(crate) async fn collect(
        &mut self,
        files: &mut Files,
        patience: Duration,
    ) -> Result<Vec<Filesystem>, CollectError> {
        let path = files.roots.of_host_process("mountinfo");
        let mounts = mounts::real(files.bytes(&path, mounts::parse)?);
        let questions: Vec<Question> = mounts.iter().map(|m| question(m, &files.roots)).collect();
        let answers = self.pool.ask_all(&questions, patience).await;
        let mounts = mounts.iter().zip(answers);
        Ok(mounts
            .map(|(mount, answer)| emit(mount, answer.ok()))
            .collect())
    }
}

fn question(mount: &Mount, roots: &Roots) -> Question {
    // btrfs gives each subvolume a device number of its own, which is not the table's.
    let has_own_numbers = mount.fstype == b"btrfs";
    Question {
        path: roots.host(mount.path()),
        device_number: (!has_own_numbers).then_some(mount.device_number),
        is_remote: mount.is_remote(),
    }
}

fn emit(mount: &Mount, usage: Option<Usage>) -> Filesystem {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Filesystem {
        device: text(&mount.source),
        mountpoint: text(&mount.mountpoint),
        fstype: text(&mount.fstype),
        size_bytes: usage.map(|u| u.size_bytes),
        free_bytes: usage.map(|u| u.free_bytes),
        avail_bytes: usage.map(|u| u.avail_bytes),
        files: usage.map(|u| u.files),
        files_free: usage.map(|u| u.files_free),
        readonly: mount.readonly,
        device_error: usage.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::statvfs::ANSWER_LIMIT;
    use super::*;
    use crate::collectors::fixtures;

    #[tokio::test]
    async fn a_filesystem_that_cannot_be_seen_has_an_error_and_no_figures() {
        let mut files = Files {
            roots: fixtures::roots("nfs-server"),
            buffer: Vec::new(),
        };
        let found = Filesystems::new().collect(&mut files, ANSWER_LIMIT).await;
        let found = found.unwrap();
        assert_eq!(found.len(), 7);
        assert!(
            found
                .iter()
                .all(|f| f.device_error && f.size_bytes.is_none())
        );
        let readonly = found.iter().filter(|f| f.readonly);
        assert_eq!(
            readonly.map(|f| f.mountpoint.as_str()).collect::<Vec<_>>(),
            ["/srv/b/snapshots"]
        );
    }

    #[tokio::test]
    async fn this_machines_root_is_as_large_as_statvfs_says() {
        let mut files = Files {
            roots: Roots::default(),
            buffer: Vec::new(),
        };
        let found = Filesystems::new().collect(&mut files, ANSWER_LIMIT).await;
        for filesystem in found.unwrap().iter().filter(|f| !f.device_error) {
            let direct = rustix::fs::statvfs(filesystem.mountpoint.as_str()).unwrap();
            let size = direct.f_blocks * direct.f_frsize;
            assert_eq!(filesystem.size_bytes, Some(size), "{filesystem:?}");
        }
    }
}
