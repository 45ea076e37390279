//! Random operations, faults, kills, power cuts and clean stops against a model of what was
//! acknowledged.
//!
//! A failing seed is printed; `WEIR_MODEL_SEED=<seed>` replays it alone, and
//! `WEIR_MODEL_SEEDS=<count>` runs that many instead of 10,000. The same seed gives the same trace:
//! the same calls to the file system, with the same results, and the same answers.

mod expected;
mod restart;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use world::World;

const SEEDS: u64 = 10_000;
/// Each a test of its own, so that they run at the same time.
const SHARES: u64 = 8;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Runs a seed; returns what tells its trace from others.
fn run(seed: u64) -> u64 {
    let mut world = World::new(seed);
    let result = catch_unwind(AssertUnwindSafe(|| world.run()));
    if let Err(panic) = result {
        eprintln!("replay with WEIR_MODEL_SEED={seed}; step {}", world.steps);
        std::panic::resume_unwind(panic);
    }
    world.trace
}

fn run_share(share: u64) {
    if let Some(seed) = number("WEIR_MODEL_SEED") {
        if seed % SHARES == share {
            run(seed);
        }
        return;
    }
    let seeds = number("WEIR_MODEL_SEEDS").unwrap_or(SEEDS);
    (0..seeds)
        .filter(|seed| seed % SHARES == share)
        .for_each(|seed| {
            run(seed);
        });
}

macro_rules! shares {
    ($($name:ident $share:literal)*) => {$(
        #[test]
        fn $name() {
            run_share($share);
        }
    )*};
}

shares! {
    slow_what_was_acknowledged_survives_0 0
    slow_what_was_acknowledged_survives_1 1
    slow_what_was_acknowledged_survives_2 2
    slow_what_was_acknowledged_survives_3 3
    slow_what_was_acknowledged_survives_4 4
    slow_what_was_acknowledged_survives_5 5
    slow_what_was_acknowledged_survives_6 6
    slow_what_was_acknowledged_survives_7 7
}

#[test]
fn what_was_acknowledged_survives_and_nothing_else_appears() {
    (0..100).for_each(|seed| {
        run(seed);
    });
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..40 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
    assert_ne!(run(1), run(2));
}
