//! `host.disk`: two collectors, `filesystems` and `disk_io`, make one sample.

use crate::sample::{DiskIo, DiskValues, Filesystem};

/// What either half has; `None` when neither has anything.
pub(crate) fn values(
    filesystems: Option<Vec<Filesystem>>,
    disks: Option<Vec<DiskIo>>,
) -> Option<DiskValues> {
    if filesystems.is_none() && disks.is_none() {
        return None;
    }
    Some(DiskValues {
        filesystems: filesystems.unwrap_or_default(),
        disks: disks.unwrap_or_default(),
    })
}
