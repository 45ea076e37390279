//! The topics that an import writes to: whether they may take it, and their creation.

use super::plan::{Plan, PlannedLane};
use super::source::LaneReader;
use super::stored::{Matched, compare};
use super::{Dialect, Options};
use crate::failure::Failure;
use crate::output::note;
use crate::table::human_bytes;
use weir_client::Client;
use weir_protocol::ErrorCode;
use weir_protocol::shapes::{GroupInfo, GroupRequest, PartitionInfo, SeekRequest, TopicInfo};
use weir_types::{GroupName, Offset, PartitionId, TopicName, TopicSettingsChange};

/// Of the groups that the partitioned dialect creates; see docs/dialects/partitioned.md.
const PARTITIONED_MAX_DELIVERIES: u32 = 10_000;

/// The broker that gets the messages.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) client: &'a Client,
    pub(super) options: &'a Options,
}

impl Target<'_> {
    /// Refuses the import if a topic holds something else, or cannot take the files. Writes nothing.
    pub(super) async fn survey(&self, plan: &Plan) -> Result<(), Failure> {
        let mut problems = Vec::new();
        for topic in plan.topics() {
            let Some(info) = self.topic(topic).await? else {
                continue;
            };
            let lanes = plan.lanes_of(topic);
            problems.extend(lanes.filter_map(|planned| no_room(planned, &info)));
            match self.others_in(&info, plan).await {
                Ok(0) => {}
                Ok(_) if self.options.append => {}
                Ok(others) => problems.push(format!(
                    "the topic {topic} holds {others} other messages; --append imports behind them, \
                     --rename into another topic"
                )),
                Err(Failure::Failed(difference)) => problems.push(format!(
                    "{difference}: it was imported from other files, or changed since. Delete the topic or \
                     use another one (--rename)"
                )),
                Err(failure) => return Err(failure),
            }
        }
        match problems.is_empty() {
            true => Ok(()),
            false => Err(Failure::Input(problems.join("\n"))),
        }
    }

    /// Records of a topic that this import has not brought there.
    async fn others_in(&self, info: &TopicInfo, plan: &Plan) -> Result<u64, Failure> {
        let mut others = 0;
        for held in info.partitions.iter().filter(|held| records(held) > 0) {
            let mut lanes = plan.lanes_of(&info.topic);
            let planned = lanes.find(|p| p.lane.partition == held.partition);
            others += match planned {
                None => records(held),
                Some(PlannedLane { lane, .. }) => {
                    let mut source = LaneReader::new(lane, self.options.max_payload_bytes);
                    let matched = compare(self.client, lane, &mut source, held).await?;
                    matched.others
                }
            };
        }
        Ok(others)
    }

    /// Creates the topics that are missing, and refuses those that cannot take the files as they were
    /// created.
    pub(super) async fn open_topics(&self, plan: &Plan) -> Result<(), Failure> {
        for (topic, partitions) in &plan.partitions {
            if self.topic(topic).await?.is_some() {
                continue;
            }
            let change = TopicSettingsChange {
                partitions: Some(*partitions),
                ..TopicSettingsChange::default()
            };
            let info = self.client.put_topic(topic, &change).await?;
            let mut lanes = plan.lanes_of(topic);
            if let Some(problem) = lanes.find_map(|planned| no_room(planned, &info)) {
                return Err(Failure::Input(problem));
            }
        }
        Ok(())
    }

    /// Takes the lanes of other brokers' partitions out of the plan, or refuses them.
    pub(super) async fn keep_owned(&self, plan: &mut Plan) -> Result<(), Failure> {
        let owned = self.client.owned_partitions().await?;
        let is_owned = |topic: &TopicName, partition: PartitionId| {
            owned.get(topic).is_some_and(|of| of.contains(&partition))
        };
        let foreign: Vec<String> = plan
            .lanes
            .iter()
            .map(|planned| &planned.lane)
            .filter(|lane| !is_owned(&lane.topic, lane.partition))
            .map(|lane| format!("{}/{}", lane.topic, lane.partition))
            .collect();
        if foreign.is_empty() {
            return Ok(());
        }
        let foreign = foreign.join(", ");
        if !self.options.only_owned {
            return Err(Failure::Input(format!(
                "{foreign}: other brokers have these partitions, consumers would not find them here; run \
                 this with --only-owned, once for each broker"
            )));
        }
        note(&format!("left to other brokers: {foreign}"));
        plan.lanes
            .retain(|p| is_owned(&p.lane.topic, p.lane.partition));
        Ok(())
    }

    /// Puts `group` behind what was imported, and creates it where it is missing. One that was there
    /// stays where it is, but in partitions in which it finished nothing and would pass over nothing but
    /// imported messages: so the next import finds it if this one is interrupted here.
    pub(super) async fn catch_up(
        &self,
        dialect: Dialect,
        topic: &TopicName,
        group: &GroupName,
        verified: &[(PartitionId, Matched)],
    ) -> Result<(), Failure> {
        let existing = match self.client.group(topic, group).await {
            Ok(existing) => Some(existing),
            Err(error) if error.code() == Some(ErrorCode::UnknownGroup) => None,
            Err(error) => return Err(error.into()),
        };
        if existing.is_none() {
            self.create_group(dialect, topic, group).await?;
        }
        for (partition, matched) in verified {
            let is_begun = existing.as_ref().is_some_and(|g| has_begun(g, *partition));
            if existing.is_some() && (is_begun || !matched.is_all()) {
                note(&format!(
                    "{topic} has the group {group}: it stays where it is in partition {partition}"
                ));
                continue;
            }
            // At the end of the import, not at the latest message: that may be a new one.
            let request = SeekRequest {
                to: None,
                partition: Some(*partition),
                offset: Some(matched.end),
            };
            self.client.seek(topic, group, &request).await?;
        }
        Ok(())
    }

    async fn create_group(
        &self,
        dialect: Dialect,
        topic: &TopicName,
        group: &GroupName,
    ) -> Result<(), Failure> {
        let is_partitioned = dialect == Dialect::Partitioned;
        let request = GroupRequest {
            max_deliveries: is_partitioned.then_some(PARTITIONED_MAX_DELIVERIES),
            ..GroupRequest::default()
        };
        self.client.put_group(topic, group, request).await?;
        Ok(())
    }

    /// One partition of a topic that exists.
    pub(super) async fn partition(
        &self,
        topic: &TopicName,
        partition: PartitionId,
    ) -> Result<PartitionInfo, Failure> {
        let info = self.client.topic(topic).await?;
        let mut partitions = info.partitions.into_iter();
        let found = partitions.find(|held| held.partition == partition);
        found.ok_or_else(|| Failure::Failed(format!("{topic} has no partition {partition}")))
    }

    async fn topic(&self, topic: &TopicName) -> Result<Option<TopicInfo>, Failure> {
        match self.client.topic(topic).await {
            Ok(info) => Ok(Some(info)),
            Err(error) if error.code() == Some(ErrorCode::UnknownTopic) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn has_begun(group: &GroupInfo, partition: PartitionId) -> bool {
    let mut partitions = group.partitions.iter();
    partitions.any(|one| one.partition == partition && one.committed_offset > Offset::default())
}

const fn records(held: &PartitionInfo) -> u64 {
    held.high_watermark.since(held.log_start_offset)
}

/// Why a topic cannot take what is planned for it.
fn no_room(planned: &PlannedLane, info: &TopicInfo) -> Option<String> {
    let (topic, partition) = (&planned.lane.topic, planned.lane.partition);
    let partitions = info.settings.partitions;
    if partition.0 >= partitions {
        return Some(format!(
            "the topic {topic} has {partitions} partitions, and there is a file for partition \
             {partition}; --rename into another topic"
        ));
    }
    let needed = planned.stored_bytes;
    let kept = info.settings.retention_bytes.0;
    (needed > kept).then(|| {
        let (needed, kept) = (human_bytes(needed), human_bytes(kept));
        format!(
            "{topic}/{partition} would get about {needed} and keeps at most {kept}, the oldest would be \
             lost; first: weir topics alter {topic} --retention-bytes …"
        )
    })
}
