//! Kills a broker again and again under clients of all manners, and checks what they saw.
//!
//! `cargo run -p weir-testkit --example history -- --broker target/debug/weir-broker --cycles 1000`

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "it is a test that is run by hand"
)]

use std::process::ExitCode;
use weir_testkit::BrokerSetup;
use weir_testkit::history::{Ending, Features, Plan, live};

/// Kills on one data directory, between two checks.
const KILLS_AT_A_TIME: u32 = 50;
const HELP: &str = "--broker PATH [--cycles N] [--seed S] \
                    [--without dedupe,key-order,dead-letters,group-stream]";

struct Arguments {
    broker: String,
    cycles: u32,
    seed: u64,
    features: Features,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::read(std::env::args().skip(1));
    let rounds = arguments.cycles.div_ceil(KILLS_AT_A_TIME);
    for (round, seed) in (1..=rounds).zip(arguments.seed..) {
        let plan = Plan {
            seed,
            kills: KILLS_AT_A_TIME.min(arguments.cycles),
            ending: Ending::Killed,
            features: arguments.features,
        };
        println!(
            "round {round} of {rounds}: --cycles {} --seed {seed}",
            plan.kills
        );
        let lived = live(&BrokerSetup::new(&arguments.broker), &plan).await;
        let violations = lived.violations();
        print!("{}", lived.report(&violations));
        if !violations.is_empty() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

impl Arguments {
    fn read(mut given: impl Iterator<Item = String>) -> Self {
        let mut arguments = Self {
            broker: "target/debug/weir-broker".to_owned(),
            cycles: KILLS_AT_A_TIME,
            seed: fastrand::u64(..u64::MAX / 2),
            features: Features::ALL,
        };
        while let Some(name) = given.next() {
            let value = given.next().expect(HELP);
            match name.as_str() {
                "--broker" => arguments.broker = value,
                "--cycles" => arguments.cycles = value.parse().expect("a number of kills"),
                "--seed" => arguments.seed = value.parse().expect("a number"),
                "--without" => value.split(',').for_each(|name| arguments.leave_out(name)),
                _ => panic!("{HELP}"),
            }
        }
        arguments
    }

    fn leave_out(&mut self, name: &str) {
        let feature = match name {
            "dedupe" => &mut self.features.dedupe,
            "key-order" => &mut self.features.key_order,
            "dead-letters" => &mut self.features.dead_letters,
            "group-stream" => &mut self.features.group_stream,
            _ => panic!("{HELP}"),
        };
        *feature = false;
    }
}
