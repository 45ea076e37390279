//! Topics come, change and go.

use super::round::FileKey;
use super::{GroupProgress, JournalKey, OpenPartition, OpenTopic, PartitionKey, Store};
use crate::error::{Context, StorageError};
use crate::partition_log::PartitionLog;
use crate::reader::PartitionReader;
use crate::topic::TopicFile;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use weir_types::{Durability, Incarnation, PartitionId, Timestamp, TopicName, TopicSettings};

/// A topic as the store opened it.
#[derive(Clone, Debug)]
pub struct TopicFiles {
    /// Its name.
    pub name: TopicName,
    /// Tells it from an earlier one of its name.
    pub incarnation: Incarnation,
    /// Its settings.
    pub settings: TopicSettings,
    /// Its partitions, in order.
    pub partitions: Vec<(PartitionKey, Arc<PartitionReader>)>,
    /// Its groups, in order of name.
    pub groups: Vec<GroupProgress>,
}

impl Store {
    /// Creates a topic, durably.
    ///
    /// # Errors
    /// [`StorageError::TopicExists`], or the file system's; then there is no such topic, though an
    /// empty one may be there after a restart if only the last sync failed.
    pub fn create_topic(
        &mut self,
        name: &TopicName,
        settings: TopicSettings,
        incarnation: Incarnation,
        now: Timestamp,
    ) -> Result<TopicFiles, StorageError> {
        if self.topics.contains_key(name) {
            return Err(StorageError::TopicExists {
                topic: name.clone(),
            });
        }
        let dir = self.dir.topic_dir(name);
        // Present but not open: it belongs to an attempt whose traces could not be removed.
        if TopicFile::read(&*self.dir.fs, &dir)?.is_some() {
            return Err(StorageError::TopicExists {
                topic: name.clone(),
            });
        }
        let partitions = settings.partitions;
        let file = TopicFile {
            incarnation,
            created_at: now,
            settings,
        };
        match self.try_create_topic(name, &file) {
            Ok(logs) => Ok(self.adopt(name.clone(), file, logs)),
            Err(error) => {
                self.remove_half_created(name, partitions);
                Err(error)
            }
        }
    }

    fn try_create_topic(
        &self,
        name: &TopicName,
        file: &TopicFile,
    ) -> Result<Vec<PartitionLog>, StorageError> {
        let (fs, dir) = (&self.dir.fs, self.dir.topic_dir(name));
        fs.create_dir(&dir).context("create", &dir)?;
        if !fs.read_dir(&dir).context("list", &dir)?.is_empty() {
            // A failed attempt left something: its topic.json must not come back without its
            // partitions, which go now.
            fs.sync_dir(&dir).context("sync", &dir)?;
        }
        let ids = (0..file.settings.partitions).map(PartitionId);
        let shared = dir.clone().into();
        let logs = ids.map(|id| self.create_partition(&shared, name, file.incarnation, id));
        let logs = logs.collect::<Result<Vec<_>, _>>()?;
        fs.sync_dir(&dir).context("sync", &dir)?;
        // Not before that is durable: only now the directory is a topic.
        file.write(&**fs, &dir)?;
        let parent = self.dir.path();
        fs.sync_dir(parent).context("sync", parent)?;
        Ok(logs)
    }

    /// Frees the room that a failed creation took, as far as that is possible. The directory itself
    /// stays: it may have been there before.
    fn remove_half_created(&self, name: &TopicName, partitions: u32) {
        let (fs, dir) = (&self.dir.fs, self.dir.topic_dir(name));
        let no_topic = TopicFile::remove(&**fs, &dir).is_ok() && fs.sync_dir(&dir).is_ok();
        // Not before that is durable: a topic without its partitions would not open.
        if no_topic {
            for id in (0..partitions).map(PartitionId) {
                let _best_effort = fs.remove_dir_all(&self.dir.partition_dir(name, id));
            }
        }
    }

    fn create_partition(
        &self,
        topic_dir: &Arc<Path>,
        topic: &TopicName,
        incarnation: Incarnation,
        id: PartitionId,
    ) -> Result<PartitionLog, StorageError> {
        let fs = &self.dir.fs;
        let dir = self.dir.partition_dir(topic, id);
        // What a crashed attempt left would look like records of ours.
        fs.remove_dir_all(&dir).context("remove", &dir)?;
        let log = PartitionLog::create(&self.files, topic_dir, incarnation, id)?;
        let groups = self.dir.groups_dir(topic, id);
        fs.create_dir(&groups).context("create", &groups)?;
        fs.sync_dir(&dir).context("sync", &dir)?;
        Ok(log)
    }

    /// Takes the partitions of a topic into the store's care.
    pub(super) fn adopt(
        &mut self,
        name: TopicName,
        file: TopicFile,
        logs: Vec<PartitionLog>,
    ) -> TopicFiles {
        let settings = Arc::new(file.settings.clone());
        let mut partitions = Vec::new();
        for log in logs {
            let key = PartitionKey(self.next_key());
            partitions.push((key, log.reader().clone()));
            self.partitions.insert(
                key,
                OpenPartition {
                    log,
                    settings: settings.clone(),
                },
            );
        }
        let topic = OpenTopic {
            incarnation: file.incarnation,
            created_at: file.created_at,
            settings,
            partitions: partitions.iter().map(|(key, _)| *key).collect(),
            groups: BTreeMap::new(),
        };
        self.topics.insert(name.clone(), topic);
        TopicFiles {
            name,
            incarnation: file.incarnation,
            settings: file.settings,
            partitions,
            groups: Vec::new(),
        }
    }

    /// Replaces a topic's settings, durably; they apply from the next round on. The number of
    /// partitions stays what it is.
    ///
    /// # Errors
    /// [`StorageError::NoSuchTopic`], or the file system's; then the old ones stay, though the new
    /// ones may apply after a restart if only the last sync failed.
    pub fn alter_topic(
        &mut self,
        name: &TopicName,
        mut settings: TopicSettings,
    ) -> Result<(), StorageError> {
        if settings.durability == Durability::Fsync {
            self.sync_topic(name)?;
        }
        let topic = self.topic(name)?;
        settings.partitions = topic.settings.partitions;
        let file = TopicFile {
            incarnation: topic.incarnation,
            created_at: topic.created_at,
            settings,
        };
        file.write(&*self.dir.fs, &self.dir.topic_dir(name))?;
        let settings = Arc::new(file.settings);
        let Some(topic) = self.topics.get_mut(name) else {
            return Ok(());
        };
        topic.settings = settings.clone();
        for key in &topic.partitions {
            if let Some(open) = self.partitions.get_mut(key) {
                open.settings = settings.clone();
            }
        }
        for key in topic.groups.values().flatten() {
            if let Some(open) = self.journals.get_mut(key) {
                open.settings = settings.clone();
            }
        }
        Ok(())
    }

    /// Syncs what is in no commit log: from now on, what is there counts as durable.
    fn sync_topic(&mut self, name: &TopicName) -> Result<(), StorageError> {
        let topic = self.topic(name)?;
        let partitions = topic.partitions.iter().copied().map(FileKey::Partition);
        let journals = topic.groups.values().flatten().copied();
        let files: Vec<_> = partitions.chain(journals.map(FileKey::Journal)).collect();
        for file in files {
            if self.unsynced.remove(&file).is_some() {
                self.sync(file)?;
            }
        }
        Ok(())
    }

    /// Deletes a topic with its groups: renamed away first, then removed.
    ///
    /// # Errors
    /// [`StorageError::NoSuchTopic`], or the file system's. An error after the renaming leaves files
    /// that the next start removes.
    pub fn delete_topic(&mut self, name: &TopicName) -> Result<(), StorageError> {
        let trash = self.dir.trash_dir(self.topic(name)?.incarnation);
        let dir = self.dir.topic_dir(name);
        self.dir.fs.rename(&dir, &trash).context("rename", &dir)?;
        self.forget(name);
        self.dir
            .fs
            .sync_dir(self.dir.path())
            .context("sync", self.dir.path())?;
        self.dir.fs.remove_dir_all(&trash).context("remove", &trash)
    }

    fn forget(&mut self, name: &TopicName) {
        let Some(topic) = self.topics.remove(name) else {
            return;
        };
        for key in topic.partitions {
            self.partitions.remove(&key);
            self.unsynced.remove(&FileKey::Partition(key));
        }
        let journals = topic.groups.into_values().flatten();
        journals.for_each(|key| self.close_journal(key));
    }

    pub(super) fn close_journal(&mut self, key: JournalKey) {
        self.journals.remove(&key);
        self.unsynced.remove(&FileKey::Journal(key));
    }
}
