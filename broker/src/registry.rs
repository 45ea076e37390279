//! All topics by name. Written by the committer's thread only, read by everyone. The broker's own log
//! is found by its name, but is none of them.

use crate::topic::Topic;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use weir_types::TopicName;

/// All topics by name.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    topics: RwLock<BTreeMap<TopicName, Arc<Topic>>>,
    internal: RwLock<BTreeMap<TopicName, Arc<Topic>>>,
}

impl Registry {
    fn of(&self, name: &TopicName) -> &RwLock<BTreeMap<TopicName, Arc<Topic>>> {
        match name.is_internal() {
            true => &self.internal,
            false => &self.topics,
        }
    }

    pub(crate) fn get(&self, name: &TopicName) -> Option<Arc<Topic>> {
        self.of(name)
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    /// In order of name.
    pub(crate) fn all(&self) -> Vec<Arc<Topic>> {
        self.topics
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.topics
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    pub(crate) fn insert(&self, topic: Arc<Topic>) {
        let name = topic.core().name().clone();
        self.of(&name)
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, topic);
    }

    /// Takes the topic away from everyone and ends what depends on it.
    pub(crate) fn remove(&self, name: &TopicName) {
        let removed = self
            .of(name)
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
        if let Some(topic) = removed {
            topic.closed().cancel();
        }
    }
}
