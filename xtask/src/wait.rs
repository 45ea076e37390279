//! Waiting for what nobody notifies us of: other processes' ports and memory, by polling.

use std::time::{Duration, Instant};

const POLL_EVERY: Duration = Duration::from_millis(200);

/// Calls `ready` every 200 ms until it gives something, for `limit` at most.
pub(crate) fn wait_for<T>(limit: Duration, mut ready: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = ready() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        pause(POLL_EVERY);
    }
}

/// Lets time pass that is itself what is measured, or that lies between two looks.
#[expect(
    clippy::disallowed_methods,
    reason = "a foreign process tells us neither when its port opens nor when its memory settles"
)]
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_up_at_the_limit_and_looks_at_least_once() {
        assert_eq!(wait_for(Duration::ZERO, || Some(1)), Some(1));
        assert_eq!(wait_for(Duration::ZERO, || None::<u8>), None);
    }
}
