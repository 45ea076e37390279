//! Groups come and go. A group exists if and only if its journal in partition 0 does: that one is
//! created last and removed first.

use super::{JournalKey, OpenJournal, Store};
use crate::error::{Context, StorageError};
use crate::journal::{self, Journal, Progress};
use crate::recovery::Finding;
use std::io;
use std::path::PathBuf;
use weir_types::{GroupName, Offset, PartitionId, TopicName};

/// A group as the store opened it.
#[derive(Clone, Debug)]
pub struct GroupProgress {
    /// Its name.
    pub group: GroupName,
    /// Its journals and what they say, in order of partition.
    pub partitions: Vec<(JournalKey, Progress)>,
}

/// A group's journals before the store has taken them into its care.
pub(super) struct FoundGroup {
    group: GroupName,
    journals: Vec<(Journal, Progress)>,
}

impl FoundGroup {
    /// The offset after the highest that the group has seen in a partition.
    pub(super) fn end_in(&self, partition: PartitionId) -> Offset {
        let progress = self
            .journals
            .get(partition.0 as usize)
            .map(|(_, progress)| progress);
        progress.map_or(Offset::ZERO, Progress::end)
    }
}

impl Store {
    /// Creates a group that begins at `starts`, one offset a partition, durably.
    ///
    /// # Errors
    /// [`StorageError::NoSuchTopic`], [`StorageError::GroupExists`], or the file system's; then
    /// there is no such group, though it may be there, unused, after a restart if only the last
    /// sync failed.
    pub fn create_group(
        &mut self,
        topic: &TopicName,
        group: &GroupName,
        starts: &[Offset],
    ) -> Result<GroupProgress, StorageError> {
        let open = self.topic(topic)?;
        debug_assert_eq!(starts.len(), open.partitions.len(), "one start a partition");
        if open.groups.contains_key(group) {
            return Err(StorageError::GroupExists {
                group: group.clone(),
            });
        }
        let mut journals = Vec::new();
        let places: Vec<_> = (0..).map(PartitionId).zip(starts).collect();
        for (id, &start) in places.into_iter().rev() {
            let dir = self.dir.groups_dir(topic, id);
            let path = dir.join(journal::file_name(group));
            journals.push(Journal::create(self.dir.fs.clone(), path, start)?);
            self.dir.fs.sync_dir(&dir).context("sync", &dir)?;
        }
        journals.reverse();
        Ok(self.adopt_group(
            topic,
            FoundGroup {
                group: group.clone(),
                journals,
            },
        ))
    }

    /// Deletes a group, durably; a later one of its name begins anew.
    ///
    /// # Errors
    /// [`StorageError::NoSuchTopic`], or the file system's.
    pub fn delete_group(
        &mut self,
        topic: &TopicName,
        group: &GroupName,
    ) -> Result<(), StorageError> {
        self.topic(topic)?;
        let open = self
            .topics
            .get_mut(topic)
            .and_then(|open| open.groups.remove(group));
        let keys = open.unwrap_or_default();
        keys.iter().for_each(|&key| self.close_journal(key));
        for (id, _) in (0..).map(PartitionId).zip(keys) {
            let path = self
                .dir
                .groups_dir(topic, id)
                .join(journal::file_name(group));
            self.dir.fs.remove_file(&path).context("remove", &path)?;
            let dir = self.dir.groups_dir(topic, id);
            self.dir.fs.sync_dir(&dir).context("sync", &dir)?;
        }
        Ok(())
    }

    /// Opens the journals of every group of a topic.
    pub(super) fn open_journals(
        &self,
        topic: &TopicName,
        partitions: u32,
        findings: &mut Vec<Finding>,
    ) -> Result<Vec<FoundGroup>, StorageError> {
        let first = self.dir.groups_dir(topic, PartitionId(0));
        let names = match self.dir.fs.read_dir(&first) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            result => result.context("list", &first)?,
        };
        let mut groups: Vec<GroupName> = names
            .iter()
            .filter_map(|(name, _)| journal::group_of(name))
            .collect();
        groups.sort_unstable();
        let open = |group| self.open_group(topic, group, partitions, findings);
        groups.into_iter().map(open).collect()
    }

    fn open_group(
        &self,
        topic: &TopicName,
        group: GroupName,
        partitions: u32,
        findings: &mut Vec<Finding>,
    ) -> Result<FoundGroup, StorageError> {
        let mut journals = Vec::new();
        for id in (0..partitions).map(PartitionId) {
            let path = self
                .dir
                .groups_dir(topic, id)
                .join(journal::file_name(&group));
            let opened = match Journal::open(self.dir.fs.clone(), path.clone(), findings) {
                // A lost journal costs redelivery, never a message.
                Err(StorageError::Io { source, .. })
                    if source.kind() == io::ErrorKind::NotFound =>
                {
                    self.replace_lost_journal(topic, id, path)
                }
                result => result,
            };
            journals.push(opened?);
        }
        Ok(FoundGroup { group, journals })
    }

    fn replace_lost_journal(
        &self,
        topic: &TopicName,
        id: PartitionId,
        path: PathBuf,
    ) -> Result<(Journal, Progress), StorageError> {
        let fs = &self.dir.fs;
        let (partition_dir, dir) = (
            self.dir.partition_dir(topic, id),
            self.dir.groups_dir(topic, id),
        );
        fs.create_dir(&dir).context("create", &dir)?;
        fs.sync_dir(&partition_dir)
            .context("sync", &partition_dir)?;
        let created = Journal::create(fs.clone(), path, Offset::ZERO)?;
        fs.sync_dir(&dir).context("sync", &dir)?;
        Ok(created)
    }

    /// Takes the journals of a group into the store's care.
    pub(super) fn adopt_group(&mut self, topic: &TopicName, found: FoundGroup) -> GroupProgress {
        let mut partitions = Vec::new();
        for (journal, progress) in found.journals {
            let key = JournalKey(self.next_key());
            if let Some(open) = self.topics.get(topic) {
                self.journals.insert(
                    key,
                    OpenJournal {
                        journal,
                        settings: open.settings.clone(),
                    },
                );
            }
            partitions.push((key, progress));
        }
        if let Some(open) = self.topics.get_mut(topic) {
            let keys = partitions.iter().map(|(key, _)| *key).collect();
            open.groups.insert(found.group.clone(), keys);
        }
        GroupProgress {
            group: found.group,
            partitions,
        }
    }
}
