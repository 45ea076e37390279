//! The lines of a journal.

use super::{JournalIdentity, JournalNumber};
use crate::checked_line;
use crate::record::leading_number;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use weir_types::{GroupSettings, Incarnation, Offset, OffsetRange, PartitionId, Timestamp};

/// The group begins anew somewhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seek {
    /// The first message that is not finished; all above it are not either.
    pub to: Offset,
    /// Tells what is leased from now on from what was leased before.
    pub incarnation: Incarnation,
}

/// A message that was leased and came back unfinished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned {
    /// Which message.
    pub offset: Offset,
    /// How many leases of it have ended without an ack.
    pub attempts: u32,
    /// It is not delivered again before this time; [`Timestamp::NEVER`] if it is to become a dead
    /// letter, however often it was delivered.
    pub available_at: Timestamp,
    /// Why the consumer gave it back, if it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<str>>,
}

/// A message on its way to the dead-letter topic. Journaled before it is appended there, so that
/// after a crash it is found there, or not, and is there once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterIntent {
    /// Which message.
    pub offset: Offset,
    /// How many leases of it have ended without an ack.
    pub attempts: u32,
    /// Of the dead-letter topic: in another one of its name it is not looked for.
    pub incarnation: Incarnation,
    /// Where it goes in the dead-letter topic.
    pub partition: PartitionId,
    /// It lies there at or above this offset, if it came there.
    pub from: Offset,
    /// When this was decided.
    pub at: Timestamp,
    /// Why the last consumer gave it back, if it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<str>>,
}

/// A change of a group's progress in one partition. What is in it is applied in the order of the
/// members.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JournalEntry {
    /// Everything before is void: the group begins anew, under a new incarnation.
    pub seek: Option<Seek>,
    /// What was chosen for the group; only in partition 0.
    pub settings: Option<GroupSettings>,
    /// All offsets below are finished.
    pub committed: Option<Offset>,
    /// Further offsets that are finished.
    pub finished: Vec<OffsetRange>,
    /// Messages that came back.
    pub returned: Vec<Returned>,
    /// Messages on their way to the dead-letter topic.
    pub dead_letters: Vec<DeadLetterIntent>,
}

impl JournalEntry {
    /// Whether it changes nothing; such an entry is not written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seek.is_none()
            && self.settings.is_none()
            && self.committed.is_none()
            && self.finished.is_empty()
            && self.returned.is_empty()
            && self.dead_letters.is_empty()
    }

    /// Appends the entry's line, newline included; the first line of a file tells its identity.
    pub(super) fn encode(&self, identity: Option<JournalIdentity>, out: &mut Vec<u8>) {
        debug_assert!(!self.is_empty(), "a line has a member before its checksum");
        let line = Line {
            number: identity.map(|identity| identity.number),
            incarnation: identity.map(|identity| identity.incarnation),
            seek: self.seek,
            settings: self.settings.as_ref().map(Cow::Borrowed),
            committed: self.committed,
            finished: Ranges(Cow::Borrowed(&self.finished)),
            returned: Cow::Borrowed(&self.returned),
            dead_letters: Cow::Borrowed(&self.dead_letters),
        };
        checked_line::push(out, &line);
    }
}

/// A line as it is written.
#[derive(Serialize, Deserialize)]
pub(super) struct Line<'a> {
    #[serde(default, rename = "journal", skip_serializing_if = "Option::is_none")]
    pub(super) number: Option<JournalNumber>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) incarnation: Option<Incarnation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seek: Option<Seek>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    settings: Option<Cow<'a, GroupSettings>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    committed: Option<Offset>,
    #[serde(default, skip_serializing_if = "Ranges::is_empty")]
    finished: Ranges<'a>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    returned: Cow<'a, [Returned]>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    dead_letters: Cow<'a, [DeadLetterIntent]>,
}

impl Line<'static> {
    /// The line (without its newline); `None` if it is damaged.
    pub(super) fn decode(line: &[u8]) -> Option<Self> {
        checked_line::read(line)
    }

    pub(super) fn into_entry(self) -> JournalEntry {
        JournalEntry {
            seek: self.seek,
            settings: self.settings.map(Cow::into_owned),
            committed: self.committed,
            finished: self.finished.0.into_owned(),
            returned: self.returned.into_owned(),
            dead_letters: self.dead_letters.into_owned(),
        }
    }
}

/// Adds what an intact line finishes that says nothing else; `false` if it is another one. By hand,
/// because nearly all lines are such, and a parser of JSON takes several times as long.
pub(super) fn read_finished(line: &[u8], finished: &mut Vec<OffsetRange>) -> bool {
    let known = finished.len();
    let read = push_ranges(line, finished);
    let is_such = read == Some(checked_line::TRAILER_BYTES) && checked_line::is_intact(line);
    if !is_such {
        finished.truncate(known);
    }
    is_such
}

/// Returns how many bytes follow the ranges.
fn push_ranges(line: &[u8], finished: &mut Vec<OffsetRange>) -> Option<usize> {
    let mut rest = line.strip_prefix(b"{\"finished\":[")?;
    loop {
        let (start, after) = leading_number(rest.strip_prefix(b"[")?)?;
        let (end, after) = leading_number(after.strip_prefix(b",")?)?;
        let (start, end) = (Offset(start), Offset(end));
        finished.push(OffsetRange { start, end });
        rest = after.strip_prefix(b"]")?;
        if let Some(after) = rest.strip_prefix(b"]") {
            return Some(after.len());
        }
        rest = rest.strip_prefix(b",")?;
    }
}

/// Ranges as pairs `[start,end]`. There may be a million in a line.
#[derive(Default)]
struct Ranges<'a>(Cow<'a, [OffsetRange]>);

impl Ranges<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Ranges<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|range| (range.start, range.end)))
    }
}

impl<'de> Deserialize<'de> for Ranges<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Vec<OffsetRange>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("pairs of offsets")
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut ranges = Vec::new();
                while let Some((start, end)) = seq.next_element()? {
                    ranges.push(OffsetRange { start, end });
                }
                Ok(ranges)
            }
        }
        let ranges = deserializer.deserialize_seq(Visitor)?;
        Ok(Self(Cow::Owned(ranges)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(json: &str) -> Vec<u8> {
        let mut line = json.as_bytes().to_vec();
        checked_line::seal(&mut line, 0);
        line.pop();
        line
    }

    fn ranges(line: &[u8]) -> Option<Vec<(u64, u64)>> {
        let mut finished = Vec::new();
        let read = read_finished(line, &mut finished);
        let pairs = finished.iter().map(|range| (range.start.0, range.end.0));
        read.then(|| pairs.collect())
    }

    #[test]
    fn lines_that_only_finish_are_read_by_hand() {
        let one = line("{\"finished\":[[7,9]]");
        assert_eq!(ranges(&one), Some(vec![(7, 9)]));
        let two = line("{\"finished\":[[7,9],[18446744073709551615,0]]");
        assert_eq!(ranges(&two), Some(vec![(7, 9), (u64::MAX, 0)]));
    }

    #[test]
    fn other_lines_are_left_to_the_parser_and_leave_nothing() {
        for json in [
            "{\"committed\":3",
            "{\"finished\":[]",
            "{\"finished\":[[7]]",
            "{\"finished\":[[7,9,11]]",
            "{\"finished\":[[7,18446744073709551616]]",
            "{\"finished\":[[7,9]],\"committed\":7",
            "{\"finished\":[[7,9]]}",
        ] {
            let mut finished = Vec::new();
            assert!(!read_finished(&line(json), &mut finished), "{json}");
            assert_eq!(finished, []);
        }
        let mut damaged = line("{\"finished\":[[7,9]]");
        damaged[14] = b'6';
        assert_eq!(ranges(&damaged), None);
    }

    #[test]
    fn a_line_with_all_members_is_golden() {
        let returned = Returned {
            offset: Offset(3),
            attempts: 2,
            available_at: Timestamp(9),
            reason: Some("busy".into()),
        };
        let dead = DeadLetterIntent {
            offset: Offset(4),
            attempts: 16,
            incarnation: Incarnation(0xD),
            partition: PartitionId(1),
            from: Offset(70),
            at: Timestamp(8),
            reason: None,
        };
        let entry = JournalEntry {
            seek: Some(Seek {
                to: Offset(1),
                incarnation: Incarnation(0xB),
            }),
            settings: Some(GroupSettings {
                max_deliveries: Some(5),
                ..GroupSettings::default()
            }),
            committed: Some(Offset(2)),
            finished: vec![OffsetRange::single(Offset(6))],
            returned: vec![returned],
            dead_letters: vec![dead],
        };
        let identity = JournalIdentity {
            number: JournalNumber(12),
            incarnation: Incarnation(0xA),
        };
        let mut out = Vec::new();
        entry.encode(Some(identity), &mut out);
        let text = String::from_utf8(out[..out.len() - 1].to_vec()).unwrap();
        assert_eq!(
            text.split(",\"crc\"").next().unwrap(),
            concat!(
                r#"{"journal":12,"incarnation":"000000000000000a","seek":{"to":1,"incarnation":"000000000000000b"},"#,
                r#""settings":{"ordering":"key","max_deliveries":5},"committed":2,"finished":[[6,7]],"#,
                r#""returned":[{"offset":3,"attempts":2,"available_at":9,"reason":"busy"}],"#,
                r#""dead_letters":[{"offset":4,"attempts":16,"incarnation":"000000000000000d","partition":1,"from":70,"at":8}]"#,
            )
        );
        assert_eq!(Line::decode(text.as_bytes()).unwrap().into_entry(), entry);
    }
}
