//! The way of leased messages from a group's task to the caller.
//!
//! A caller may go away at any moment, also when its answer was sent and it has not looked yet. So an
//! answer that is dropped unseen leaves the receipts behind, and the task gives the messages back.

use super::delivery::Leased;
use crate::broker::BrokerError;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use weir_protocol::Receipt;

/// Receipts of answers that nobody saw. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Unclaimed(Arc<Left>);

#[derive(Debug, Default)]
struct Left {
    receipts: Mutex<Vec<Receipt>>,
    has_come: Notify,
}

impl Unclaimed {
    /// Returns when an answer was left since the last call. Cancel-safe.
    pub(super) async fn has_come(&self) {
        self.0.has_come.notified().await;
    }

    /// All that was left.
    pub(super) fn take(&self) -> Vec<Receipt> {
        mem::take(&mut self.receipts())
    }

    fn leave(&self, leased: &Leased) {
        if !leased.messages.is_empty() {
            let receipts = leased.messages.iter().map(|message| message.receipt);
            self.receipts().extend(receipts);
            self.0.has_come.notify_one();
        }
    }

    fn receipts(&self) -> std::sync::MutexGuard<'_, Vec<Receipt>> {
        let receipts = self.0.receipts.lock();
        receipts.unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer on its way.
#[derive(Debug)]
pub(super) struct HandedOver {
    /// `None` once it was claimed.
    answer: Option<Result<Leased, BrokerError>>,
    unclaimed: Unclaimed,
}

impl HandedOver {
    pub(super) fn new(answer: Result<Leased, BrokerError>, unclaimed: &Unclaimed) -> Self {
        Self {
            answer: Some(answer),
            unclaimed: unclaimed.clone(),
        }
    }

    /// The caller has it: from now on what it does with the messages is its own affair.
    pub(super) fn claim(mut self) -> Result<Leased, BrokerError> {
        self.answer.take().unwrap_or_else(|| Ok(Leased::default()))
    }
}

impl Drop for HandedOver {
    fn drop(&mut self) {
        if let Some(Ok(leased)) = &self.answer {
            self.unclaimed.leave(leased);
        }
    }
}
