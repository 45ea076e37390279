use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A budget of bytes for all request bodies that are held at a time. Clones share it.
#[derive(Clone, Debug)]
pub struct InFlight(Arc<Budget>);

#[derive(Debug)]
struct Budget {
    max_bytes: usize,
    used_bytes: AtomicUsize,
}

impl InFlight {
    /// A budget of `max_bytes`.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self(Arc::new(Budget {
            max_bytes,
            used_bytes: AtomicUsize::new(0),
        }))
    }

    /// Takes `bytes` from the budget until the reservation is dropped; `None` if they are not
    /// there. Never waits.
    #[must_use]
    pub fn try_reserve(&self, bytes: usize) -> Option<Reservation> {
        let mut reservation = Reservation {
            budget: Arc::clone(&self.0),
            bytes: 0,
        };
        reservation.try_grow(bytes).then_some(reservation)
    }

    /// Bytes that are reserved now.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        self.0.used_bytes.load(Ordering::Relaxed)
    }
}

/// A share of an [`InFlight`] budget; returns it when dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Reservation {
    /// Takes `more` bytes; `false`, and nothing taken, if they are not there.
    #[must_use]
    pub fn try_grow(&mut self, more: usize) -> bool {
        let max_bytes = self.budget.max_bytes;
        let grown =
            self.budget
                .used_bytes
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                    used.checked_add(more).filter(|&used| used <= max_bytes)
                });
        if grown.is_ok() {
            self.bytes += more;
        }
        grown.is_ok()
    }

    /// Bytes this reservation holds.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget
            .used_bytes
            .fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_never_exceeded_and_comes_back() {
        let in_flight = InFlight::new(10);
        let mut first = in_flight.try_reserve(6).unwrap();
        assert!(in_flight.try_reserve(5).is_none());
        assert!(first.try_grow(4));
        assert!(!first.try_grow(1));
        assert_eq!((first.bytes(), in_flight.used_bytes()), (10, 10));
        drop(first);
        assert!(in_flight.try_reserve(usize::MAX).is_none());
        assert_eq!(in_flight.used_bytes(), 0);
    }
}
