//! Reads the host. One file for each collector, and in each three things: what is read, a pure
//! parser, and what is emitted.
//!
//! A collector that fails costs its own values and nothing else: its success turns false, it is
//! logged once until it works again, the rest go on.

mod cpu;
mod disk;
mod disk_io;
mod error;
mod filesystems;
mod health;
mod info;
mod memory;
mod mounts;
mod network;
mod statvfs;
mod system;

use crate::roots::Roots;
use crate::sample::{CpuValues, DiskValues, InfoValues, MemoryValues, NetworkValues, SystemValues};
pub(crate) use error::CollectError;
pub(crate) use health::Health;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

/// Everything that reads the host, with what must be remembered between two samples.
#[derive(Debug)]
pub struct Collectors {
    files: Files,
    health: Health,
    cpu: cpu::Cpu,
    /// `None`: they are left out.
    filesystems: Option<filesystems::Filesystems>,
}

/// Who the host is said to be; for `host.info`.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// The node's name.
    pub node: String,
    /// Given by the operator.
    pub labels: BTreeMap<String, String>,
}

impl Collectors {
    /// Collectors that read below `roots`.
    #[must_use]
    pub fn new(roots: Roots) -> Self {
        Self {
            files: Files {
                roots,
                buffer: Vec::new(),
            },
            health: Health::default(),
            cpu: cpu::Cpu::new(),
            filesystems: Some(filesystems::Filesystems::new()),
        }
    }

    /// The same, but `host.disk` has what the disks do and no filesystems: for a container that sees
    /// its own mounts only.
    #[must_use]
    pub fn without_filesystems(self) -> Self {
        Self {
            filesystems: None,
            ..self
        }
    }

    /// Which collectors work, now and later.
    pub(crate) fn health(&self) -> Health {
        self.health.clone()
    }

    /// Values of `host.cpu`.
    pub fn cpu(&mut self) -> Option<CpuValues> {
        let read = self.cpu.collect(&mut self.files);
        self.health.note("cpu", read)
    }

    /// Values of `host.memory`.
    pub fn memory(&mut self) -> Option<MemoryValues> {
        let read = memory::collect(&mut self.files);
        self.health.note("memory", read)
    }

    /// Values of `host.disk`. Waits at most `patience` for filesystems that do not answer.
    pub async fn disk(&mut self, patience: Duration) -> Option<DiskValues> {
        let filesystems = match &mut self.filesystems {
            Some(filesystems) => {
                let collected = filesystems.collect(&mut self.files, patience).await;
                self.health.note("filesystem", collected)
            }
            None => None,
        };
        let disks = self
            .health
            .note("disk_io", disk_io::collect(&mut self.files));
        disk::values(filesystems, disks)
    }

    /// Values of `host.network`.
    pub fn network(&mut self) -> Option<NetworkValues> {
        let read = network::collect(&mut self.files);
        self.health.note("network", read)
    }

    /// Values of `host.system`. They are there even if all of them could not be read, since they
    /// tell which collectors failed.
    pub fn system(&mut self) -> SystemValues {
        let (mut values, read) = system::collect(&mut self.files);
        self.health.note("system", read);
        values.collectors = self.health.by_collector();
        values
    }

    /// Values of `host.info`.
    pub fn info(&mut self, identity: &Identity) -> InfoValues {
        info::collect(&mut self.files, identity)
    }

    /// The kernel's id of this boot, if it can be read.
    pub fn boot_id(&mut self) -> Option<String> {
        let path = self.files.roots.proc("sys/kernel/random/boot_id");
        let read = self.files.text(&path, |text| Ok(text.trim().to_owned()));
        self.health.note("boot_id", read)
    }
}

/// Reads files into one buffer that is used again and again.
#[derive(Debug)]
pub(crate) struct Files {
    roots: Roots,
    buffer: Vec<u8>,
}

/// No file of /proc that we read comes near; it bounds what a wrong path can cost.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

impl Files {
    /// Parses the bytes of a file.
    fn bytes<T>(
        &mut self,
        path: &Path,
        parse: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Result<T, CollectError> {
        self.buffer.clear();
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut self.buffer))
            .map_err(|error| CollectError::read(path, error))?;
        parse(&self.buffer).map_err(|reason| CollectError::parse(path, reason))
    }

    /// Parses a file that the kernel writes in ASCII.
    fn text<T>(
        &mut self,
        path: &Path,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, CollectError> {
        self.bytes(path, |bytes| {
            let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
            parse(text)
        })
    }
}

#[cfg(test)]
pub(crate) mod fixtures;
