//! What is published is stored, once, in order.

use super::story::{SECOND, Story, message};
use crate::history::{Call, Outcome, Promise};
use weir_types::Offset;

#[test]
fn an_acknowledged_message_that_is_gone_is_found() {
    let mut story = Story::with(&["m", "n"]);
    story.finish(0);
    story.found.log.pop();
    story.breaks(Promise::AcknowledgedIsStored);
}

#[test]
fn an_acknowledged_message_elsewhere_is_found() {
    let mut story = Story::new();
    let op = story.invoke("producer", Call::Publish(vec![message("m")]));
    story.complete(op, Outcome::Published(vec![Some(Offset(7))]));
    story.store("m");
    story.finish(0);
    story.breaks(Promise::AcknowledgedIsStored);
}

#[test]
fn an_acknowledgement_without_an_offset_counts() {
    let mut story = Story::new();
    let op = story.invoke("producer", Call::Publish(vec![message("m")]));
    story.complete(op, Outcome::Published(vec![None]));
    story.breaks(Promise::AcknowledgedIsStored);
}

#[test]
fn what_was_not_acknowledged_may_be_stored_or_not() {
    let mut story = Story::new();
    for id in ["m", "n"] {
        let op = story.invoke("producer", Call::Publish(vec![message(id)]));
        story.complete(op, Outcome::Unknown);
    }
    story.store("n");
    story.finish(0);
    story.is_good();
}

#[test]
fn a_stored_message_that_nobody_published_is_found() {
    let mut story = Story::new();
    story.store("m");
    story.finish(0);
    story.breaks(Promise::OnlyWhatWasPublished);
}

#[test]
fn an_altered_message_is_found() {
    let mut story = Story::with(&["m"]);
    story.found.log[0].key = None;
    let op = story.invoke(
        "a",
        Call::Lease {
            visibility_timeout: SECOND,
        },
    );
    let held = story.delivered(op, 0, 1);
    story.complete(op, Outcome::Leased);
    story.ack("a", &held);
    story.breaks(Promise::OnlyWhatWasPublished);
}

#[test]
fn a_delivery_of_what_is_not_stored_is_found() {
    let mut story = Story::new();
    story.lease("a", 3, 1);
    story.breaks(Promise::OnlyWhatWasPublished);
}

#[test]
fn a_retry_that_is_stored_again_is_found() {
    let mut story = Story::with(&["m"]);
    story.store("m");
    story.finish(0);
    story.finish(1);
    story.breaks(Promise::StoredOnce);
    story.promises.deduplicated = false;
    story.is_good();
}

#[test]
fn a_message_before_one_that_was_acknowledged_first_is_found() {
    let mut story = Story::new();
    for (id, offset) in [("m", 1), ("n", 0)] {
        let op = story.invoke("producer", Call::Publish(vec![message(id)]));
        story.complete(op, Outcome::Published(vec![Some(Offset(offset))]));
    }
    story.store("n");
    story.store("m");
    story.finish(0);
    story.finish(1);
    story.breaks(Promise::OffsetsFollowPublishing);
}

#[test]
fn messages_on_their_way_at_the_same_time_may_be_stored_in_any_order() {
    let mut story = Story::new();
    let first = story.invoke("producer", Call::Publish(vec![message("m")]));
    let second = story.invoke("another", Call::Publish(vec![message("n")]));
    story.complete(first, Outcome::Published(vec![Some(Offset(1))]));
    story.complete(second, Outcome::Published(vec![Some(Offset(0))]));
    story.store("n");
    story.store("m");
    story.finish(0);
    story.finish(1);
    story.is_good();
}

#[test]
fn a_batch_in_another_order_is_found() {
    let mut story = Story::new();
    let batch = vec![message("m"), message("n")];
    let op = story.invoke("producer", Call::Publish(batch));
    story.complete(op, Outcome::Published(vec![None, None]));
    story.store("n");
    story.store("m");
    story.finish(0);
    story.finish(1);
    story.breaks(Promise::OffsetsFollowPublishing);
}

#[test]
fn offsets_that_fall_are_found() {
    let mut story = Story::with(&["m", "n"]);
    story.finish(0);
    story.finish(1);
    story.found.log.swap(0, 1);
    story.breaks(Promise::OffsetsFollowPublishing);
}
