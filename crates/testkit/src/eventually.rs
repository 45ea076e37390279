use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Far beyond what a healthy run needs, also on a busy machine; only a failing test waits for it.
const LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(5);

/// Asks `condition` until it answers `Some`.
///
/// # Panics
/// It never did; the message names `what` was waited for.
pub async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let until = Instant::now() + LIMIT;
    loop {
        if let Some(met) = condition().await {
            return met;
        }
        assert!(Instant::now() < until, "waited {LIMIT:?} for {what}");
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn asks_until_it_is_so() {
        let mut asked = 0;
        let met = eventually("the third time", async || {
            asked += 1;
            (asked == 3).then_some(asked)
        });
        assert_eq!(met.await, 3);
    }
}
