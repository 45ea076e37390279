//! What is registered: queues of tasks, and workers. Kept in the document `push.json`, which is
//! replaced as a whole with every change:
//!
//! | member | content |
//! |---|---|
//! | `version` | 1 |
//! | `queues` | names of the queues, that of number 1 first |
//! | `last_worker` | the highest number a registration ever had |
//! | `workers` | the registrations, in order of number; their members are those of `Registration` |
//!
//! A queue stays when its topic is deleted: its clients count on the numbers.

use super::target::Target;
use crate::broker::BrokerError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_protocol::shapes::{QueueId, QueueRef, WorkerChange, WorkerId};
use weir_types::{DurationText, GroupName, Timestamp, TopicName};

/// Queues and workers that may be registered.
pub(crate) const MAX_QUEUES: usize = 10_000;
pub(crate) const MAX_WORKERS: usize = 10_000;
const VERSION: u32 = 1;

/// Whose messages go to workers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) topic: TopicName,
    pub(crate) group: GroupName,
}

/// One registration of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Registration {
    pub(crate) id: WorkerId,
    pub(crate) topic: TopicName,
    pub(crate) group: GroupName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) queue: Option<QueueId>,
    pub(crate) target: Target,
    pub(crate) concurrency: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) visibility_timeout: Option<DurationText>,
    pub(crate) paused: bool,
    pub(crate) registered_at: Timestamp,
}

impl Registration {
    pub(crate) fn place(&self) -> Place {
        Place {
            topic: self.topic.clone(),
            group: self.group.clone(),
        }
    }
}

/// Everything that is registered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub(crate) struct Registrations {
    queues: Vec<TopicName>,
    queue_ids: BTreeMap<TopicName, QueueId>,
    last_worker: u64,
    workers: BTreeMap<WorkerId, Arc<Registration>>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    queues: Vec<TopicName>,
    last_worker: u64,
    workers: Vec<Registration>,
}

impl TryFrom<Stored> for Registrations {
    type Error = String;
    fn try_from(stored: Stored) -> Result<Self, String> {
        let Stored {
            version, queues, ..
        } = stored;
        if version != VERSION {
            return Err(format!(
                "registrations of version {version}; this broker reads version {VERSION}"
            ));
        }
        let mut read = Self {
            last_worker: stored.last_worker,
            ..Self::default()
        };
        for name in queues {
            read.add_queue(name).map_err(|e| e.to_string())?;
        }
        for worker in stored.workers {
            read.last_worker = read.last_worker.max(worker.id.0);
            read.workers.insert(worker.id, Arc::new(worker));
        }
        Ok(read)
    }
}

impl From<Registrations> for Stored {
    fn from(registrations: Registrations) -> Self {
        let workers = registrations.workers.values();
        Self {
            version: VERSION,
            queues: registrations.queues,
            last_worker: registrations.last_worker,
            workers: workers.map(|worker| Registration::clone(worker)).collect(),
        }
    }
}

impl Registrations {
    /// The queue of that name; a new one gets the next number.
    pub(crate) fn add_queue(&mut self, name: TopicName) -> Result<QueueId, BrokerError> {
        if let Some(&known) = self.queue_ids.get(&name) {
            return Ok(known);
        }
        if self.queues.len() >= MAX_QUEUES {
            return Err(BrokerError::TooManyRegistrations {
                what: "queues",
                max: MAX_QUEUES,
            });
        }
        self.queues.push(name.clone());
        let id = QueueId(i32::try_from(self.queues.len()).unwrap_or(i32::MAX));
        self.queue_ids.insert(name, id);
        Ok(id)
    }

    /// The queue that a client means.
    pub(crate) fn queue(&self, by: &QueueRef) -> Result<(QueueId, TopicName), BrokerError> {
        let found = match by {
            QueueRef::Id(id) => usize::try_from(*id)
                .ok()
                .and_then(|id| self.queues.get(id.checked_sub(1)?))
                .map(|name| (QueueId(*id), name.clone())),
            QueueRef::Name(name) => self
                .queue_ids
                .get_key_value(name.as_str())
                .map(|(name, id)| (*id, name.clone())),
        };
        found.ok_or_else(|| BrokerError::UnknownQueue { queue: by.clone() })
    }

    /// Whether another worker may register.
    pub(crate) fn check_room(&self) -> Result<(), BrokerError> {
        match self.workers.len() < MAX_WORKERS {
            true => Ok(()),
            false => Err(BrokerError::TooManyRegistrations {
                what: "workers",
                max: MAX_WORKERS,
            }),
        }
    }

    /// Adds a worker; its number is chosen here.
    pub(crate) fn add_worker(&mut self, worker: Registration) -> Result<WorkerId, BrokerError> {
        self.check_room()?;
        self.last_worker += 1;
        let id = WorkerId(self.last_worker);
        let worker = Registration { id, ..worker };
        self.workers.insert(id, Arc::new(worker));
        Ok(id)
    }

    pub(crate) fn alter_worker(
        &mut self,
        id: WorkerId,
        change: WorkerChange,
    ) -> Result<(), BrokerError> {
        let worker = self.workers.get_mut(&id);
        let worker = worker.ok_or(BrokerError::UnknownWorker { id })?;
        let altered = Registration {
            paused: change.paused.unwrap_or(worker.paused),
            concurrency: change.concurrency.unwrap_or(worker.concurrency),
            ..Registration::clone(worker)
        };
        if altered != **worker {
            *worker = Arc::new(altered);
        }
        Ok(())
    }

    pub(crate) fn remove_worker(&mut self, id: WorkerId) -> Result<Arc<Registration>, BrokerError> {
        let removed = self.workers.remove(&id);
        removed.ok_or(BrokerError::UnknownWorker { id })
    }

    /// Removes the workers that `is_gone` says so of; returns how many.
    pub(crate) fn forget(&mut self, is_gone: impl Fn(&Registration) -> bool) -> usize {
        let before = self.workers.len();
        self.workers.retain(|_, worker| !is_gone(worker));
        before - self.workers.len()
    }

    /// In order of number.
    pub(crate) fn workers(&self) -> impl Iterator<Item = &Arc<Registration>> {
        self.workers.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> TopicName {
        TopicName::parse(name).unwrap()
    }

    fn worker(topic: &str) -> Registration {
        Registration {
            id: WorkerId(0),
            topic: name(topic),
            group: GroupName::parse("workers").unwrap(),
            queue: None,
            target: Target::parse("tcp://127.0.0.1:9").unwrap(),
            concurrency: 1,
            visibility_timeout: None,
            paused: false,
            registered_at: Timestamp(5),
        }
    }

    #[test]
    fn queues_are_numbered_in_order_and_the_same_name_is_the_same_queue() {
        let mut all = Registrations::default();
        for (queue, id) in [("a", 1), ("b", 2), ("a", 1), ("c", 3)] {
            assert_eq!(all.add_queue(name(queue)).unwrap(), QueueId(id));
        }
        let by_name = all.queue(&QueueRef::Name("b".to_owned())).unwrap();
        assert_eq!(by_name, (QueueId(2), name("b")));
        assert_eq!(all.queue(&QueueRef::Id(2)).unwrap(), by_name);
        for unknown in [
            QueueRef::Id(0),
            QueueRef::Id(-1),
            QueueRef::Id(4),
            QueueRef::Id(i32::MIN),
            QueueRef::Name("d".to_owned()),
        ] {
            let refused = all.queue(&unknown).unwrap_err().to_string();
            assert!(refused.contains(&unknown.to_string()), "{refused}");
        }
    }

    #[test]
    fn numbers_of_workers_are_never_given_twice() {
        let mut all = Registrations::default();
        assert_eq!(all.add_worker(worker("a")).unwrap(), WorkerId(1));
        assert_eq!(all.add_worker(worker("a")).unwrap(), WorkerId(2));
        all.remove_worker(WorkerId(2)).unwrap();
        assert!(all.remove_worker(WorkerId(2)).is_err());
        let stored = serde_json::to_string(&all).unwrap();
        let mut read: Registrations = serde_json::from_str(&stored).unwrap();
        assert_eq!(read, all);
        assert_eq!(read.add_worker(worker("b")).unwrap(), WorkerId(3));
        assert_eq!(read.forget(|worker| worker.topic == name("a")), 1);
        let left: Vec<_> = read.workers().map(|worker| worker.id).collect();
        assert_eq!(left, [WorkerId(3)]);
    }

    #[test]
    fn a_change_touches_only_what_it_names() {
        let mut all = Registrations::default();
        let id = all.add_worker(worker("a")).unwrap();
        let paused = WorkerChange {
            paused: Some(true),
            concurrency: None,
        };
        all.alter_worker(id, paused).unwrap();
        let many = WorkerChange {
            paused: None,
            concurrency: Some(7),
        };
        all.alter_worker(id, many).unwrap();
        let altered = all.workers().next().unwrap();
        assert!(altered.paused);
        assert_eq!(altered.concurrency, 7);
    }

    #[test]
    fn the_document_stays_readable() {
        let mut all = Registrations::default();
        all.add_queue(name("mails")).unwrap();
        let queue = Some(QueueId(1));
        let timeout = Some("1m".parse().unwrap());
        let with_all = Registration {
            queue,
            visibility_timeout: timeout,
            ..worker("mails")
        };
        all.add_worker(with_all).unwrap();
        let golden = concat!(
            r#"{"version":1,"queues":["mails"],"last_worker":1,"workers":[{"id":1,"topic":"mails","#,
            r#""group":"workers","queue":1,"target":"tcp://127.0.0.1:9","concurrency":1,"#,
            r#""visibility_timeout":"1m","paused":false,"registered_at":5}]}"#,
        );
        assert_eq!(serde_json::to_string(&all).unwrap(), golden);
        let newer = golden.replace("\"version\":1", "\"version\":2");
        let refused = serde_json::from_str::<Registrations>(&newer).unwrap_err();
        assert!(refused.to_string().contains("version 2"), "{refused}");
    }

    #[test]
    fn there_is_a_bound() {
        let mut all = Registrations::default();
        for _ in 0..MAX_WORKERS {
            all.add_worker(worker("a")).unwrap();
        }
        let refused = all.add_worker(worker("a")).unwrap_err().to_string();
        assert_eq!(refused, "there are 10000 workers, as many as are allowed");
    }
}
