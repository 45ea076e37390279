//! Topics at which somebody waits for replies: a message names one in its `reply_to`, the first reply
//! creates it, and it is deleted when it was idle for a while.
//!
//! Known since the broker started, and a bounded number of them: a reply that comes after a restart,
//! or after very many other names, creates an ordinary topic.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use weir_types::TopicName;

/// A topic that a reply created is deleted when nobody used it for so long.
pub(crate) const IDLE: Duration = Duration::from_secs(600);
/// The same, when all replies in it were taken: callers take a fresh name for each request.
pub(crate) const IDLE_WHEN_TAKEN: Duration = Duration::from_secs(30);
/// Names that are remembered; beyond, the oldest is forgotten.
const MAX_NAMES: usize = 65_536;

/// Names that messages gave for replies to them.
#[derive(Debug, Default)]
pub(crate) struct ReplyTopics(Mutex<Names>);

#[derive(Debug, Default)]
struct Names {
    known: HashSet<TopicName>,
    oldest_first: VecDeque<TopicName>,
}

impl ReplyTopics {
    /// A message expects its reply there.
    pub(crate) fn note(&self, name: &TopicName) {
        let mut names = self.names();
        if !names.known.insert(name.clone()) {
            return;
        }
        names.oldest_first.push_back(name.clone());
        if names.oldest_first.len() > MAX_NAMES
            && let Some(oldest) = names.oldest_first.pop_front()
        {
            names.known.remove(&oldest);
        }
    }

    /// Whether a message expects a reply there.
    pub(crate) fn expects(&self, name: &TopicName) -> bool {
        self.names().known.contains(name)
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_names_are_remembered_and_no_more() {
        let topics = ReplyTopics::default();
        let name = |number: usize| TopicName::parse(&format!("r{number}")).unwrap();
        for number in 0..=MAX_NAMES {
            topics.note(&name(number));
            topics.note(&name(number));
        }
        assert!(!topics.expects(&name(0)));
        assert!(topics.expects(&name(1)) && topics.expects(&name(MAX_NAMES)));
        assert_eq!(topics.names().known.len(), MAX_NAMES);
    }
}
