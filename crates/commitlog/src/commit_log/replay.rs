//! After a crash: the bytes that frames hold are written to their plain files again.

use super::frame::{self, Entry, Frame, FrameKey};
use super::part_paths;
use crate::error::{Context, StorageError};
use crate::fs::{self, FileSystem};
use crate::recovery::{Finding, FindingKind};
use std::path::{Path, PathBuf};
use weir_types::FilePosition;

/// What the commit log of earlier starts holds.
#[derive(Debug)]
pub(crate) struct Replay {
    parts: Vec<PartContent>,
}

#[derive(Debug)]
struct PartContent {
    path: PathBuf,
    content: Vec<u8>,
}

/// Where replayed bytes go.
pub(crate) trait ReplayTarget {
    /// Writes the entry's bytes, or leaves an entry alone whose file is gone.
    fn apply(&mut self, entry: &Entry<'_>) -> Result<(), StorageError>;
}

impl Replay {
    /// Reads all parts in `dir`.
    pub(crate) fn read(fs: &dyn FileSystem, dir: &Path) -> Result<Self, StorageError> {
        let mut parts = Vec::new();
        for (_, path) in part_paths(fs, dir)? {
            let content = fs::read_all(fs, &path).context("read", &path)?;
            parts.push(PartContent { path, content });
        }
        Ok(Self { parts })
    }

    /// Applies all frames that are still needed, in the order in which they were written.
    pub(crate) fn run(
        &self,
        target: &mut impl ReplayTarget,
        findings: &mut Vec<Finding>,
    ) -> Result<(), StorageError> {
        let mut found = Found::default();
        self.parts.iter().for_each(|part| part.scan(&mut found));
        found.frames.sort_unstable_by_key(|frame| frame.key);
        let needed_from = found.frames.last().map(|last| last.checkpoint);
        let needed_from = needed_from.unwrap_or(FrameKey::ZERO);
        // What was damaged in a turn that is over would have been left alone anyway.
        let damage = found.damage.into_iter();
        let damage = damage.filter(|one| one.before.is_none_or(|key| key >= needed_from));
        findings.extend(damage.map(|one| one.finding));
        let needed = found.frames.iter().filter(|frame| frame.key >= needed_from);
        needed
            .flat_map(|frame| &frame.entries)
            .try_for_each(|entry| target.apply(entry))
    }
}

/// What the parts hold.
#[derive(Default)]
struct Found<'a> {
    frames: Vec<Frame<'a>>,
    damage: Vec<Damage>,
}

struct Damage {
    finding: Finding,
    /// A key that the damaged frame does not exceed, if one is known.
    before: Option<FrameKey>,
}

impl PartContent {
    /// Collects the frames of the part's last turn. Behind them lie frames of earlier turns, which
    /// have smaller keys, in pieces.
    fn scan<'a>(&'a self, found: &mut Found<'a>) {
        let mut last = FrameKey::ZERO;
        let mut position = 0;
        while let Some(rest) = self.content.get(position..) {
            match frame::decode(rest) {
                Some(frame) if frame.key > last => {
                    last = frame.key;
                    position += frame.length;
                    found.frames.push(frame);
                }
                // Something older: the end of the turn, unless the disk has lost a write.
                older => match self.next_legible(position, last) {
                    Some((next, key)) => {
                        found.damage.push(self.damage(position, Some(key)));
                        position = next;
                    }
                    None => {
                        let remains = match older {
                            Some(_) => None,
                            None => self.remains(position, last),
                        };
                        let remains = remains.map(|key| self.damage(position, Some(key)));
                        found.damage.extend(remains);
                        break;
                    }
                },
            }
        }
        if !self.content.len().is_multiple_of(fs::BLOCK_BYTES) {
            found.damage.push(self.damage(self.content.len(), None));
        }
    }

    /// Where an intact frame that is newer than `last` begins, behind damage at `from`. Searched
    /// byte by byte: bytes may be missing.
    fn next_legible(&self, from: usize, last: FrameKey) -> Option<(usize, FrameKey)> {
        places_of(&self.content, &frame::MAGIC, from).find_map(|at| {
            let frame = frame::decode(&self.content[at..])?;
            (frame.key > last).then_some((at, frame.key))
        })
    }

    /// The key of what is left of a newer frame behind the last intact one: its write was
    /// interrupted, or it was damaged.
    fn remains(&self, from: usize, last: FrameKey) -> Option<FrameKey> {
        let heads = places_of(&self.content, &frame::MAGIC, from)
            .filter_map(|at| frame::opening_key(&self.content[at..]));
        let closing = &frame::CLOSING_MAGIC;
        let tails = places_of(&self.content, closing, from)
            .filter_map(|at| frame::closing_key(&self.content[..at + closing.len()]));
        heads.chain(tails).find(|&key| self.may_follow(key, last))
    }

    /// Whether a frame with `key` may stand behind `last` in the same turn. What stands in a damaged
    /// head may be any number.
    fn may_follow(&self, key: FrameKey, last: FrameKey) -> bool {
        let most = (self.content.len() / fs::BLOCK_BYTES) as u64;
        let next_ones = last.number..=last.number.saturating_add(most);
        let in_turn = key.start == last.start && next_ones.contains(&key.number);
        key > last && (in_turn || last == FrameKey::ZERO)
    }

    fn damage(&self, position: usize, before: Option<FrameKey>) -> Damage {
        let finding = Finding {
            path: self.path.clone(),
            position: FilePosition(position as u64),
            kind: FindingKind::UnreadableFrame,
        };
        Damage { finding, before }
    }
}

/// Where `wanted` stands in `content`, from `from` on.
fn places_of<'a>(
    content: &'a [u8],
    wanted: &'a [u8; 8],
    from: usize,
) -> impl Iterator<Item = usize> + 'a {
    let windows = content[from..].windows(wanted.len()).enumerate();
    let found = windows.filter(move |(_, window)| *window == wanted);
    found.map(move |(at, _)| from + at)
}
