//! The words of Weir as types that refuse nonsense.
//!
//! Everything a broker, a client or the storage engine passes around is defined here once: names,
//! offsets, times, settings and the limits they obey. A value of one of these types is valid by
//! construction, so no layer above or below checks it again.
//!
//! Absent on purpose: I/O, async, clocks, randomness, and any knowledge of bytes on the wire or on
//! disk (that is `weir-protocol` and `weir-commitlog`).

mod bounded_text;
mod durability;
mod duration_text;
mod group_settings;
mod ids;
mod invalid_settings;
pub mod limits;
mod member_name;
mod message;
mod names;
mod offset;
mod offset_set;
mod retry_backoff;
mod rfc3339;
mod topic_settings;

pub use bounded_text::InvalidText;
pub use durability::{Durability, InvalidDurability};
pub use duration_text::{DurationText, InvalidDuration};
pub use group_settings::{GroupOrdering, GroupSettings, GroupSettingsChange};
pub use ids::{BrokerStart, Incarnation, MessageId};
pub use invalid_settings::InvalidSettings;
pub use member_name::MemberName;
pub use message::{Headers, InvalidHeaders, Key};
pub use names::{GroupName, InvalidName, TopicName};
pub use offset::{FilePosition, Offset, OffsetRange, PartitionId, Timestamp, stable_hash};
pub use offset_set::OffsetSet;
pub use retry_backoff::RetryBackoff;
pub use rfc3339::InvalidTime;
pub use topic_settings::{ByteCount, TopicSettings, TopicSettingsChange};
