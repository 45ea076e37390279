//! Between rounds: topics and groups come and go, on the disk and in the registry together.

use super::request::Request;
use super::rounds::Thread;
use crate::broker::BrokerError;
use crate::group::{GroupTask, Start};
use crate::topic::{Topic, TopicCore};
use std::ops::ControlFlow;
use std::sync::Arc;
use weir_commitlog::{GroupProgress, StorageError, TopicFiles};
use weir_types::{
    GroupName, GroupSettings, Incarnation, Offset, Timestamp, TopicName, TopicSettings,
};

impl Thread {
    pub(super) fn administer(&mut self, request: Request) -> ControlFlow<()> {
        // Whoever asked may be gone; what was done stays done.
        match request {
            Request::Close => return ControlFlow::Break(()),
            Request::Commit(commit) => self.commit(vec![commit]),
            Request::Checkpointed(checkpoint) => self.take_back(&checkpoint),
            Request::CreateTopic {
                name,
                settings,
                incarnation,
                reply,
            } => {
                let _gone = reply.send(self.create_topic(&name, settings, incarnation));
            }
            Request::AlterTopic {
                topic,
                settings,
                reply,
            } => {
                let _gone = reply.send(self.alter_topic(&topic, settings));
            }
            Request::DeleteTopic {
                name,
                unused_since,
                reply,
            } => {
                // What was published before is committed by now, and its topic was used then.
                let used = unused_since.is_some_and(|since| self.was_used(&name, since));
                let deleted = match used {
                    true => Ok(false),
                    false => self.delete_topic(&name).map(|()| true),
                };
                let _gone = reply.send(deleted);
            }
            Request::PurgeTopic { name, reply } => {
                let _gone = reply.send(self.start.store.purge_topic(&name).map_err(Into::into));
            }
            Request::MaintainTopic {
                name,
                floors,
                reply,
            } => {
                let now = self.start.clock.now();
                let trimmed = self.start.store.maintain_topic(&name, &floors, now);
                let _gone = reply.send(trimmed.map_err(Into::into));
            }
            Request::CreateGroup {
                topic,
                group,
                settings,
                starts,
                reply,
            } => {
                let _gone = reply.send(self.create_group(&topic, &group, &settings, &starts));
            }
            Request::DeleteGroup {
                topic,
                group,
                reply,
            } => {
                let _gone = reply.send(self.delete_group(&topic, &group));
            }
            Request::AvailableBytes { reply } => {
                let _gone = reply.send(self.start.store.available_bytes().map_err(Into::into));
            }
        }
        ControlFlow::Continue(())
    }

    fn create_topic(
        &mut self,
        name: &TopicName,
        settings: TopicSettings,
        incarnation: Incarnation,
    ) -> Result<Arc<Topic>, BrokerError> {
        if let Some(existing) = self.start.registry.get(name) {
            return Ok(existing);
        }
        let now = self.start.clock.now();
        let files = self
            .start
            .store
            .create_topic(name, settings, incarnation, now)?;
        let (topic, _no_groups) = self.register(files);
        Ok(topic)
    }

    /// Refuses a topic that was deleted while its request waited: the store goes by name, and the
    /// name may belong to another one now.
    fn check_current(&self, topic: &Topic) -> Result<(), BrokerError> {
        let name = topic.core().name();
        let current = self.start.registry.get(name);
        match current.is_some_and(|current| Arc::ptr_eq(current.core(), topic.core())) {
            true => Ok(()),
            false => Err(BrokerError::UnknownTopic {
                topic: name.clone(),
            }),
        }
    }

    fn alter_topic(&mut self, topic: &Topic, settings: TopicSettings) -> Result<(), BrokerError> {
        self.check_current(topic)?;
        self.start
            .store
            .alter_topic(topic.core().name(), settings.clone())?;
        topic.core().set_settings(settings);
        Ok(())
    }

    fn was_used(&self, name: &TopicName, since: Timestamp) -> bool {
        let topic = self.start.registry.get(name);
        topic.is_some_and(|topic| topic.core().last_used(since) > since)
    }

    fn delete_topic(&mut self, name: &TopicName) -> Result<(), BrokerError> {
        let deleted = self.start.store.delete_topic(name);
        // Also after an error behind the renaming: the store has forgotten the topic.
        if !matches!(
            &deleted,
            Err(StorageError::Io {
                action: "rename",
                ..
            })
        ) {
            self.start.registry.remove(name);
        }
        deleted.map_err(Into::into)
    }

    fn create_group(
        &mut self,
        topic: &Topic,
        group: &GroupName,
        settings: &GroupSettings,
        starts: &[Offset],
    ) -> Result<(), BrokerError> {
        self.check_current(topic)?;
        if topic.group(group).is_some() {
            return Ok(());
        }
        let incarnation = Incarnation(fastrand::u64(..));
        let name = topic.core().name();
        let store = &mut self.start.store;
        let progress = store.create_group(name, group, incarnation, settings, starts)?;
        self.open_group(topic, progress);
        Ok(())
    }

    fn delete_group(&mut self, topic: &Topic, group: &GroupName) -> Result<(), BrokerError> {
        self.check_current(topic)?;
        topic.remove_group(group);
        self.start
            .store
            .delete_group(topic.core().name(), group)
            .map_err(Into::into)
    }

    /// All topics first: a group may find at once that it has a dead letter to move.
    pub(super) fn register_all(&self, topics: Vec<TopicFiles>) {
        let registered: Vec<_> = topics
            .into_iter()
            .map(|files| self.register(files))
            .collect();
        for (topic, groups) in registered {
            groups
                .into_iter()
                .for_each(|group| self.open_group(&topic, group));
        }
    }

    fn register(&self, files: TopicFiles) -> (Arc<Topic>, Vec<GroupProgress>) {
        let core = TopicCore::new(
            files.name,
            files.incarnation,
            files.settings,
            files.partitions,
        );
        let topic = Arc::new(Topic::new(Arc::new(core), self.start.stop.child_token()));
        self.start.registry.insert(topic.clone());
        (topic, files.groups)
    }

    fn open_group(&self, topic: &Topic, progress: GroupProgress) {
        let stop = topic.closed().child_token();
        let (client, task) = GroupTask::open(Start {
            topic: topic.core().clone(),
            topics: self.topics.clone(),
            progress,
            bounds: self.start.group_bounds,
            broker_start: self.identity.broker_start,
            committer: self.committer.clone(),
            clock: self.start.clock.clone(),
            draining: self.start.draining.clone(),
            stop: stop.clone(),
        });
        topic.add_group(client, stop);
        self.start.tasks.spawn_on(task, &self.start.runtime);
    }
}
