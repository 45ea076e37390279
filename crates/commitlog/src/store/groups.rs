//! Groups come and go. A group exists if and only if its journal in partition 0 does: that one is
//! created last and removed first.

use super::opening::Opening;
use super::{JournalKey, OpenJournal, Store};
use crate::error::{Context, StorageError};
use crate::journal::{self, Journal, JournalIdentity, Progress, ReadJournal};
use crate::recovery::Finding;
use std::io;
use std::path::Path;
use weir_types::{GroupName, GroupSettings, Incarnation, Offset, PartitionId, TopicName};

/// A group as the store opened it.
#[derive(Clone, Debug)]
pub struct GroupProgress {
    /// Its name.
    pub group: GroupName,
    /// What was chosen for it.
    pub settings: GroupSettings,
    /// In order of partition.
    pub partitions: Vec<PartitionProgress>,
}

/// Where a group stands in one partition, and where that is written.
#[derive(Clone, Debug)]
pub struct PartitionProgress {
    /// Its journal.
    pub journal: JournalKey,
    /// Tells the group from an earlier one of its name, and from itself before a seek. By partition,
    /// because a seek may be of one partition only.
    pub incarnation: Incarnation,
    /// What the journal says.
    pub progress: Progress,
}

/// A group's journals before the store has taken them into its care.
pub(super) struct FoundGroup {
    group: GroupName,
    settings: GroupSettings,
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
    /// Creates a group that begins at `starts`, one offset a partition, durably. `incarnation` is its
    /// own in every partition, until a seek.
    ///
    /// # Errors
    /// [`StorageError::NoSuchTopic`], [`StorageError::GroupExists`], or the file system's; then
    /// there is no such group, though it may be there, unused, after a restart if only the last
    /// sync failed.
    pub fn create_group(
        &mut self,
        topic: &TopicName,
        group: &GroupName,
        incarnation: Incarnation,
        settings: &GroupSettings,
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
            let settings = (id == PartitionId(0)).then_some(settings);
            match self.create_journal(topic, id, group, incarnation, settings, start) {
                Ok(created) => journals.push(created),
                Err(error) => {
                    self.remove_half_created_group(topic, group, starts.len());
                    return Err(error);
                }
            }
        }
        journals.reverse();
        Ok(self.adopt_group(
            topic,
            FoundGroup {
                group: group.clone(),
                settings: settings.clone(),
                journals,
            },
        ))
    }

    fn create_journal(
        &mut self,
        topic: &TopicName,
        id: PartitionId,
        group: &GroupName,
        incarnation: Incarnation,
        settings: Option<&GroupSettings>,
        start: Offset,
    ) -> Result<(Journal, Progress), StorageError> {
        let dir = self.dir.groups_dir(topic, id);
        let path = dir.join(journal::file_name(group));
        let identity = JournalIdentity {
            number: self.journal_numbers.next(),
            incarnation,
        };
        let created = Journal::create(self.files.clone(), &path, identity, settings, start)?;
        self.dir.fs.sync_dir(&dir).context("sync", &dir)?;
        Ok(created)
    }

    /// As far as that is possible: what stays would be a group at the next start.
    fn remove_half_created_group(&self, topic: &TopicName, group: &GroupName, partitions: usize) {
        for (id, _) in (0..).map(PartitionId).zip(0..partitions) {
            let dir = self.dir.groups_dir(topic, id);
            let path = dir.join(journal::file_name(group));
            if self.dir.fs.remove_file(&path).is_ok() {
                let _best_effort = self.dir.fs.sync_dir(&dir);
            }
        }
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
    pub(super) fn open_groups(
        &mut self,
        topic: &Opening<'_>,
        findings: &mut Vec<Finding>,
    ) -> Result<Vec<FoundGroup>, StorageError> {
        if !topic.is_settled() {
            self.settle_entries(topic)?;
        }
        let first = self.dir.groups_dir(topic.name, PartitionId(0));
        let names = match self.dir.fs.read_dir(&first) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            result => result.context("list", &first)?,
        };
        let mut groups: Vec<GroupName> = names
            .iter()
            .filter_map(|(name, _)| journal::group_of(name))
            .collect();
        groups.sort_unstable();
        let open = |group| self.open_group(topic, group, findings);
        groups.into_iter().map(open).collect()
    }

    /// A file that a killed broker created may be there without its entry being durable; what is
    /// about to be acknowledged in it must not disappear with it.
    fn settle_entries(&self, topic: &Opening<'_>) -> Result<(), StorageError> {
        let fs = &self.dir.fs;
        let dir = self.dir.topic_dir(topic.name);
        fs.sync_dir(&dir).context("sync", &dir)?;
        for id in (0..topic.partitions).map(PartitionId) {
            let groups = self.dir.groups_dir(topic.name, id);
            match fs.sync_dir(&groups) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                result => result.context("sync", &groups)?,
            }
        }
        Ok(())
    }

    fn open_group(
        &mut self,
        topic: &Opening<'_>,
        group: GroupName,
        findings: &mut Vec<Finding>,
    ) -> Result<FoundGroup, StorageError> {
        let mut settings = GroupSettings::default();
        let mut journals = Vec::with_capacity(topic.partitions as usize);
        for id in (0..topic.partitions).map(PartitionId) {
            let path = self.dir.groups_dir(topic.name, id);
            let path = path.join(journal::file_name(&group));
            match ReadJournal::open(&*self.dir.fs, &path, findings) {
                // A lost journal costs redelivery, never a message.
                Err(StorageError::Io { source, .. })
                    if source.kind() == io::ErrorKind::NotFound =>
                {
                    journals.push(self.replace_lost_journal(topic.name, id, &path)?);
                }
                read => {
                    let read = read?;
                    settings = read.folded.settings.clone().unwrap_or(settings);
                    journals.push(self.take_journal(topic, &path, read)?);
                }
            }
        }
        Ok(FoundGroup {
            group,
            settings,
            journals,
        })
    }

    fn take_journal(
        &mut self,
        topic: &Opening<'_>,
        path: &Path,
        read: ReadJournal,
    ) -> Result<(Journal, Progress), StorageError> {
        let (number, incarnation) = (read.folded.number, read.folded.incarnation);
        let identity = JournalIdentity {
            number: number.unwrap_or_else(|| self.journal_numbers.next()),
            incarnation: incarnation.unwrap_or_else(|| self.new_incarnation()),
        };
        let mut journal = Journal::resume(self.files.clone(), path, identity, &read);
        if number.is_none() {
            // The commit log needs a number that only this file has.
            journal.compact(&mut self.journal_numbers)?;
        } else if !topic.is_settled() {
            journal.settle()?;
        }
        Ok((journal, read.folded.progress))
    }

    /// For a group whose journal does not say it. Old receipts are void, which costs redelivery.
    fn new_incarnation(&mut self) -> Incarnation {
        Incarnation(self.journal_numbers.next().0)
    }

    fn replace_lost_journal(
        &mut self,
        topic: &TopicName,
        id: PartitionId,
        path: &Path,
    ) -> Result<(Journal, Progress), StorageError> {
        let fs = self.dir.fs.clone();
        let (partition_dir, dir) = (
            self.dir.partition_dir(topic, id),
            self.dir.groups_dir(topic, id),
        );
        fs.create_dir(&dir).context("create", &dir)?;
        fs.sync_dir(&partition_dir)
            .context("sync", &partition_dir)?;
        let identity = JournalIdentity {
            number: self.journal_numbers.next(),
            incarnation: self.new_incarnation(),
        };
        let created = Journal::create(self.files.clone(), path, identity, None, Offset::ZERO)?;
        fs.sync_dir(&dir).context("sync", &dir)?;
        Ok(created)
    }

    /// Takes the journals of a group into the store's care.
    pub(super) fn adopt_group(&mut self, topic: &TopicName, found: FoundGroup) -> GroupProgress {
        let mut partitions = Vec::new();
        for (journal, progress) in found.journals {
            let key = JournalKey(self.next_key());
            partitions.push(PartitionProgress {
                journal: key,
                incarnation: journal.incarnation(),
                progress,
            });
            if let Some(open) = self.topics.get(topic) {
                self.journals.insert(
                    key,
                    OpenJournal {
                        journal,
                        settings: open.settings.clone(),
                    },
                );
            }
        }
        if let Some(open) = self.topics.get_mut(topic) {
            let keys = partitions.iter().map(|one| one.journal).collect();
            open.groups.insert(found.group.clone(), keys);
        }
        GroupProgress {
            group: found.group,
            settings: found.settings,
            partitions,
        }
    }
}
