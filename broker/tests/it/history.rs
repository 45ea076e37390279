//! Clients of all manners, `kill -9`, and everything they were promised.

use crate::broker;
use crate::load::seed;
use weir_testkit::history::{Ending, Features, Plan, live};

/// What this broker has.
const FEATURES: Features = Features::ALL;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_fifty_kill_cycles_keep_every_promise() {
    let plan = Plan {
        seed: seed(),
        kills: 50,
        ending: Ending::Killed,
        features: FEATURES,
    };
    let lived = live(&broker(), &plan).await;
    let violations = lived.violations();
    let report = lived.report(&violations);
    println!("{report}");
    assert!(violations.is_empty(), "{report}");
    let volume = lived.volume();
    assert!(
        volume.later_attempts > 0 && volume.unanswered > 0,
        "{report}"
    );
}
