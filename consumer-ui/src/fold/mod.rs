//! The view: one pure fold of all samples, which the page and the exporter both render.
//!
//! `now` is always an argument. Time of a sample is the node's own; whether a node is live is
//! judged by when the *broker* got its samples, so that a node with a wrong clock is not gone.
//! Memory is bounded: [`MAX_NODES`] nodes, [`MAX_LINES`] chart lines in all and [`MAX_NODE_LINES`]
//! a node, an hour each. What does not fit is counted, never an error.
//!
//! | part | what |
//! |---|---|
//! | `node` | one node: latest samples, last seen, missed samples |
//! | `sequence`, `delay` | repeated, missing and late samples |
//! | `charts`, `history` | which points a sample adds, and the columns that keep them |
//! | `topics` | the broker's topics, with rates |
//! | `delivery` | workers, backends, the partitioned queue |
//! | `shapes` | the JSON that the page gets |

mod charts;
mod delay;
mod delivery;
mod history;
mod node;
mod sequence;
pub mod shapes;
#[cfg(test)]
mod tests;
mod topics;

pub use delivery::DeliveryReading;
pub use history::WINDOW_MS;
pub use node::{Node, Place};
pub use topics::{TopicReading, TopicsView};

use crate::sample::{HostTopic, Sample, Values};
use shapes::{BrokerState, Fleet, NodePage, NodePoints, NodeState};
use std::collections::BTreeMap;

/// Nodes that may be known.
pub const MAX_NODES: usize = 1_000;
/// Lines of one node's charts.
pub const MAX_NODE_LINES: usize = 600;
/// Lines of all charts; an hour of one a second takes 15 KB each.
pub const MAX_LINES: usize = 20_000;
/// How long a silent node is remembered.
const REMEMBERED_MS: u64 = 24 * 60 * 60 * 1_000;

/// What a sample was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The first of its topic and boot.
    First,
    /// Newer than all before.
    Next {
        /// How many between the one before and this did not come.
        missed: u64,
    },
    /// One that was missing; too late for the charts.
    OutOfOrder,
    /// One that was here before, or of a boot that is over.
    Duplicate,
}

/// What came of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It was taken.
    Taken {
        /// What it was.
        arrival: Arrival,
        /// Lines for which no room was left.
        refused_lines: usize,
    },
    /// There is no room for another node.
    NoRoom,
}

/// How many lines may still be added.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    left: usize,
    refused: usize,
}

impl Allowance {
    fn take(&mut self) -> bool {
        let allowed = self.left > 0;
        self.left -= usize::from(allowed);
        self.refused += usize::from(!allowed);
        allowed
    }

    fn give_back(&mut self, lines: usize) {
        self.left += lines;
    }
}

/// Everything known of all nodes.
#[derive(Clone, Debug, Default)]
pub struct View {
    nodes: BTreeMap<String, Node>,
    lines: usize,
}

impl View {
    /// Takes a sample that the broker stored at `stored`.
    pub fn apply(&mut self, sample: Sample, stored: u64, now: u64) -> Applied {
        let lines = self.lines;
        let Some(node) = self.room_for(&sample.node, now) else {
            return Applied::NoRoom;
        };
        let before = node.line_count();
        let left = MAX_LINES.saturating_sub(lines).min(MAX_NODE_LINES - before);
        let mut allowance = Allowance { left, refused: 0 };
        let arrival = node.apply(sample, stored, now, &mut allowance);
        let after = node.line_count();
        self.lines = self.lines + after - before;
        Applied::Taken {
            arrival,
            refused_lines: allowance.refused,
        }
    }

    /// Notes that a node was heard of at `stored`, in a sample too old for anything else.
    pub fn seen(&mut self, node: &str, stored: u64, now: u64) {
        if stored.saturating_add(REMEMBERED_MS) > now
            && let Some(node) = self.room_for(node, now)
        {
            node.seen(stored);
        }
    }

    /// Forgets nodes that were silent for a day.
    pub fn prune(&mut self, now: u64) {
        let remembered = |node: &Node| node.last_seen().saturating_add(REMEMBERED_MS) > now;
        self.nodes.retain(|_, node| remembered(node));
        self.lines = self.nodes.values().map(Node::line_count).sum();
    }

    /// The nodes, in order of name.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// Lines of all charts.
    #[must_use]
    pub const fn line_count(&self) -> usize {
        self.lines
    }

    /// One node.
    #[must_use]
    pub fn get(&self, node: &str) -> Option<&Node> {
        self.nodes.get(node)
    }

    /// The fleet page.
    #[must_use]
    pub fn fleet(&self, broker: &BrokerState, now: u64) -> Fleet {
        Fleet {
            now,
            broker: broker.clone(),
            nodes: self.nodes().map(|node| node.summary(now)).collect(),
        }
    }

    /// A node's page.
    #[must_use]
    pub fn page(&self, node: &str, now: u64) -> Option<NodePage> {
        Some(self.get(node)?.page(now))
    }

    /// What came to a node's charts after `place`, which then moves on.
    pub fn points_since(&self, node: &str, place: &mut Place) -> Option<NodePoints> {
        let node = self.get(node)?;
        let points = node.points_since(place)?;
        *place = node.end();
        Some(points)
    }

    /// The node, known or new. Where all room is taken, the one that is gone longest makes place.
    fn room_for(&mut self, name: &str, now: u64) -> Option<&mut Node> {
        if !self.nodes.contains_key(name) {
            if self.nodes.len() >= MAX_NODES {
                self.forget_longest_gone(now)?;
            }
            self.nodes
                .insert(name.to_owned(), Node::new(name.to_owned()));
        }
        self.nodes.get_mut(name)
    }

    fn forget_longest_gone(&mut self, now: u64) -> Option<()> {
        let gone = self
            .nodes()
            .filter(|node| node.state(now) == NodeState::Gone);
        let name = gone.min_by_key(|node| node.last_seen())?.name().to_owned();
        let forgotten = self.nodes.remove(&name)?;
        self.lines -= forgotten.line_count();
        Some(())
    }
}

impl Values {
    /// The topic they come from.
    #[must_use]
    pub const fn topic(&self) -> HostTopic {
        match self {
            Self::Cpu(_) => HostTopic::Cpu,
            Self::Memory(_) => HostTopic::Memory,
            Self::Disk(_) => HostTopic::Disk,
            Self::Network(_) => HostTopic::Network,
            Self::System(_) => HostTopic::System,
            Self::Info(_) => HostTopic::Info,
        }
    }
}
