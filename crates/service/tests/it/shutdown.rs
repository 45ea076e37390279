//! Signals to this very process.

use crate::support::PATIENCE;
use std::process::Command;
use tokio::time::timeout;
use weir_service::shutdown::{Signal, Signals};

fn send_to_myself(signal: &str) {
    let kill = format!("kill -{signal} $PPID");
    let sent = Command::new("sh").args(["-c", &kill]).status();
    assert!(sent.unwrap().success());
}

#[tokio::test]
async fn both_signals_are_told_apart_and_a_second_one_is_not_lost() {
    let mut signals = Signals::listen().unwrap();
    send_to_myself("TERM");
    assert_eq!(
        timeout(PATIENCE, signals.next()).await,
        Ok(Signal::Terminate)
    );
    send_to_myself("INT");
    assert_eq!(
        timeout(PATIENCE, signals.next()).await,
        Ok(Signal::Interrupt)
    );
}
