//! A frame: what one write to the commit log makes durable.
//!
//! A frame begins at a block and fills whole blocks. Numbers are little-endian.
//!
//! | bytes | content |
//! |---|---|
//! | 8 | magic; no text of UTF-8 holds it, so no payload can pretend to be a frame |
//! | 4 | bytes of the frame |
//! | 4 | CRC-32C of the frame without these four bytes |
//! | 16 | key: number of the broker start, number of the frame in it |
//! | 16 | checkpoint: the key from which on frames may be missing in the plain files |
//! | 4 | entries |
//! | … | the entries, one after the other |
//! | … | zeros |
//! | 24 | key, and the closing magic: tells a damaged frame from none |
//!
//! An entry says which bytes stand where in which file, so that writing it again changes nothing:
//!
//! | bytes | content |
//! |---|---|
//! | 1 | 1: a segment, 2: a journal |
//! | 20 or 8 | topic incarnation (8), partition (4), base offset (8); or the journal's number (8) |
//! | 8 | position in the file |
//! | 4 | how many bytes |
//! | … | the bytes |

use super::aligned::AlignedBuffer;
use crate::fs::BLOCK_BYTES;
use crate::journal::JournalNumber;
use bytes::{Buf, BufMut};
use weir_types::{BrokerStart, FilePosition, Incarnation, Offset, PartitionId};

pub(super) const MAGIC: [u8; 8] = [0xFF, b'W', b'E', b'I', b'R', 0x00, 0x01, 0xFE];
pub(super) const CLOSING_MAGIC: [u8; 8] = [0xFE, 0x01, 0x00, b'R', b'I', b'E', b'W', 0xFF];
const HEAD_BYTES: usize = 52;
const CRC_AT: std::ops::Range<usize> = 12..16;
const TAIL_BYTES: usize = 24;
const SEGMENT: u8 = 1;
const JOURNAL: u8 = 2;

/// Which frame; later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FrameKey {
    pub(crate) start: BrokerStart,
    pub(crate) number: u64,
}

impl FrameKey {
    /// Before every frame.
    pub(crate) const ZERO: Self = Self {
        start: BrokerStart(0),
        number: 0,
    };

    pub(super) fn next(self) -> Self {
        Self {
            number: self.number + 1,
            ..self
        }
    }
}

/// A file that the commit log stands in front of, in words that outlive its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LoggedFile {
    Segment {
        topic: Incarnation,
        partition: PartitionId,
        base_offset: Offset,
    },
    Journal(JournalNumber),
}

/// Bytes that stand in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) file: LoggedFile,
    pub(crate) position: FilePosition,
    pub(crate) bytes: &'a [u8],
}

impl Entry<'_> {
    fn encoded_bytes(&self) -> usize {
        let name = match self.file {
            LoggedFile::Segment { .. } => 20,
            LoggedFile::Journal(_) => 8,
        };
        1 + name + 8 + 4 + self.bytes.len()
    }

    fn encode(&self, out: &mut impl BufMut) {
        match self.file {
            LoggedFile::Segment {
                topic,
                partition,
                base_offset,
            } => {
                out.put_u8(SEGMENT);
                out.put_u64_le(topic.0);
                out.put_u32_le(partition.0);
                out.put_u64_le(base_offset.0);
            }
            LoggedFile::Journal(number) => {
                out.put_u8(JOURNAL);
                out.put_u64_le(number.0);
            }
        }
        out.put_u64_le(self.position.0);
        let length = u32::try_from(self.bytes.len());
        out.put_u32_le(length.unwrap_or(u32::MAX));
        out.put_slice(self.bytes);
    }
}

/// Bytes of the frame that holds `entries`.
pub(super) fn frame_bytes(entries: &[Entry<'_>]) -> usize {
    let entries: usize = entries.iter().map(Entry::encoded_bytes).sum();
    (HEAD_BYTES + entries + TAIL_BYTES).next_multiple_of(BLOCK_BYTES)
}

/// Puts the frame into `out`, which then holds nothing else.
pub(super) fn encode(
    key: FrameKey,
    checkpoint: FrameKey,
    entries: &[Entry<'_>],
    out: &mut AlignedBuffer,
) {
    let length = frame_bytes(entries);
    let frame = out.zeroed(length);
    let (front, tail) = frame.split_at_mut(length - TAIL_BYTES);
    let mut head = &mut front[..];
    head.put_slice(&MAGIC);
    head.put_u32_le(u32::try_from(length).unwrap_or(u32::MAX));
    head.put_u32_le(0);
    put_key(&mut head, key);
    put_key(&mut head, checkpoint);
    head.put_u32_le(u32::try_from(entries.len()).unwrap_or(u32::MAX));
    for entry in entries {
        entry.encode(&mut head);
    }
    let mut tail = tail;
    put_key(&mut tail, key);
    tail.put_slice(&CLOSING_MAGIC);
    let crc = crc_of(frame);
    frame[CRC_AT].copy_from_slice(&crc.to_le_bytes());
}

fn put_key(out: &mut impl BufMut, key: FrameKey) {
    out.put_u64_le(key.start.0.into());
    out.put_u64_le(key.number);
}

fn crc_of(frame: &[u8]) -> u32 {
    let front = crc32c::crc32c(&frame[..CRC_AT.start]);
    crc32c::crc32c_append(front, &frame[CRC_AT.end..])
}

/// A frame as it was read.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) key: FrameKey,
    pub(super) checkpoint: FrameKey,
    pub(super) entries: Vec<Entry<'a>>,
    pub(super) length: usize,
}

/// The intact frame at the front of `bytes`, if there is one.
pub(super) fn decode(bytes: &[u8]) -> Option<Frame<'_>> {
    let mut head = bytes.strip_prefix(&MAGIC)?;
    let length = head.try_get_u32_le().ok()? as usize;
    if length < HEAD_BYTES + TAIL_BYTES {
        return None;
    }
    let frame = bytes.get(..length)?;
    if head.try_get_u32_le().ok()? != crc_of(frame) {
        return None;
    }
    let key = get_key(&mut head)?;
    let checkpoint = get_key(&mut head)?;
    let count = head.try_get_u32_le().ok()?;
    let mut rest = frame.get(HEAD_BYTES..length - TAIL_BYTES)?;
    let entries = (0..count).map(|_| decode_entry(&mut rest));
    Some(Frame {
        key,
        checkpoint,
        entries: entries.collect::<Option<_>>()?,
        length,
    })
}

/// The key of the frame that ended at the end of `bytes`, if its last bytes are legible.
pub(super) fn closing_key(bytes: &[u8]) -> Option<FrameKey> {
    let mut tail = bytes.get(bytes.len().checked_sub(TAIL_BYTES)?..)?;
    let key = get_key(&mut tail)?;
    (tail == CLOSING_MAGIC).then_some(key)
}

/// The key in the head at the front of `bytes`, whether or not the frame is intact.
pub(super) fn opening_key(bytes: &[u8]) -> Option<FrameKey> {
    let head = bytes.strip_prefix(&MAGIC)?;
    get_key(&mut head.get(8..)?)
}

fn get_key(from: &mut &[u8]) -> Option<FrameKey> {
    Some(FrameKey {
        start: BrokerStart(from.try_get_u64_le().ok()?.try_into().ok()?),
        number: from.try_get_u64_le().ok()?,
    })
}

fn decode_entry<'a>(from: &mut &'a [u8]) -> Option<Entry<'a>> {
    let file = match from.try_get_u8().ok()? {
        SEGMENT => LoggedFile::Segment {
            topic: Incarnation(from.try_get_u64_le().ok()?),
            partition: PartitionId(from.try_get_u32_le().ok()?),
            base_offset: Offset(from.try_get_u64_le().ok()?),
        },
        JOURNAL => LoggedFile::Journal(JournalNumber(from.try_get_u64_le().ok()?)),
        _ => return None,
    };
    let position = FilePosition(from.try_get_u64_le().ok()?);
    let length = from.try_get_u32_le().ok()? as usize;
    let (bytes, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(Entry {
        file,
        position,
        bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: FrameKey = FrameKey {
        start: BrokerStart(3),
        number: 9,
    };

    fn entries() -> [Entry<'static>; 2] {
        let segment = LoggedFile::Segment {
            topic: Incarnation(0xABCD),
            partition: PartitionId(2),
            base_offset: Offset(70),
        };
        [(segment, 5), (LoggedFile::Journal(JournalNumber(8)), 0)].map(|(file, position)| Entry {
            file,
            position: FilePosition(position),
            bytes: b"{}\n",
        })
    }

    fn encoded() -> Vec<u8> {
        let mut buffer = AlignedBuffer::default();
        encode(KEY, FrameKey::ZERO, &entries(), &mut buffer);
        buffer.bytes().to_vec()
    }

    #[test]
    fn a_frame_comes_back_as_it_went() {
        let bytes = encoded();
        assert_eq!(bytes.len(), BLOCK_BYTES);
        let frame = decode(&bytes).unwrap();
        assert_eq!((frame.key, frame.length), (KEY, BLOCK_BYTES));
        assert_eq!(frame.checkpoint, FrameKey::ZERO);
        assert_eq!(frame.entries, entries());
        assert_eq!(
            (opening_key(&bytes), closing_key(&bytes)),
            (Some(KEY), Some(KEY))
        );
    }

    #[test]
    fn the_layout_is_golden() {
        let bytes = encoded();
        assert_eq!(&bytes[..12], b"\xFFWEIR\0\x01\xFE\0\x10\0\0");
        assert_eq!(crc32c::crc32c(&bytes), 0x4826_3718);
    }

    #[test]
    fn a_changed_cut_or_longer_frame_is_none() {
        let bytes = encoded();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x20;
            assert!(decode(&changed).is_none(), "byte {at}");
            changed.remove(at);
            assert!(decode(&changed).is_none(), "without byte {at}");
        }
    }
}
