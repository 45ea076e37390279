//! Moves to the dead-letter topic that wait or are under way.

use super::super::dead_letters::{DeadLetters, Moved};
use super::super::partition::Exhausted;
use super::GroupPartition;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use std::collections::VecDeque;
use weir_types::{Incarnation, Offset, PartitionId};

/// Moves that are under way at one time; the rest waits, bounded by what may be in flight.
const MOVES: usize = 16;

/// Which message a move is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) partition: PartitionId,
    /// Of the group in that partition, when the move was decided.
    pub(super) incarnation: Incarnation,
    pub(super) offset: Offset,
}

/// The moves of a group.
pub(super) struct Moves {
    letters: DeadLetters,
    waiting: VecDeque<(Place, Exhausted)>,
    under_way: FuturesUnordered<BoxFuture<'static, (Place, Moved)>>,
}

impl Moves {
    pub(super) fn new(letters: DeadLetters) -> Self {
        Self {
            letters,
            waiting: VecDeque::new(),
            under_way: FuturesUnordered::new(),
        }
    }

    pub(super) fn push(
        &mut self,
        partition: PartitionId,
        incarnation: Incarnation,
        message: Exhausted,
    ) {
        let place = Place {
            partition,
            incarnation,
            offset: message.offset,
        };
        self.waiting.push_back((place, message));
    }

    /// Begins as many of those that wait as may be under way.
    pub(super) fn start(&mut self, partitions: &[GroupPartition]) {
        while self.under_way.len() < MOVES
            && let Some((place, message)) = self.waiting.pop_front()
        {
            let Some(partition) = partitions.get(place.partition.0 as usize) else {
                continue;
            };
            if partition.incarnation != place.incarnation {
                // The group was moved: the message is delivered anew.
                continue;
            }
            let (log, journal) = (partition.log.clone(), partition.journal);
            let moving = self.letters.clone().move_message(log, journal, message);
            self.under_way
                .push(Box::pin(async move { (place, moving.await) }));
        }
    }

    /// The next move that ended; `None` when none is under way. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<(Place, Moved)> {
        self.under_way.next().await
    }
}
