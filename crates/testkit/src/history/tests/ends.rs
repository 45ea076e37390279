//! How messages end: acked, or dead.

use super::story::{SECOND, Story};
use super::{NACK, leased};
use crate::history::{Call, Outcome, Promise, Status, Verb};

#[test]
fn an_acked_message_that_comes_again_is_found() {
    let (mut story, held) = leased();
    story.ack("a", &held);
    story.kill();
    story.start();
    story.lease("b", 0, 2);
    story.breaks(Promise::AckedIsFinished);
}

#[test]
fn an_unanswered_ack_may_count_or_not() {
    let (mut story, held) = leased();
    let op = story.send("a", Verb::Ack, &held);
    story.complete(op, Outcome::Unknown);
    story.is_good();
    story.kill();
    story.start();
    let second = story.lease("b", 0, 1);
    story.ack("b", &second);
    story.is_good();
}

#[test]
fn a_refused_holder_is_found() {
    let (mut story, held) = leased();
    story.settle("a", Verb::Ack, &held, Status::LeaseExpired);
    story.pass(SECOND);
    let second = story.lease("b", 0, 2);
    story.ack("b", &second);
    story.breaks(Promise::LeaseIsHonoured);
}

#[test]
fn a_second_ack_that_is_refused_is_found() {
    let (mut story, held) = leased();
    story.ack("a", &held);
    story.settle("a", Verb::Ack, &held, Status::LeaseExpired);
    story.breaks(Promise::LeaseIsHonoured);
}

#[test]
fn a_receipt_that_the_broker_does_not_know_is_found() {
    let (mut story, held) = leased();
    story.kill();
    story.start();
    story.settle("a", Verb::Ack, &held, Status::Unknown);
    story.finish(0);
    story.breaks(Promise::LeaseIsHonoured);
}

#[test]
fn a_nack_after_an_ack_is_too_late_and_good() {
    let (mut story, held) = leased();
    story.ack("a", &held);
    story.settle("a", NACK, &held, Status::LeaseExpired);
    story.is_good();
}

#[test]
fn a_message_that_is_never_finished_is_found() {
    let (mut story, held) = leased();
    story.nack("a", &held);
    story.breaks(Promise::NothingIsForgotten);
}

#[test]
fn a_message_that_is_acked_and_dead_is_found() {
    let (mut story, held) = leased();
    story.ack("a", &held);
    story.bury(0, 2);
    story.breaks(Promise::DeadLetteredOnce);
}

#[test]
fn an_ack_of_a_dead_letter_is_good() {
    let (mut story, held) = leased();
    story.nack("a", &held);
    story.bury(0, 2);
    story.pass(SECOND);
    story.ack("a", &held);
    story.is_good();
}

#[test]
fn a_message_that_died_twice_is_found() {
    let mut story = Story::with(&["m"]);
    story.bury(0, 2);
    story.bury(0, 2);
    story.breaks(Promise::DeadLetteredOnce);
}

#[test]
fn a_dead_letter_that_should_not_be_is_found() {
    let mut early = Story::with(&["m"]);
    early.bury(0, 1);
    early.breaks(Promise::DeadLetteredOnce);
    let mut altered = Story::with(&["m"]);
    altered.bury(0, 2);
    altered.found.dead_letters[0].payload = "{}".to_owned();
    altered.breaks(Promise::DeadLetteredOnce);
    let mut unwanted = Story::with(&["m"]);
    unwanted.bury(0, 2);
    unwanted.is_good();
    unwanted.promises.max_deliveries = None;
    unwanted.breaks(Promise::DeadLetteredOnce);
}

#[test]
fn a_dead_message_that_is_delivered_is_found() {
    let mut story = Story::with(&["m"]);
    story.bury(0, 2);
    story.lease("a", 0, 2);
    story.breaks(Promise::DeliveriesAreLimited);
}

#[test]
fn a_refused_request_is_found() {
    let mut story = Story::new();
    let op = story.invoke(
        "a",
        Call::Lease {
            visibility_timeout: SECOND,
        },
    );
    story.complete(op, Outcome::Refused("500 why".to_owned()));
    story.breaks(Promise::RequestsAreAnswered);
}
