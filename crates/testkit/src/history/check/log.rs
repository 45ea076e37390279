//! What was published against what is stored.

use super::super::event::{Message, Stored};
use super::super::facts::Publication;
use super::super::violation::{Promise, Violation};
use super::Check;
use std::collections::HashMap;
use weir_types::{Offset, PartitionId};

impl Check<'_> {
    pub(super) fn log(&self, violations: &mut Vec<Violation>) {
        self.offsets_rise(violations);
        let mut copies: HashMap<&str, Vec<&Stored>> = HashMap::new();
        for stored in &self.found.log {
            copies.entry(&stored.id).or_default().push(stored);
            violations.extend(self.is_as_published(stored));
        }
        for publication in self.facts.publications.values() {
            let id = publication.message.id.as_str();
            let copies = copies.get(id).map_or(&[][..], Vec::as_slice);
            violations.extend(self.is_stored_once(copies));
            violations.extend(is_where_acknowledged(publication, copies));
            violations.extend(is_behind_what_was_acknowledged(publication, copies));
        }
        for publication in self.facts.publications.values() {
            violations.extend(is_behind_its_batch(publication, &copies));
        }
    }

    fn offsets_rise(&self, violations: &mut Vec<Violation>) {
        let mut last: HashMap<PartitionId, Offset> = HashMap::new();
        for Stored { position, .. } in &self.found.log {
            let before = last.insert(position.partition, position.offset);
            if before.is_some_and(|before| before >= position.offset) {
                let says = format!("{position} is read behind a higher offset");
                let violation = Violation::new(Promise::OffsetsFollowPublishing, says);
                violations.push(violation.at(*position));
            }
        }
    }

    fn is_as_published(&self, stored: &Stored) -> Option<Violation> {
        let Stored { position, id, .. } = stored;
        let publication = self.facts.publications.get(id.as_str());
        let says = match publication {
            None => format!("{position} is {id}, which nobody published"),
            Some(publication) if !is_same(publication.message, stored) => {
                let sent = publication.message;
                format!(
                    "{position} is {id} with key {:?} and {}, published to partition {} with key \
                     {:?} and {}",
                    stored.key, stored.payload, sent.partition, sent.key, sent.payload
                )
            }
            Some(_) => return None,
        };
        let violation = Violation::new(Promise::OnlyWhatWasPublished, says);
        Some(violation.at(*position).of(id))
    }

    fn is_stored_once(&self, copies: &[&Stored]) -> Option<Violation> {
        let [first, .., last] = copies else {
            return None;
        };
        let says = format!("{} is {} and {}", first.id, first.position, last.position);
        let violation = Violation::new(Promise::StoredOnce, says);
        let violation = violation.at(first.position).at(last.position).of(&first.id);
        self.promises.deduplicated.then_some(violation)
    }
}

fn is_same(sent: &Message, stored: &Stored) -> bool {
    sent.partition == stored.position.partition
        && sent.key == stored.key
        && sent.payload == stored.payload
}

fn is_where_acknowledged(publication: &Publication<'_>, copies: &[&Stored]) -> Option<Violation> {
    let Message { id, partition, .. } = publication.message;
    let is_missing = |offset: &&Option<Offset>| match offset {
        Some(offset) => copies.iter().all(|copy| copy.position.offset != *offset),
        None => copies.is_empty(),
    };
    let missing = publication.acknowledged.iter().find(is_missing)?;
    let place = missing.map_or_else(String::new, |offset| format!(" as {partition}@{offset}"));
    let there = match copies {
        [] => "is not stored".to_owned(),
        [copy, ..] => format!("is {}", copy.position),
    };
    let says = format!("{id} was acknowledged{place} and {there}");
    Some(Violation::new(Promise::AcknowledgedIsStored, says).of(id))
}

fn is_behind_what_was_acknowledged(
    publication: &Publication<'_>,
    copies: &[&Stored],
) -> Option<Violation> {
    let (floor, before) = publication.floor?;
    let copy = copies.iter().find(|copy| copy.position.offset <= floor)?;
    let says = format!(
        "{} is {}, but {before} had been acknowledged at {floor} before it was sent",
        copy.id, copy.position
    );
    let violation = Violation::new(Promise::OffsetsFollowPublishing, says);
    Some(violation.at(copy.position).of(&copy.id).of(before))
}

fn is_behind_its_batch(
    publication: &Publication<'_>,
    copies: &HashMap<&str, Vec<&Stored>>,
) -> Option<Violation> {
    let first = |id: &str| copies.get(id).and_then(|copies| copies.first());
    let before = first(publication.behind?)?;
    let own = first(&publication.message.id)?;
    let says = format!("{} is {}, before {}", own.id, own.position, before.id);
    let violation = Violation::new(Promise::OffsetsFollowPublishing, says);
    let violation = violation.at(own.position).at(before.position);
    (own.position < before.position).then(|| violation.of(&own.id).of(&before.id))
}
