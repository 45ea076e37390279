//! The JSON objects of the native API, as both sides see them. Fields may be added, never renamed.

mod gateway;

pub use crate::schedules::{MoveRequest, Schedule, Schedules};
pub use crate::workers::{
    BackendAnswer, BackendInfo, BackendMessage, Backends, BreakerInfo, BreakerState,
    BreakerTransition, NewWorker, QueueId, QueueRef, WorkerChange, WorkerId, WorkerInfo, Workers,
};
pub use gateway::GatewayStats;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use weir_types::{
    DurationText, GroupName, GroupOrdering, GroupSettingsChange, Incarnation, Key, MemberName,
    MessageId, Offset, PartitionId, RetryBackoff, Timestamp, TopicName, TopicSettings,
};

/// Answer to publishing one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Where it went.
    pub topic: TopicName,
    /// Its partition.
    pub partition: PartitionId,
    /// Its place there.
    pub offset: Offset,
    /// The publisher's id, else the one made by the broker.
    pub id: MessageId,
    /// When the broker stored it, in milliseconds since the Unix epoch.
    pub timestamp: Timestamp,
    /// Whether its id was published to this partition before, not long ago: then nothing was stored
    /// now, and offset and timestamp are those of the first.
    #[serde(default, skip_serializing_if = "is_false")]
    pub duplicate: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Answer to publishing one message that is delivered later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduled {
    /// Names the waiting message, to look at it, move it or cancel it.
    pub schedule_id: String,
    /// When it is delivered, in milliseconds since the Unix epoch.
    pub deliver_at: Timestamp,
}

/// Answer to publishing a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchPublished {
    /// Messages acknowledged: all lines.
    pub count: usize,
    /// Those of them that were stored before, under their id.
    #[serde(default)]
    pub duplicates: u64,
    /// Where those went that were stored.
    pub partitions: Vec<BatchPart>,
    /// Those that are delivered later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scheduled: Vec<ScheduledLine>,
}

/// A line of a batch that is delivered later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduledLine {
    /// Counted from 1, blank lines left out.
    pub line: usize,
    /// Names the waiting message, to look at it, move it or cancel it.
    pub schedule_id: String,
    /// When it is delivered, in milliseconds since the Unix epoch.
    pub deliver_at: Timestamp,
}

/// The part of a batch that went to one partition; its offsets are contiguous.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchPart {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: PartitionId,
    /// Offset of the part's first message.
    pub first_offset: Offset,
    /// Offset of the part's last message.
    pub last_offset: Offset,
    /// Messages in the part.
    pub count: u64,
}

/// A message as a fetch or a stream delivers it; and the reply to a request, which never was in a
/// log and has offset 0.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: PartitionId,
    /// Place in the partition.
    pub offset: Offset,
    /// When the broker stored it.
    pub timestamp: Timestamp,
    /// The message's id.
    pub id: MessageId,
    /// The message's key, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// Headers, if it has any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Topic that an answer goes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// Until when it is of use, if that has an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The producer's JSON, unparsed.
    pub payload: Box<RawValue>,
}

/// A message as a lease delivers it.
#[derive(Clone, Debug, Deserialize)]
pub struct LeasedMessage {
    /// Token for ack, nack and extend.
    pub receipt: String,
    /// Which lease of the message this is, from 1.
    pub delivery_attempt: u32,
    /// When the lease ends.
    pub lease_expires_at: Timestamp,
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: PartitionId,
    /// Place in the partition.
    pub offset: Offset,
    /// When the broker stored it.
    pub timestamp: Timestamp,
    /// The message's id.
    pub id: MessageId,
    /// The message's key, if it has one.
    pub key: Option<Key>,
    /// Headers, if it has any.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Topic that an answer goes to.
    pub reply_to: Option<String>,
    /// Until when it is of use, if that has an end.
    pub expires_at: Option<Timestamp>,
    /// The producer's JSON, unparsed.
    pub payload: Box<RawValue>,
}

/// Offsets without a readable record. Readers are told and go on behind them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The partition.
    pub partition: PartitionId,
    /// The first offset.
    pub from_offset: Offset,
    /// The offset after the last one.
    pub until_offset: Offset,
    /// Why.
    pub reason: GapReason,
}

/// Why offsets have no readable record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// Retention or a purge removed them.
    Trimmed,
    /// They are there, but damaged.
    Damaged,
    /// They never were acknowledged, or their topic's durability is less than `fsync`.
    Missing,
}

/// Answer to a fetch.
#[derive(Clone, Debug, Deserialize)]
pub struct Fetched {
    /// The messages, in order within each partition.
    pub messages: Vec<Message>,
    /// What was passed over between them; absent if nothing was.
    #[serde(default)]
    pub gaps: Vec<Gap>,
    /// Cursor for the next fetch.
    pub next: String,
}

/// Answer to a lease.
#[derive(Clone, Debug, Deserialize)]
pub struct Leased {
    /// The messages, each for its own time.
    pub messages: Vec<LeasedMessage>,
}

/// Body of an ack.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AckRequest<R = String> {
    /// Receipts of the finished messages.
    pub receipts: Vec<R>,
}

/// Body of a nack.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NackRequest<R = String> {
    /// Receipts of the messages to give back.
    pub receipts: Vec<R>,
    /// How long they wait before their next delivery, such as `"5s"`; as the group's backoff says
    /// when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<DurationText>,
    /// Whether they become dead letters at once, however often they were delivered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dead_letter: bool,
    /// Why, for people; kept with the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Body of an extend.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtendRequest<R = String> {
    /// Receipts of the messages to keep longer.
    pub receipts: Vec<R>,
    /// How long from now; the topic's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility_timeout: Option<DurationText>,
}

/// A receipt that is still part of the request's body, where it has no escapes.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct ReceiptText<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// What happened to one receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptStatus {
    /// Finished; also when it was finished before.
    Acked,
    /// Given back.
    Nacked,
    /// Kept longer.
    Extended,
    /// Someone newer holds the message, or, for nack and extend, the lease is over.
    LeaseExpired,
    /// No lease of this topic and group.
    Unknown,
}

impl ReceiptStatus {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Acked => "acked",
            Self::Nacked => "nacked",
            Self::Extended => "extended",
            Self::LeaseExpired => "lease_expired",
            Self::Unknown => "unknown",
        }
    }
}

/// One receipt and what happened to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptResult {
    /// As it was sent.
    pub receipt: String,
    /// What happened.
    pub status: ReceiptStatus,
}

/// Answer to ack, nack and extend, in the order of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptResults {
    /// One result a receipt.
    pub results: Vec<ReceiptResult>,
}

/// A topic, with what was chosen for it and what it holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TopicInfo {
    /// Its name.
    pub topic: TopicName,
    /// Tells it from an earlier topic of that name.
    pub incarnation: Incarnation,
    /// Its settings.
    pub settings: TopicSettings,
    /// Records it holds.
    pub records: u64,
    /// Bytes of its segments.
    pub bytes: u64,
    /// Names of its groups.
    pub groups: Vec<GroupName>,
    /// Its partitions.
    pub partitions: Vec<PartitionInfo>,
}

/// One partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionInfo {
    /// The partition.
    pub partition: PartitionId,
    /// The oldest readable offset.
    pub log_start_offset: Offset,
    /// The offset after the newest durable record.
    pub high_watermark: Offset,
    /// Bytes of its segments.
    pub bytes: u64,
    /// Whether the disk failed under it, so that it accepts nothing.
    pub failed: bool,
}

/// Answer to listing topics.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Topics {
    /// In order of name.
    pub topics: Vec<TopicInfo>,
}

/// Where a new group begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupStart {
    /// At the oldest record.
    #[default]
    Earliest,
    /// After the newest record.
    Latest,
}

/// Body of creating or changing a group; may be left empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GroupRequest {
    /// Where a new group begins; an existing one stays where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<GroupStart>,
    /// See [`GroupSettingsChange::ordering`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordering: Option<GroupOrdering>,
    /// See [`GroupSettingsChange::max_deliveries`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_deliveries: Option<u32>,
    /// See [`GroupSettingsChange::retry_backoff`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_backoff: Option<RetryBackoff>,
    /// See [`GroupSettingsChange::expires_after`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_after: Option<DurationText>,
}

impl GroupRequest {
    /// Where a new group begins, and the settings to set.
    #[must_use]
    pub fn parts(self) -> (GroupStart, GroupSettingsChange) {
        let change = GroupSettingsChange {
            ordering: self.ordering,
            max_deliveries: self.max_deliveries,
            retry_backoff: self.retry_backoff,
            expires_after: self.expires_after,
        };
        (self.start.unwrap_or_default(), change)
    }
}

/// A group: how far it is and what it has in hand. Totals count since the broker started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupInfo {
    /// Its name.
    pub group: GroupName,
    /// The topic it reads.
    pub topic: TopicName,
    /// Which messages wait for which.
    pub ordering: GroupOrdering,
    /// After so many deliveries a message moves to the dead-letter topic.
    pub max_deliveries: u32,
    /// How long a message waits between deliveries, unless its consumer says.
    pub retry_backoff: RetryBackoff,
    /// The group is deleted after being idle for so long; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_after: Option<DurationText>,
    /// Unfinished records.
    pub lag_records: u64,
    /// Age of the oldest unfinished record; 0 when there is none.
    pub lag_seconds: f64,
    /// Messages under a lease.
    pub in_flight: u64,
    /// Messages that came back or were passed by their key, and wait for a consumer or their time.
    pub waiting: u64,
    /// Messages that wait behind an earlier one of their key.
    pub held_back: u64,
    /// Messages on their way to the dead-letter topic; they stay here while they cannot move.
    #[serde(default)]
    pub moving: u64,
    /// Deliveries beyond a message's first.
    pub redelivered: u64,
    /// Messages that moved to the dead-letter topic.
    pub dead_lettered: u64,
    /// Messages whose time to live was over before they were delivered.
    pub expired: u64,
    /// Unfinished records that were gone when it came to them: trimmed, purged or damaged.
    #[serde(default)]
    pub lost_records: u64,
    /// Consumers that said who they are, in order of name.
    pub members: Vec<MemberInfo>,
    /// Its place in each partition.
    pub partitions: Vec<GroupPartitionInfo>,
}

/// A consumer of a group that said who it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberInfo {
    /// Its name.
    pub member: MemberName,
    /// How long it has said nothing.
    pub idle_seconds: f64,
    /// Messages it has under a lease.
    pub in_flight: u64,
    /// Partitions that only it consumes; empty unless the group's order is by partition.
    pub partitions: Vec<PartitionId>,
}

/// A group's place in one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupPartitionInfo {
    /// The partition.
    pub partition: PartitionId,
    /// All below are finished.
    pub committed_offset: Offset,
    /// The offset after the newest durable record.
    pub high_watermark: Offset,
    /// Unfinished records.
    pub lag_records: u64,
    /// Messages under a lease.
    pub in_flight: u64,
    /// Messages that wait for a consumer or their time.
    pub waiting: u64,
    /// Messages that wait behind an earlier one of their key.
    pub held_back: u64,
    /// Messages on their way to the dead-letter topic.
    #[serde(default)]
    pub moving: u64,
    /// Whether so many are held back or in flight that nothing further is read until some are finished.
    pub read_ahead_stopped: bool,
    /// Unfinished records that were gone when it came to them.
    #[serde(default)]
    pub lost_records: u64,
    /// Who consumes it, if the group's order is by partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<MemberName>,
}

/// Body of moving a group: `to` alone, or with `partition`; or `offset` with `partition`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SeekRequest {
    /// `earliest`, `latest`, a time (RFC 3339) or a cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Only this partition moves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<PartitionId>,
    /// The next offset to deliver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<Offset>,
}

/// Body of moving dead letters back; what is absent does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedriveRequest {
    /// Ids of dead letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ids: Option<Vec<MessageId>>,
    /// Those whose last reason contains this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Those with this key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// Dead letters to look at in this step, 1 to 10,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Where to go on: the `next` of the step before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// Answer to moving dead letters back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redriven {
    /// Dead letters that were moved back.
    pub redriven: usize,
    /// Records of the dead-letter topic that were looked at.
    pub examined: usize,
    /// Where the next step goes on; absent when all were looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A message that was delivered as often as its group allows, and where it came from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeadLetter {
    /// `<group>/<topic>/<partition>/<offset>` of where it came from.
    pub id: MessageId,
    /// The dead-letter topic.
    pub topic: TopicName,
    /// Its partition there.
    pub partition: PartitionId,
    /// Its place there.
    pub offset: Offset,
    /// When it was moved there.
    pub timestamp: Timestamp,
    /// The topic it was published to.
    pub source_topic: TopicName,
    /// Its partition there.
    pub source_partition: PartitionId,
    /// Its place there.
    pub source_offset: Offset,
    /// Its id there.
    pub source_id: MessageId,
    /// When it was stored there.
    pub source_timestamp: Timestamp,
    /// The group that could not finish it.
    pub group: GroupName,
    /// How often it was delivered.
    pub attempts: u32,
    /// Why the last delivery ended, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its key, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// The producer's headers, if there are any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The producer's JSON, unparsed.
    pub payload: Box<RawValue>,
}

/// Answer to listing dead letters.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeadLetters {
    /// Those that were not moved back, in order within each partition.
    pub dead_letters: Vec<DeadLetter>,
    /// Where the next page begins; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Answer to listing groups.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Groups {
    /// In order of name.
    pub groups: Vec<GroupInfo>,
}

/// Answer to purging a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// The topic.
    pub topic: TopicName,
    /// Records removed.
    pub records: u64,
}

/// Answer of `/health` and `/ready`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `healthy`, `ready`, `draining` or `failed`.
    pub status: String,
    /// The broker's version.
    pub version: String,
    /// What is wrong, if anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}
