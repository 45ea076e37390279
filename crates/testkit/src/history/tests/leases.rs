//! One lease at a time, as long as it was promised; attempts rise.

use super::NACK;
use super::leased;
use super::story::{SECOND, Story};
use crate::history::{Outcome, Promise, Status, Verb};
use std::time::Duration;

fn nack_for(delay: Duration) -> Verb {
    Verb::Nack { delay: Some(delay) }
}

fn extend_by(visibility_timeout: Duration) -> Verb {
    Verb::Extend { visibility_timeout }
}

#[test]
fn a_message_in_two_hands_is_found() {
    let (mut story, _held) = leased();
    let second = story.lease("b", 0, 2);
    story.ack("b", &second);
    story.breaks(Promise::OneLeaseAtATime);
}

#[test]
fn an_expired_lease_is_over() {
    let (mut story, held) = leased();
    story.pass(SECOND);
    let second = story.lease("b", 0, 2);
    story.settle("a", Verb::Ack, &held, Status::LeaseExpired);
    story.ack("b", &second);
    story.is_good();
}

#[test]
fn an_extended_lease_lasts_longer() {
    let (mut story, held) = leased();
    story.settle("a", extend_by(SECOND * 9), &held, Status::Extended);
    story.pass(SECOND * 2);
    let second = story.lease("b", 0, 2);
    story.ack("b", &second);
    story.breaks(Promise::OneLeaseAtATime);
}

#[test]
fn an_unanswered_extend_may_have_shortened_a_lease() {
    let (mut story, held) = leased();
    let op = story.send("a", extend_by(Duration::from_millis(1)), &held);
    story.complete(op, Outcome::Unknown);
    let second = story.lease("b", 0, 2);
    story.ack("b", &second);
    story.is_good();
}

#[test]
fn an_unanswered_nack_may_have_ended_a_lease() {
    let (mut story, held) = leased();
    let op = story.send("a", NACK, &held);
    let second = story.lease("b", 0, 2);
    story.complete(op, Outcome::Unknown);
    story.ack("b", &second);
    story.is_good();
}

#[test]
fn a_restart_ends_leases_and_forgets_the_attempts_under_way() {
    let (mut story, held) = leased();
    story.kill();
    story.start();
    let second = story.lease("b", 0, 1);
    story.settle("a", Verb::Ack, &held, Status::LeaseExpired);
    story.ack("b", &second);
    story.is_good();
}

#[test]
fn a_closed_stream_gives_back_what_it_brought() {
    let mut story = Story::with(&["m"]);
    let op = story.open_stream("a");
    story.delivered(op, 0, 1);
    story.complete(op, Outcome::Closed);
    let second = story.lease("b", 0, 1);
    story.ack("b", &second);
    story.is_good();
}

#[test]
fn an_open_stream_holds_what_it_brought() {
    let mut story = Story::with(&["m"]);
    let op = story.open_stream("a");
    story.delivered(op, 0, 1);
    let second = story.lease("b", 0, 2);
    story.complete(op, Outcome::Closed);
    story.ack("b", &second);
    story.breaks(Promise::OneLeaseAtATime);
}

#[test]
fn an_attempt_that_comes_twice_is_found() {
    let (mut story, _held) = leased();
    story.pass(SECOND);
    let second = story.lease("b", 0, 1);
    story.ack("b", &second);
    story.breaks(Promise::AttemptsRise);
}

#[test]
fn a_nack_that_is_forgotten_by_a_restart_is_found() {
    let (mut story, held) = leased();
    story.nack("a", &held);
    story.kill();
    story.start();
    story.finish(0);
    story.breaks(Promise::AttemptsRise);
}

#[test]
fn more_attempts_than_allowed_are_found() {
    let (mut story, held) = leased();
    story.nack("a", &held);
    let second = story.lease("a", 0, 2);
    story.nack("a", &second);
    let third = story.lease("a", 0, 3);
    story.ack("a", &third);
    story.breaks(Promise::DeliveriesAreLimited);
}

#[test]
fn a_delivery_before_its_delay_is_found() {
    let (mut story, held) = leased();
    story.settle("a", nack_for(SECOND * 5), &held, Status::Nacked);
    story.pass(SECOND * 4);
    let second = story.lease("a", 0, 2);
    story.ack("a", &second);
    story.breaks(Promise::DelayIsHonoured);
}

#[test]
fn a_delivery_after_its_delay_is_good() {
    let (mut story, held) = leased();
    story.settle("a", nack_for(SECOND * 5), &held, Status::Nacked);
    story.pass(SECOND * 5);
    let second = story.lease("a", 0, 2);
    story.ack("a", &second);
    story.is_good();
}
