//! Messages of a key wait for each other.

use super::story::Story;
use crate::history::{Ordering, Outcome, Promise, Verb};

#[test]
fn two_messages_of_a_key_at_once_are_found() {
    let mut story = Story::with(&["m", "n"]);
    let first = story.lease("a", 0, 1);
    story.finish(1);
    story.ack("a", &first);
    story.breaks(Promise::OrderIsKept);
    story.promises.ordering = Ordering::None;
    story.is_good();
}

#[test]
fn a_message_before_an_earlier_one_of_its_key_is_found() {
    let mut story = Story::with(&["m", "n"]);
    story.finish(1);
    story.finish(0);
    story.breaks(Promise::OrderIsKept);
}

#[test]
fn other_keys_flow_on_unless_the_partition_is_ordered() {
    let mut story = Story::with(&["m", "other"]);
    let first = story.lease("a", 0, 1);
    story.finish(1);
    story.ack("a", &first);
    story.is_good();
    story.promises.ordering = Ordering::Partition;
    story.breaks(Promise::OrderIsKept);
}

#[test]
fn an_unanswered_ack_lets_the_key_go_on_for_good() {
    let mut story = Story::with(&["m", "n"]);
    let first = story.lease("a", 0, 1);
    let op = story.send("a", Verb::Ack, &first);
    story.complete(op, Outcome::Unknown);
    story.finish(1);
    story.is_good();
    let again = story.lease("a", 0, 2);
    story.ack("a", &again);
    story.breaks(Promise::OrderIsKept);
}

#[test]
fn a_dead_letter_lets_its_key_go_on_from_then() {
    let mut story = Story::with(&["m", "n"]);
    for attempt in 1..=2 {
        let held = story.lease("a", 0, attempt);
        story.nack("a", &held);
    }
    let mut early = Story::with(&["m", "n"]);
    early.finish(1);
    early.bury(0, 2);
    early.breaks(Promise::OrderIsKept);
    story.bury(0, 2);
    story.finish(1);
    story.is_good();
}
