use crate::history::check::{Ordering, Promises};
use serde_json::{Value, json};
use std::time::Duration;

/// Both have the same clock, in whole milliseconds, and it may be set a little.
const CLOCK_TOLERANCE: Duration = Duration::from_millis(20);
const MAX_DELIVERIES: u32 = 5;

/// What the broker is asked for; what is off is neither used nor checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// Ids are stored once.
    pub dedupe: bool,
    /// The group keeps the order of keys.
    pub key_order: bool,
    /// Messages are dead-lettered after five deliveries.
    pub dead_letters: bool,
    /// Some consumers take the group's stream.
    pub group_stream: bool,
}

impl Features {
    /// Everything.
    pub const ALL: Self = Self {
        dedupe: true,
        key_order: true,
        dead_letters: true,
        group_stream: true,
    };
    /// Publish, lease, ack, nack and extend only.
    pub const NONE: Self = Self {
        dedupe: false,
        key_order: false,
        dead_letters: false,
        group_stream: false,
    };
}

/// How the broker's lives end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By `kill -9`.
    Killed,
    /// As in a rolling restart: it is told to drain, a moment later it gets SIGTERM, and it must end with
    /// 0. Clients are turned away meanwhile, but never with anything else than `draining`.
    Replaced,
}

/// How to live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Everything random comes from it, as far as the timing of the machine lets it.
    pub seed: u64,
    /// How often the broker's life ends under load.
    pub kills: u32,
    /// How it ends.
    pub ending: Ending,
    /// What is used.
    pub features: Features,
}

impl Plan {
    /// What the broker must keep then.
    #[must_use]
    pub fn promises(&self) -> Promises {
        let Features {
            dedupe,
            key_order,
            dead_letters,
            ..
        } = self.features;
        Promises {
            ordering: if key_order {
                Ordering::Key
            } else {
                Ordering::None
            },
            max_deliveries: dead_letters.then_some(MAX_DELIVERIES),
            deduplicated: dedupe,
            clock_tolerance: CLOCK_TOLERANCE,
        }
    }

    /// The body that creates the group.
    pub(super) fn group(&self) -> Value {
        let mut group = json!({"start": "earliest"});
        if self.features.key_order {
            group["ordering"] = "key".into();
        }
        if self.features.dead_letters {
            group["max_deliveries"] = MAX_DELIVERIES.into();
        }
        group
    }
}
