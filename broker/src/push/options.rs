//! What an operator chose for pushing.

use super::allowed::AllowedTargets;
use std::path::PathBuf;
use std::time::Duration;
use weir_types::TopicName;

/// When a target is left alone, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerOptions {
    /// Failures in a row that open a breaker.
    pub max_failures: u32,
    /// How long an open breaker lets nothing through; then one trial.
    pub reset: Duration,
}

impl Default for BreakerOptions {
    fn default() -> Self {
        Self {
            max_failures: 5,
            reset: Duration::from_secs(30),
        }
    }
}

/// What an operator chose for pushing.
#[derive(Clone, Debug, Default)]
pub struct PushOptions {
    /// Where to the broker may connect.
    pub allowed: AllowedTargets,
    /// Certificates (PEM) of the authorities that vouch for `https` targets; the system's when `None`.
    pub ca_file: Option<PathBuf>,
    /// Of every target.
    pub breaker: BreakerOptions,
    /// `host:port` of each backend; empty without any.
    pub backends: Vec<String>,
    /// Topics whose messages are delivered to the backends.
    pub backend_topics: Vec<TopicName>,
}
