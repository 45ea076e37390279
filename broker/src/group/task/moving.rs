//! Moves to the dead-letter topic that wait or are under way.

use super::super::dead_letters::{DeadLetters, Moved};
use super::super::partition::Exhausted;
use super::{GroupPartition, GroupTask};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use weir_types::{Incarnation, Offset, OffsetRange, PartitionId};

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
    under_way: FuturesUnordered<Move>,
}

/// One move that is under way.
struct Move {
    place: Place,
    moving: BoxFuture<'static, Moved>,
}

impl Future for Move {
    type Output = (Place, Moved);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let place = self.place;
        let polled = self.moving.as_mut().poll(context);
        polled.map(|moved| (place, moved))
    }
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
            let moving = Box::pin(moving);
            self.under_way.push(Move { place, moving });
        }
    }

    /// Leaves the moves of a partition where they are: the group was moved there, and what they had
    /// still to write would count for the messages that it gets anew.
    pub(super) fn abandon(&mut self, partition: PartitionId) {
        let under_way = std::mem::take(&mut self.under_way).into_iter();
        self.under_way = under_way
            .filter(|other| other.place.partition != partition)
            .collect();
    }

    /// The next move that ended; `None` when none is under way. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<(Place, Moved)> {
        self.under_way.next().await
    }
}

impl GroupTask {
    /// Hands what was delivered too often to those who move it.
    pub(super) fn start_moves(&mut self) {
        for (index, partition) in (0..).zip(&mut self.partitions) {
            for message in partition.state.take_exhausted() {
                self.moves
                    .push(PartitionId(index), partition.incarnation, message);
            }
        }
        self.moves.start(&self.partitions);
    }

    /// A message has moved, or cannot.
    pub(super) fn moved(&mut self, place: Place, moved: Moved) {
        let now = self.clock.now();
        let index = place.partition.0 as usize;
        let partition = self.partitions.get_mut(index);
        // After a seek it is another message that has this offset in hand.
        if let Some(partition) = partition.filter(|p| p.incarnation == place.incarnation) {
            match moved {
                Moved::There => partition.state.moved(place.offset, now),
                Moved::Missing => {
                    let gone = OffsetRange::single(place.offset);
                    partition.state.pass_over(gone, now);
                }
                Moved::Stopped => {}
            }
        }
        self.moves.start(&self.partitions);
    }
}
