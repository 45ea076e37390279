//! Messages by a time: all of one moment in a list through their nodes, the moments in order.

use super::nodes::{Nodes, Slot};
use std::collections::BTreeMap;
use weir_types::Timestamp;

#[derive(Clone, Copy, Debug)]
struct Ends {
    first: Slot,
    last: Slot,
}

/// The nodes of one phase in order of their time, and within a moment of their arrival.
#[derive(Clone, Debug, Default)]
pub(super) struct Times {
    moments: BTreeMap<Timestamp, Ends>,
    len: usize,
}

impl Times {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The earliest time.
    pub(super) fn first(&self) -> Option<Timestamp> {
        self.moments.first_key_value().map(|(&at, _)| at)
    }

    /// The node with the earliest time.
    pub(super) fn first_slot(&self) -> Option<(Timestamp, Slot)> {
        let (&at, ends) = self.moments.first_key_value()?;
        Some((at, ends.first))
    }

    /// Every node until `now`, in order.
    pub(super) fn until<'a>(
        &'a self,
        now: Timestamp,
        nodes: &'a Nodes,
    ) -> impl Iterator<Item = Slot> + 'a {
        self.moments.range(..=now).flat_map(|(_, ends)| {
            std::iter::successors(Some(ends.first), |&slot| nodes[slot].after)
        })
    }

    /// Adds a node at its own time.
    pub(super) fn link(&mut self, slot: Slot, nodes: &mut Nodes) {
        let at = nodes[slot].at;
        let new = Ends {
            first: slot,
            last: slot,
        };
        let mut before = None;
        self.moments
            .entry(at)
            .and_modify(|ends| before = Some(std::mem::replace(&mut ends.last, slot)))
            .or_insert(new);
        if let Some(before) = before {
            nodes[before].after = Some(slot);
        }
        nodes[slot].before = before;
        nodes[slot].after = None;
        self.len += 1;
    }

    /// Takes a node out; its time must be the one it was linked with.
    pub(super) fn unlink(&mut self, slot: Slot, nodes: &mut Nodes) {
        let (at, before, after) = (nodes[slot].at, nodes[slot].before, nodes[slot].after);
        if let Some(before) = before {
            nodes[before].after = after;
        }
        if let Some(after) = after {
            nodes[after].before = before;
        }
        match (before, after) {
            (None, None) => {
                self.moments.remove(&at);
            }
            (None, Some(first)) => self.ends(at, |ends| ends.first = first),
            (Some(last), None) => self.ends(at, |ends| ends.last = last),
            (Some(_), Some(_)) => {}
        }
        self.len -= 1;
    }

    fn ends(&mut self, at: Timestamp, change: impl FnOnce(&mut Ends)) {
        if let Some(ends) = self.moments.get_mut(&at) {
            change(ends);
        }
    }
}
