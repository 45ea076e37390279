//! The lines of a journal.

use super::{JournalIdentity, JournalNumber};
use crate::checked_line;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
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
    /// It is not delivered again before this time.
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
        let ranges = self.finished.iter();
        let line = Line {
            number: identity.map(|identity| identity.number),
            incarnation: identity.map(|identity| identity.incarnation),
            seek: self.seek,
            settings: self.settings.as_ref().map(Cow::Borrowed),
            committed: self.committed,
            finished: ranges.map(|range| (range.start, range.end)).collect(),
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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    finished: Vec<(Offset, Offset)>,
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
        let ranges = self.finished.into_iter();
        JournalEntry {
            seek: self.seek,
            settings: self.settings.map(Cow::into_owned),
            committed: self.committed,
            finished: ranges
                .map(|(start, end)| OffsetRange { start, end })
                .collect(),
            returned: self.returned.into_owned(),
            dead_letters: self.dead_letters.into_owned(),
        }
    }
}
