//! `kill -9`, again and again, on one data directory.

use crate::broker;
use crate::load::{Load, seed};
use fastrand::Rng;
use std::time::Duration;
use weir_testkit::{BrokerProcess, BrokerSetup, eventually};

const KILLS: u32 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_nothing_acknowledged_is_lost_when_killed_under_load() {
    let seed = seed();
    let mut rng = Rng::with_seed(seed);
    let mut load = Load::new(seed);
    let setup = broker();
    for kill in 0..KILLS {
        kill_while_starting(&setup, &mut rng).await;
        let running = setup.start().await;
        check_findings(&running);
        if kill == 0 {
            load.create_topics(&running).await;
        }
        load.check_logs(&running).await;
        load.ack_late(&running).await;
        kill_under_load(running, &mut load, &mut rng).await;
    }

    let running = setup.start().await;
    check_findings(&running);
    let log = load.check_logs(&running).await;
    load.check_groups(&running, &log).await;
    running.kill_9();
    load.end().await;
    // Those were the last acks, and they are as durable as all others.
    let running = setup.start().await;
    load.check_groups(&running, &log).await;
    let (acknowledged, acked) = load.counts();
    println!(
        "{acknowledged} messages acknowledged, {acked} acked, {} stored",
        log.len()
    );
}

/// Lets at least some requests succeed, and kills at any moment of some later ones.
async fn kill_under_load(running: BrokerProcess, load: &mut Load, rng: &mut Rng) {
    let (published, acked) = load.counts();
    let wanted = (published + rng.usize(1..400), acked + rng.usize(..100));
    load.begin(&running);
    eventually("publishes and acks", async || {
        let counts = load.counts();
        (counts.0 >= wanted.0 && counts.1 >= wanted.1).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_micros(rng.u64(..20_000))).await;
    running.kill_9();
    load.end().await;
}

/// Sometimes the start itself is interrupted: recovery must stand that, too.
async fn kill_while_starting(setup: &BrokerSetup, rng: &mut Rng) {
    if rng.u32(..3) == 0 {
        let starting = setup.launch();
        tokio::time::sleep(Duration::from_micros(rng.u64(..40_000))).await;
        starting.kill_9();
    }
}

/// A killed process may leave a torn tail, but no damage.
fn check_findings(running: &BrokerProcess) {
    let log = running.log();
    for line in log
        .lines()
        .iter()
        .filter(|line| line.message() == "recovery")
    {
        let finding = line.field("finding");
        let expected = ["interrupted write", "restored the last line's newline"];
        assert!(
            expected.iter().any(|kind| finding.contains(kind)),
            "{finding}"
        );
    }
}
