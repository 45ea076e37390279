//! Keeping the log small.
//!
//! A segment of the log stays as long as one message in it waits. When most of a large log is about
//! messages that do not wait any more, the oldest that do are written anew at its end, so that one
//! of ten years ahead does not keep whatever came after it.

use super::index::Found;
use super::line::Line;
use super::task::Task;
use crate::broker::BrokerError;
use std::time::Duration;
use tokio::time::Instant;
use weir_commitlog::StoredLine;
use weir_types::Offset;

/// How often.
const INTERVAL: Duration = Duration::from_secs(10);
/// A smaller log is never cleaned.
const CLEAN_ABOVE_BYTES: u64 = 16 << 20;
/// A log is cleaned when it is this many times as large as what waits in it.
const CLEAN_ABOVE_RATIO: u64 = 4;
/// What one cleaning reads and writes at a time, and in all.
const CLEAN_MESSAGES: usize = 256;
const CLEAN_BATCH_BYTES: usize = 1 << 20;
const CLEAN_ROUNDS: usize = 16;

impl Task {
    /// How long until the next time, if there is anything that could be tidied.
    pub(super) fn until_tidy(&self) -> Duration {
        match self.log.start() == self.log.end() {
            true => Duration::MAX,
            false => self.next_tidy.saturating_duration_since(Instant::now()),
        }
    }

    /// Cleans and trims the log, if it is time.
    pub(super) async fn tidy(&mut self) -> Result<(), BrokerError> {
        if Instant::now() < self.next_tidy {
            return Ok(());
        }
        self.next_tidy = Instant::now() + INTERVAL;
        // What the cleaning writes is not cleaned again.
        let end = self.log.end();
        for _ in 0..CLEAN_ROUNDS {
            if !self.is_mostly_dead() || self.clean(end).await? == 0 {
                break;
            }
        }
        // Not before the index knows for good what the trimmed lines said.
        self.sync_index().await?;
        let floor = self.known.totals.lowest.unwrap_or(self.applied);
        self.log.trim(floor).await
    }

    fn is_mostly_dead(&self) -> bool {
        let bytes = self.log.bytes();
        bytes > CLEAN_ABOVE_BYTES && bytes > self.known.totals.live_bytes * CLEAN_ABOVE_RATIO
    }

    /// Writes the oldest messages below `end` anew; returns how many.
    async fn clean(&mut self, end: Offset) -> Result<usize, BrokerError> {
        let mut oldest = self
            .with_index(|index| index.oldest(CLEAN_MESSAGES))
            .await?;
        oldest.retain(|found| found.entry.offset < end);
        let offsets = oldest.iter().map(|found| found.entry.offset).collect();
        let lines = self.log.read_each(offsets, CLEAN_BATCH_BYTES).await?;
        let again: Vec<_> = oldest
            .iter()
            .zip(&lines)
            .filter_map(|(found, line)| again(found, line.as_ref()?))
            .collect();
        if !again.is_empty() {
            self.log.append(&again).await?;
            self.catch_up().await?;
        }
        Ok(again.len())
    }
}

/// The message as it is now, for another line. A damaged one stays where it is.
fn again<'a>(found: &Found, line: &'a StoredLine) -> Option<Line<'a>> {
    let Ok(Line::Scheduled(mut waiting)) = Line::read(&line.bytes) else {
        return None;
    };
    waiting.deliver_at = found.entry.deliver_at;
    waiting.seq = Some(found.entry.seq);
    waiting.delivering = found.entry.delivering;
    Some(Line::Scheduled(waiting))
}
