//! From what became of a delivery to what becomes of the message.

use super::task::Outcome;
use crate::group::{GroupClient, GroupClosed, ReceiptAction, Redelivery};
use std::time::Duration;
use weir_protocol::Receipt;

/// What the group is told. `backoff` is how long the group would make the message wait.
fn action(outcome: Outcome, backoff: Duration) -> ReceiptAction {
    let nack = |redelivery, reason| ReceiptAction::Nack {
        redelivery,
        reason: Some(reason),
    };
    match outcome {
        Outcome::Done => ReceiptAction::Ack,
        Outcome::Returned { delay, reason } => nack(
            delay.map_or(Redelivery::ByBackoff, Redelivery::After),
            reason,
        ),
        Outcome::Refused { reason } => nack(Redelivery::Never, reason),
        Outcome::Failed {
            reason,
            retry_after,
        } => {
            let later = |rest: Duration| Redelivery::After(rest.max(backoff));
            nack(retry_after.map_or(Redelivery::ByBackoff, later), reason)
        }
        Outcome::Unreachable { .. } => ReceiptAction::Release,
    }
}

/// Tells the group what became of a message. What cannot be told comes back when its lease ends.
pub(crate) async fn settle(client: GroupClient, receipt: Receipt, outcome: Outcome) {
    let backoff = match outcome {
        Outcome::Failed {
            retry_after: Some(_),
            ..
        } => backoff_of(&client, receipt.delivery_attempt).await,
        _ => Duration::ZERO,
    };
    tell(&client, receipt, action(outcome, backoff)).await;
}

/// Gives a message back that went nowhere.
pub(crate) async fn release(client: GroupClient, receipt: Receipt) {
    tell(&client, receipt, ReceiptAction::Release).await;
}

async fn backoff_of(client: &GroupClient, attempt: u32) -> Duration {
    let group = client.describe().await;
    group.map_or(Duration::ZERO, |group| {
        group.retry_backoff.delay(attempt, fastrand::u64(..))
    })
}

async fn tell(client: &GroupClient, receipt: Receipt, action: ReceiptAction) {
    let group = client.name();
    match client.settle(vec![receipt], action).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::warn!(%group, %error, "cannot settle what was pushed"),
        Err(GroupClosed) => tracing::debug!(%group, "closed before a push was settled"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Duration = Duration::from_secs(4);

    fn redelivery(outcome: Outcome) -> (Redelivery, String) {
        match action(outcome, BACKOFF) {
            ReceiptAction::Nack { redelivery, reason } => (redelivery, reason.unwrap()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_done_is_done_and_what_was_not_sent_was_no_attempt() {
        assert!(matches!(action(Outcome::Done, BACKOFF), ReceiptAction::Ack));
        let unreachable = action(Outcome::unreachable("refused"), BACKOFF);
        assert!(matches!(unreachable, ReceiptAction::Release));
    }

    #[test]
    fn what_failed_waits_and_keeps_its_reason() {
        let seconds = Duration::from_secs;
        let returned = |delay| Outcome::Returned {
            delay,
            reason: "busy".to_owned(),
        };
        let failed = |retry_after| Outcome::Failed {
            reason: "status 503".to_owned(),
            retry_after,
        };
        for (outcome, expected) in [
            (returned(None), Redelivery::ByBackoff),
            (returned(Some(seconds(1))), Redelivery::After(seconds(1))),
            (failed(None), Redelivery::ByBackoff),
            (failed(Some(seconds(9))), Redelivery::After(seconds(9))),
            (failed(Some(seconds(1))), Redelivery::After(BACKOFF)),
            (Outcome::refused("status 400"), Redelivery::Never),
        ] {
            let (found, reason) = redelivery(outcome.clone());
            assert_eq!(found, expected, "{outcome:?}");
            assert_eq!(Some(reason.as_str()), super::super::tally::reason(&outcome));
        }
    }
}
