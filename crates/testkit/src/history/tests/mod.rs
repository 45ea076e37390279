//! Every promise is broken once, and what only looks like it is let through.

mod ends;
mod leases;
mod order;
mod publishing;
mod story;

use super::Verb;
use story::{Held, Story};

const NACK: Verb = Verb::Nack { delay: None };

/// "m" in the hands of "a".
fn leased() -> (Story, Held) {
    let mut story = Story::with(&["m"]);
    let held = story.lease("a", 0, 1);
    (story, held)
}

#[test]
fn a_quiet_life_is_good() {
    let mut story = Story::with(&["m", "n"]);
    story.finish(0);
    story.finish(1);
    story.is_good();
}

#[test]
fn an_excerpt_shows_one_message_from_its_publishing_to_its_end() {
    let mut story = Story::with(&["other", "m"]);
    story.finish(0);
    let held = story.lease("a", 1, 1);
    story.ack("a", &held);
    story.kill();
    story.start();
    let second = story.lease("b", 1, 2);
    story.ack("b", &second);
    let violations = story.violations();
    assert_eq!(violations.len(), 1);
    let excerpt = story.excerpt(&violations[0]);
    assert_eq!(
        excerpt.lines().collect::<Vec<_>>(),
        [
            "AckedIsFinished: b got 0@1 as attempt 2, after it was acked",
            "      0.030 producer #1: publish 1 messages: m (key k, partition 0)",
            "      0.040 producer #1: published @1",
            "      0.110 a #4: leased 0@1 = m (key k), attempt 1, for 1s until 1.100",
            "      0.130 a #5: ack 0@1 (attempt 1)",
            "      0.140 a #5: Acked",
            "      0.150 -- broker killed (1)",
            "      0.160 -- broker started (2)",
            "      0.180 b #6: leased 0@1 = m (key k), attempt 2, for 1s until 1.170",
            "      0.200 b #7: ack 0@1 (attempt 2)",
            "      0.210 b #7: Acked",
        ]
    );
}
