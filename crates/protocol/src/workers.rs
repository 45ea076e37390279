//! Workers that messages are pushed to, and backends: shapes of the API.

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::value::RawValue;
use std::fmt;
use weir_types::{DurationText, GroupName, Timestamp, TopicName};

/// The number of a queue of tasks, from 1 in order of registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QueueId(pub i32);

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A queue as a client names it: as JSON a number or a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum QueueRef {
    /// By its number.
    Id(i32),
    /// By its name, which is that of its topic.
    Name(String),
}

impl QueueRef {
    /// Reads it where there are only texts: digits are a number.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        text.parse()
            .map_or_else(|_| Self::Name(text.to_owned()), Self::Id)
    }
}

impl fmt::Display for QueueRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => write!(f, "{name:?}"),
        }
    }
}

impl<'de> Deserialize<'de> for QueueRef {
    // By hand: of an untagged enum serde only says that no form fits.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = QueueRef;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the number or the name of a queue")
            }
            fn visit_i64<E: de::Error>(self, id: i64) -> Result<QueueRef, E> {
                let refused = |_| E::invalid_value(de::Unexpected::Signed(id), &self);
                i32::try_from(id).map(QueueRef::Id).map_err(refused)
            }
            fn visit_u64<E: de::Error>(self, id: u64) -> Result<QueueRef, E> {
                let refused = |_| E::invalid_value(de::Unexpected::Unsigned(id), &self);
                i32::try_from(id).map(QueueRef::Id).map_err(refused)
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<QueueRef, E> {
                Ok(QueueRef::Name(name.to_owned()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// The number of a registration, from 1; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkerId(pub u64);

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Body of registering a worker. Its messages are those of a queue, or those of a topic's group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewWorker {
    /// The queue, if not a topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueRef>,
    /// The topic, if not a queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<TopicName>,
    /// The topic's group; `workers` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupName>,
    /// Where it listens: `grpc://host:port`, `tcp://host:port`, `http://…`, `https://…`; a bare
    /// `host:port` is gRPC.
    pub target: String,
    /// Messages it works on at one time, 1 to 1,000; 1 when absent.
    #[serde(default = "one")]
    pub concurrency: u32,
    /// How long it may work on one message; the topic's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility_timeout: Option<DurationText>,
}

const fn one() -> u32 {
    1
}

impl NewWorker {
    /// A worker for the tasks of a queue, one at a time.
    pub fn of_queue(queue: QueueRef, target: impl Into<String>) -> Self {
        Self {
            queue: Some(queue),
            topic: None,
            group: None,
            target: target.into(),
            concurrency: 1,
            visibility_timeout: None,
        }
    }

    /// A worker for the messages of a topic's group `workers`, one at a time.
    pub fn of_topic(topic: TopicName, target: impl Into<String>) -> Self {
        Self {
            queue: None,
            topic: Some(topic),
            group: None,
            target: target.into(),
            concurrency: 1,
            visibility_timeout: None,
        }
    }
}

/// Body of changing a registration; what is absent stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerChange {
    /// Whether nothing new is delivered to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Messages it works on at one time, 1 to 1,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
}

/// A registered worker, and how it does. Totals count since the broker started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerInfo {
    /// Names the registration.
    pub id: WorkerId,
    /// Whose messages it gets.
    pub topic: TopicName,
    /// In the name of which group.
    pub group: GroupName,
    /// The queue, if it registered for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueId>,
    /// Where it listens.
    pub target: String,
    /// Messages it works on at one time.
    pub concurrency: u32,
    /// How long it may work on one message; the topic's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility_timeout: Option<DurationText>,
    /// Whether nothing new is delivered to it.
    pub paused: bool,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// The circuit breaker of its target, which all registrations of that target share.
    pub breaker: BreakerInfo,
    /// Messages it works on now.
    pub in_flight: u32,
    /// Messages it finished.
    pub delivered: u64,
    /// Deliveries that ended in another way.
    pub failed: u64,
    /// What became of the last of those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// Answer to listing workers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workers {
    /// In order of registration.
    pub workers: Vec<WorkerInfo>,
}

/// What a circuit breaker lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BreakerState {
    /// Everything.
    Closed,
    /// Nothing.
    Open,
    /// One trial at a time.
    HalfOpen,
}

impl BreakerState {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "CLOSED",
            Self::Open => "OPEN",
            Self::HalfOpen => "HALF_OPEN",
        }
    }
}

/// The circuit breaker of a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerInfo {
    /// What it lets through.
    pub state: BreakerState,
    /// Failures since the last success.
    pub consecutive_failures: u32,
    /// How often it opened, since the broker started.
    pub opened: u64,
    /// While it is open: when it lets the next trial through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_trial_at: Option<Timestamp>,
    /// The last changes of state, newest first, at most 16; only the newest where workers are listed.
    pub transitions: Vec<BreakerTransition>,
}

/// A change of a breaker's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerTransition {
    /// When.
    pub at: Timestamp,
    /// The state before.
    pub from: BreakerState,
    /// The state after.
    pub to: BreakerState,
    /// Why, for people.
    pub reason: String,
}

/// A backend, and how it does. Totals count since the broker started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendInfo {
    /// Where it listens: `backend://host:port`.
    pub target: String,
    /// Its circuit breaker.
    pub breaker: BreakerInfo,
    /// Messages it works on now.
    pub in_flight: u32,
    /// Messages it accepted.
    pub delivered: u64,
    /// Deliveries that ended in another way.
    pub failed: u64,
    /// What became of the last of those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// Answer to listing backends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backends {
    /// In the order of the settings.
    pub backends: Vec<BackendInfo>,
    /// Topics whose messages are delivered to them.
    pub topics: Vec<TopicName>,
}

/// Body of sending a message to a backend.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendMessage {
    /// What it is about; no topic of this broker needs to have the name.
    pub topic: TopicName,
    /// The message, unparsed.
    pub payload: Box<RawValue>,
    /// Topic that an answer goes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<TopicName>,
}

/// Answer to sending a message to a backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendAnswer {
    /// The backend that accepted it.
    pub target: String,
    /// The id that the backend gave it.
    pub message_id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_named_by_number_or_by_text() {
        let parse = |text| serde_json::from_str::<QueueRef>(text);
        assert_eq!(parse("7").unwrap(), QueueRef::Id(7));
        assert_eq!(parse("-7").unwrap(), QueueRef::Id(-7));
        assert_eq!(parse("\"7\"").unwrap(), QueueRef::Name("7".to_owned()));
        for refused in ["true", "4294967296", "-4294967296", "1.5", "{}"] {
            let refused = parse(refused).unwrap_err().to_string();
            assert!(
                refused.contains("the number or the name of a queue"),
                "{refused}"
            );
        }
        assert_eq!(QueueRef::of_text("7"), QueueRef::Id(7));
        assert_eq!(QueueRef::of_text("a"), QueueRef::Name("a".to_owned()));
    }

    #[test]
    fn a_worker_has_few_needs() {
        let json = r#"{"queue":1,"target":"127.0.0.1:9000"}"#;
        let worker: NewWorker = serde_json::from_str(json).unwrap();
        assert_eq!(
            worker,
            NewWorker::of_queue(QueueRef::Id(1), "127.0.0.1:9000")
        );
        let topic = TopicName::parse("t").unwrap();
        let worker = NewWorker::of_topic(topic, "tcp://h:1");
        assert_eq!(
            serde_json::to_string(&worker).unwrap(),
            r#"{"topic":"t","target":"tcp://h:1","concurrency":1}"#
        );
        for (json, part) in [
            ("{}", "missing field `target`"),
            (
                r#"{"target":"a:1","tagret":"a:1"}"#,
                "unknown field `tagret`",
            ),
            (r#"{"target":"a:1","topic":"a/b"}"#, "contains '/'"),
            (r#"{"target":"a:1","concurrency":-1}"#, "invalid value"),
            (
                r#"{"target":"a:1","visibility_timeout":"5"}"#,
                "no duration",
            ),
        ] {
            let refused = serde_json::from_str::<NewWorker>(json).unwrap_err();
            assert!(refused.to_string().contains(part), "{refused}");
        }
    }

    #[test]
    fn states_are_written_as_the_brokers_before_did() {
        for (state, text) in [
            (BreakerState::Closed, "\"CLOSED\""),
            (BreakerState::Open, "\"OPEN\""),
            (BreakerState::HalfOpen, "\"HALF_OPEN\""),
        ] {
            assert_eq!(serde_json::to_string(&state).unwrap(), text);
            assert_eq!(format!("{:?}", state.as_str()), text);
        }
    }
}
