//! Logs to standard error, as text for people or JSON for collectors.

use std::io::{IsTerminal, stderr};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use thiserror::Error;
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people; in colour if standard error is a terminal.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("allowed are \"text\" and \"json\"".to_owned()),
        }
    }
}

/// Why logging could not be set up.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The filter is not written as `level` or `target=level,…`.
    #[error(
        "log filter {filter:?} is refused: {reason}; write a level such as \"info\", or targets such as \"info,weir_broker=debug\""
    )]
    InvalidFilter {
        /// As given.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Logging was set up before.
    #[error("logging is already set up in this process")]
    AlreadySetUp,
}

/// Sends the process's logs to standard error, those that pass `filter` (`info`,
/// `info,hyper=debug`, …). The one global thing this crate sets; call it once, early in `main`.
///
/// # Errors
/// See [`TelemetryError`]; nothing was set then.
pub fn init(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let filtered = tracing_subscriber::registry().with(parse_filter(filter)?);
    let lines = fmt::layer().with_writer(stderr);
    let installed: Result<(), TryInitError> = match format {
        LogFormat::Text => {
            let lines = lines.with_ansi(stderr().is_terminal());
            filtered.with(lines).try_init()
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_ansi(false);
            filtered.with(lines).try_init()
        }
    };
    installed.map_err(|_| TelemetryError::AlreadySetUp)
}

/// Reads a log filter, as a setting.
///
/// # Errors
/// What is wrong, and what is allowed.
pub fn log_filter(value: &str) -> Result<String, String> {
    let checked = parse_filter(value).map(|_| value.to_owned());
    checked.map_err(|refused| refused.to_string())
}

/// Levels by target, and not `EnvFilter`: that one also matches spans and their fields, which nobody
/// is promised, with an engine for regular expressions that every binary would carry.
fn parse_filter(filter: &str) -> Result<Targets, TelemetryError> {
    let refused = |reason: String| TelemetryError::InvalidFilter {
        filter: filter.to_owned(),
        reason,
    };
    // `Targets` takes any text without "=" for the name of a target.
    if let Some(odd) = filter.split(',').find(|part| !is_directive(part)) {
        return Err(refused(format!("{odd:?} is neither a level nor a target")));
    }
    let parsed = filter.parse();
    parsed.map_err(|error: ParseError| refused(error.to_string()))
}

fn is_directive(part: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || "_:-=".contains(c);
    !part.is_empty() && part.chars().all(allowed)
}

/// Lets one log line per interval through and counts the others, so that a flood of bad input is
/// seen but does not fill the disk.
#[derive(Debug)]
pub struct LogLimiter {
    interval: Duration,
    state: Mutex<LimiterState>,
}

#[derive(Debug, Default)]
struct LimiterState {
    last: Option<Instant>,
    suppressed: u64,
}

impl LogLimiter {
    /// At most one line per `interval`.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self {
            interval,
            state: Mutex::default(),
        }
    }

    /// `Some(n)`: log now, and say that `n` lines were left out since the last one. `None`: do
    /// not log; it was counted.
    pub fn admit(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let due = state
            .last
            .is_none_or(|last| now.saturating_duration_since(last) >= self.interval);
        if due {
            state.last = Some(now);
            Some(std::mem::take(&mut state.suppressed))
        } else {
            state.suppressed += 1;
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_logged_once_per_interval_and_counted() {
        let limiter = LogLimiter::new(Duration::from_secs(10));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(limiter.admit(at(0)), Some(0));
        assert_eq!(limiter.admit(at(1)), None);
        assert_eq!(limiter.admit(at(9)), None);
        assert_eq!(limiter.admit(at(10)), Some(2));
        assert_eq!(limiter.admit(at(20)), Some(0));
    }

    #[test]
    fn filters_and_formats_refuse_nonsense() {
        assert!(parse_filter("info,hyper=debug").is_ok());
        let refused = parse_filter("weir=loud").unwrap_err().to_string();
        assert!(refused.contains("weir=loud"), "{refused}");
        for nonsense in ["", "info,", "info debug", "weir[span]=info", "a=b=c"] {
            assert!(parse_filter(nonsense).is_err(), "{nonsense:?}");
        }
        assert_eq!("json".parse(), Ok(LogFormat::Json));
        assert!("xml".parse::<LogFormat>().is_err());
    }
}
