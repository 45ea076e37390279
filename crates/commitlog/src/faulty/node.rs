//! One file: what was written, and what of it a loss of power must leave.

use std::collections::BTreeMap;

/// What a disk writes as a whole.
const SECTOR_BYTES: usize = 512;

/// Place of a node in its tree.
pub(super) type NodeId = usize;

/// A file or a directory.
#[derive(Clone, Debug)]
pub(super) enum Node {
    File(FileNode),
    Dir(DirNode),
}

/// Entries of a directory, as they are and as they were last synced.
#[derive(Clone, Debug, Default)]
pub(super) struct DirNode {
    pub(super) current: BTreeMap<String, NodeId>,
    pub(super) synced: BTreeMap<String, NodeId>,
}

/// Content of a file, as it is and as it was last synced.
#[derive(Clone, Debug, Default)]
pub(super) struct FileNode {
    current: Vec<u8>,
    synced: Vec<u8>,
    unsynced: Vec<Unsynced>,
}

#[derive(Clone, Debug)]
struct Unsynced {
    change: Change,
    /// A sync of it failed: no later one makes it durable.
    lost: bool,
}

#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    SetLen(usize),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => {
                let end = at + bytes.len();
                content.resize(content.len().max(end), 0);
                content[*at..end].copy_from_slice(bytes);
            }
            Self::SetLen(length) => content.resize(*length, 0),
        }
    }

    fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Write { at: a, bytes },
                Self::Write {
                    at: b,
                    bytes: others,
                },
            ) => *a < b + others.len() && *b < a + bytes.len(),
            _ => false,
        }
    }

    fn torn(&self, rng: &mut fastrand::Rng) -> Self {
        match self {
            Self::Write { at, bytes } => Self::Write {
                at: *at,
                bytes: bytes[..rng.usize(..=bytes.len())].to_vec(),
            },
            cut @ Self::SetLen(_) => cut.clone(),
        }
    }

    /// Some of the sectors that the change writes, in whatever order the disk liked.
    fn some_sectors(&self, rng: &mut fastrand::Rng) -> Vec<Self> {
        let Self::Write { at, bytes } = self else {
            return vec![self.clone()];
        };
        let mut sectors = Vec::new();
        let mut from = 0;
        while from < bytes.len() {
            let end = bytes
                .len()
                .min(from + SECTOR_BYTES - (at + from) % SECTOR_BYTES);
            if rng.bool() {
                sectors.push(Self::Write {
                    at: at + from,
                    bytes: bytes[from..end].to_vec(),
                });
            }
            from = end;
        }
        sectors
    }
}

impl FileNode {
    /// A file that holds `content`, synced.
    pub(super) fn synced(content: Vec<u8>) -> Self {
        Self {
            current: content.clone(),
            synced: content,
            unsynced: Vec::new(),
        }
    }

    pub(super) fn content(&self) -> &[u8] {
        &self.current
    }

    pub(super) fn write(&mut self, bytes: &[u8], at: u64) {
        self.change(Change::Write {
            at: usize::try_from(at).unwrap_or(usize::MAX),
            bytes: bytes.to_vec(),
        });
    }

    pub(super) fn set_len(&mut self, length: u64) {
        self.change(Change::SetLen(
            usize::try_from(length).unwrap_or(usize::MAX),
        ));
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.current);
        self.unsynced.push(Unsynced {
            change,
            lost: false,
        });
    }

    /// Makes changes durable, or loses track of them.
    pub(super) fn sync(&mut self, succeeded: bool) {
        if !succeeded {
            self.unsynced.iter_mut().for_each(|one| one.lost = true);
            return;
        }
        let durable: Vec<_> = self.unsynced.extract_if(.., |one| !one.lost).collect();
        for one in durable {
            one.change.apply(&mut self.synced);
            // What was written over later does not come back.
            self.unsynced
                .retain(|lost| !lost.change.overlaps(&one.change));
        }
    }

    /// Lets the next sync make durable what a failed one lost.
    pub(super) fn retry_lost(&mut self) {
        self.unsynced.iter_mut().for_each(|one| one.lost = false);
    }

    /// The file without anything that was not synced.
    pub(super) fn as_synced(&self) -> Self {
        Self::synced(self.synced.clone())
    }

    /// The file after a loss of power.
    pub(super) fn after_power_cut(&self, rng: &mut fastrand::Rng) -> Self {
        let mut content = self.synced.clone();
        let kept = kept(&self.unsynced, rng);
        if let Some((last, whole)) = kept.split_last() {
            whole.iter().for_each(|one| one.change.apply(&mut content));
            let torn = match rng.u8(..4) {
                0 => last.change.some_sectors(rng),
                1 => vec![last.change.torn(rng)],
                _ => vec![last.change.clone()],
            };
            torn.iter().for_each(|part| part.apply(&mut content));
        }
        Self::synced(content)
    }
}

/// All, none, the first few or just any of `unsynced`.
pub(super) fn kept<'a, T>(unsynced: &'a [T], rng: &mut fastrand::Rng) -> Vec<&'a T> {
    let prefix = rng.usize(..=unsynced.len());
    match rng.u8(..4) {
        0 => unsynced.iter().collect(),
        1 => Vec::new(),
        2 => unsynced[..prefix].iter().collect(),
        _ => unsynced.iter().filter(|_| rng.bool()).collect(),
    }
}
