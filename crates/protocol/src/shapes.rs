//! The JSON objects of the native API, as both sides see them. Fields may be added, never renamed.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use weir_types::{
    GroupName, Headers, Incarnation, Key, MessageId, Offset, PartitionId, Timestamp, TopicName,
    TopicSettings,
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

/// A message as a fetch or a stream delivers it.
#[derive(Clone, Debug, Deserialize)]
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
    pub key: Option<Key>,
    /// Headers, if it has any.
    #[serde(default)]
    pub headers: Headers,
    /// Topic that an answer goes to.
    pub reply_to: Option<String>,
    /// Until when it is of use, if that has an end.
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
    pub headers: Headers,
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
pub struct AckRequest {
    /// Receipts of the finished messages.
    pub receipts: Vec<String>,
}

/// Body of a nack.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NackRequest {
    /// Receipts of the messages to give back.
    pub receipts: Vec<String>,
    /// How long they wait before their next delivery, such as `"5s"`; at once when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<weir_types::DurationText>,
    /// Why, for people; kept with the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Body of an extend.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtendRequest {
    /// Receipts of the messages to keep longer.
    pub receipts: Vec<String>,
    /// How long from now; the topic's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility_timeout: Option<weir_types::DurationText>,
}

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

/// Body of creating a group; may be left empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupRequest {
    /// Where it begins.
    #[serde(default)]
    pub start: GroupStart,
}

/// A group: how far it is and what it has in hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupInfo {
    /// Its name.
    pub group: GroupName,
    /// The topic it reads.
    pub topic: TopicName,
    /// Unfinished records.
    pub lag_records: u64,
    /// Age of the oldest unfinished record; 0 when there is none.
    pub lag_seconds: f64,
    /// Messages under a lease.
    pub in_flight: u64,
    /// Deliveries beyond a message's first, since the broker started.
    pub redelivered: u64,
    /// Unfinished records that were gone when it came to them, since the broker started: trimmed,
    /// purged or damaged.
    #[serde(default)]
    pub lost_records: u64,
    /// Its place in each partition.
    pub partitions: Vec<GroupPartitionInfo>,
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
    /// Unfinished records that were gone when it came to them.
    #[serde(default)]
    pub lost_records: u64,
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
