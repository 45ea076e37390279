use serde::Serialize;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio_util::sync::CancellationToken;

/// Which of the messages numbered from 0 have arrived, shared by all consumers of a group.
pub(crate) struct Arrivals {
    /// A bit for each message.
    seen: Vec<AtomicU64>,
    expected: u64,
    keys: Option<NonZeroU64>,
    distinct: AtomicU64,
    twice: AtomicU64,
    out_of_order: AtomicU64,
    complete: CancellationToken,
}

/// What a message was when it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    First,
    Again,
    /// None of ours.
    Foreign,
}

/// What came of the messages that were published.
#[derive(Debug, Serialize)]
pub(crate) struct Delivery {
    pub(crate) expected: u64,
    pub(crate) missing: u64,
    /// Deliveries of messages that had arrived already.
    pub(crate) twice: u64,
    /// Messages that arrived before the one before them of their key; `None` without keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    out_of_order: Option<u64>,
}

impl Arrivals {
    /// With `keys`, message `n` has the key `n % keys`.
    pub(crate) fn new(expected: u64, keys: Option<NonZeroU64>) -> Self {
        let words = (0..expected.div_ceil(64)).map(|_| AtomicU64::new(0));
        Self {
            seen: words.collect(),
            expected,
            keys,
            distinct: AtomicU64::new(0),
            twice: AtomicU64::new(0),
            out_of_order: AtomicU64::new(0),
            complete: CancellationToken::new(),
        }
    }

    /// Takes down a message that a consumer holds now, before it is acknowledged.
    pub(crate) fn mark(&self, number: Option<u64>) -> Arrival {
        let Some(number) = number.filter(|number| *number < self.expected) else {
            return Arrival::Foreign;
        };
        let (word, bit) = self.place(number);
        if word.fetch_or(bit, Relaxed) & bit != 0 {
            self.twice.fetch_add(1, Relaxed);
            return Arrival::Again;
        }
        let before = self.keys.and_then(|keys| number.checked_sub(keys.get()));
        if before.is_some_and(|before| !self.has(before)) {
            self.out_of_order.fetch_add(1, Relaxed);
        }
        if self.distinct.fetch_add(1, Relaxed) + 1 == self.expected {
            self.complete.cancel();
        }
        Arrival::First
    }

    fn has(&self, number: u64) -> bool {
        let (word, bit) = self.place(number);
        word.load(Relaxed) & bit != 0
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "numbers are below the length of a Vec"
    )]
    fn place(&self, number: u64) -> (&AtomicU64, u64) {
        (&self.seen[(number / 64) as usize], 1 << (number % 64))
    }

    /// Waits until each message has arrived. Cancel-safe.
    pub(crate) async fn complete(&self) {
        self.complete.cancelled().await;
    }

    pub(crate) fn delivery(&self) -> Delivery {
        Delivery {
            expected: self.expected,
            missing: self.expected - self.distinct.load(Relaxed),
            twice: self.twice.load(Relaxed),
            out_of_order: self.keys.map(|_| self.out_of_order.load(Relaxed)),
        }
    }
}

impl Delivery {
    pub(crate) fn text(&self) -> String {
        let Self {
            expected,
            missing,
            twice,
            ..
        } = self;
        let mut text = format!("of {expected} messages {missing} missing, {twice} twice");
        if let Some(out_of_order) = self.out_of_order {
            text.push_str(&format!(", {out_of_order} out of their key's order"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_and_repeated_messages_are_told() {
        let arrivals = Arrivals::new(100, None);
        for number in (0..99).chain([5, 6]) {
            arrivals.mark(Some(number));
        }
        assert_eq!(arrivals.mark(Some(100)), Arrival::Foreign);
        assert_eq!(arrivals.mark(None), Arrival::Foreign);
        let told = arrivals.delivery().text();
        assert_eq!(told, "of 100 messages 1 missing, 2 twice");
        assert!(!arrivals.complete.is_cancelled());
        assert_eq!(arrivals.mark(Some(99)), Arrival::First);
        assert!(arrivals.complete.is_cancelled());
    }

    #[test]
    fn order_counts_within_a_key_only() {
        let arrivals = Arrivals::new(6, NonZeroU64::new(2));
        for number in [1, 0, 3, 4, 2, 5] {
            arrivals.mark(Some(number));
        }
        // 4 came before 2; 1 and 3 may come before 0 and 2.
        assert_eq!(arrivals.delivery().out_of_order, Some(1));
    }
}
