//! Whether a reader got every message of a partition exactly once and in order.

use super::payload::{decimal, number_of};
use std::io::BufRead;
use thiserror::Error;
use weir_types::PartitionId;

const BEFORE_OFFSET: &[u8] = br#"{"offset":"#;
/// A stored line ends with its checksum, right behind the payload.
const AFTER_PAYLOAD_BYTES: usize = r#","crc":"01234567"}"#.len();

/// What a partition was filled with: offsets from 0, numbers from `first_number`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filled {
    pub(crate) partition: PartitionId,
    pub(crate) messages: u64,
    pub(crate) first_number: u64,
    pub(crate) payload_bytes: usize,
}

/// A reader's place in a partition.
#[derive(Debug)]
pub(crate) struct Replay {
    filled: Filled,
    next: u64,
}

/// The broker handed out something else than what was published.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("partition {partition}: expected the message at offset {expected}, got {found}")]
pub(crate) struct Mismatch {
    partition: PartitionId,
    expected: u64,
    found: String,
}

impl Replay {
    pub(crate) const fn new(filled: Filled) -> Self {
        Self { filled, next: 0 }
    }

    /// The offset to go on from; `None` when everything was read.
    pub(crate) fn next(&self) -> Option<u64> {
        (self.next < self.filled.messages).then_some(self.next)
    }

    /// Checks stored lines; returns how many there were, at least one.
    pub(crate) fn accept(&mut self, mut lines: &[u8]) -> Result<u64, Mismatch> {
        let before = self.next;
        while !lines.is_empty() {
            let rest = lines;
            // Reading from memory does not fail.
            let length = lines.skip_until(b'\n').unwrap_or(rest.len());
            self.accept_line(&rest[..length])?;
        }
        if self.next == before {
            return Err(self.mismatch("nothing".into()));
        }
        Ok(self.next - before)
    }

    fn accept_line(&mut self, line: &[u8]) -> Result<(), Mismatch> {
        let number = self.filled.first_number + self.next;
        let is_next = self.next < self.filled.messages
            && offset_of(line) == Some(self.next)
            && self.number_in(line) == Some(number);
        if !is_next {
            return Err(self.mismatch(String::from_utf8_lossy(line).trim_end().to_owned()));
        }
        self.next += 1;
        Ok(())
    }

    fn number_in(&self, line: &[u8]) -> Option<u64> {
        let line = line.strip_suffix(b"\n")?;
        let end = line.len().checked_sub(AFTER_PAYLOAD_BYTES)?;
        number_of(&line[end.checked_sub(self.filled.payload_bytes)?..end])
    }

    fn mismatch(&self, found: String) -> Mismatch {
        Mismatch {
            partition: self.filled.partition,
            expected: self.next,
            found,
        }
    }
}

fn offset_of(line: &[u8]) -> Option<u64> {
    let rest = line.strip_prefix(BEFORE_OFFSET)?;
    let end = rest.iter().position(|byte| *byte == b',')?;
    decimal(&rest[..end])
}

#[cfg(test)]
mod tests {
    use super::super::payload::push_payload;
    use super::*;

    const FILLED: Filled = Filled {
        partition: PartitionId(3),
        messages: 3,
        first_number: 70,
        payload_bytes: 150,
    };

    fn line(offset: u64, number: u64) -> Vec<u8> {
        let mut line =
            format!(r#"{{"offset":{offset},"timestamp":1,"id":"i","payload":"#).into_bytes();
        push_payload(&mut line, number, FILLED.payload_bytes);
        line.extend_from_slice(b",\"crc\":\"01234567\"}\n");
        line
    }

    fn read(answers: &[Vec<Vec<u8>>]) -> Result<Replay, Mismatch> {
        let mut replay = Replay::new(FILLED);
        for answer in answers {
            replay.accept(&answer.concat())?;
        }
        Ok(replay)
    }

    #[test]
    fn everything_once_and_in_order_is_complete() {
        let answers = [vec![line(0, 70), line(1, 71)], vec![line(2, 72)]];
        assert_eq!(read(&answers).unwrap().next(), None);
        assert_eq!(read(&answers[..1]).unwrap().next(), Some(2));
    }

    #[test]
    fn anything_else_is_told() {
        let foreign = b"{\"offset\":1,\"payload\":1,\"crc\":\"01234567\"}\n".to_vec();
        let mut cut = line(1, 71);
        cut.pop();
        for (what, second) in [
            ("twice", line(0, 70)),
            ("a gap", line(2, 72)),
            ("another message at the offset", line(1, 72)),
            ("a foreign payload", foreign),
            ("a line cut short", cut),
        ] {
            let mismatch = read(&[vec![line(0, 70), second]]).unwrap_err();
            assert_eq!(
                (mismatch.expected, mismatch.partition),
                (1, PartitionId(3)),
                "{what}"
            );
        }
        let nothing = read(&[vec![]]).unwrap_err();
        assert_eq!(
            nothing.to_string(),
            "partition 3: expected the message at offset 0, got nothing"
        );
        let beyond = (0..4).map(|offset| line(offset, 70 + offset)).collect();
        assert_eq!(read(&[beyond]).unwrap_err().expected, 3);
    }
}
