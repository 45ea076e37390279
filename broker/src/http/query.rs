//! Query parameters: each is known, given once, and valid, or the request is refused.

use super::answer::ApiError;
use percent_encoding::percent_decode_str;
use std::collections::BTreeMap;
use std::time::Duration;
use warp::Filter;
use weir_service::settings;
use weir_types::limits::{MAX_FETCH_BYTES, MAX_FETCH_RECORDS, MAX_WAIT_SECONDS};
use weir_types::{DurationText, PartitionId};

/// As for a topic's visibility timeout: a lease of no time would end before it is answered.
pub(crate) const SHORTEST_LEASE: Duration = Duration::from_millis(1);
/// Longest lease and longest delay of a nack.
const MAX_DELAY: Duration = Duration::from_secs(12 * 3600);

/// The parameters that no handler has taken yet.
#[derive(Debug)]
pub(crate) struct Query {
    given: BTreeMap<String, String>,
    known: Vec<&'static str>,
}

/// A filter that extracts the raw query string, empty if there is none.
pub(crate) fn raw_query()
-> impl Filter<Extract = (String,), Error = std::convert::Infallible> + Clone {
    let absent = warp::any().map(String::new);
    warp::query::raw().or(absent).unify()
}

impl Query {
    /// Parses a raw query string.
    pub(crate) fn parse(raw: &str) -> Result<Self, ApiError> {
        if percent_decode_str(raw).decode_utf8().is_err() {
            let message = "the query is not percent-encoded UTF-8";
            return Err(ApiError::invalid_argument(message));
        }
        let mut given = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(raw.as_bytes()) {
            if given.insert(name.to_string(), value.to_string()).is_some() {
                return Err(ApiError::invalid_argument(format!("{name} is given twice")));
            }
        }
        Ok(Self {
            given,
            known: Vec::new(),
        })
    }

    /// Takes a parameter that may be absent.
    pub(crate) fn take<T, E: std::fmt::Display>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, ApiError> {
        self.known.push(name);
        let Some(value) = self.given.remove(name) else {
            return Ok(None);
        };
        let refused = |e: E| ApiError::invalid_argument(format!("{name} is {value:?}: {e}"));
        parse(&value).map(Some).map_err(refused)
    }

    /// Takes the number of messages wanted.
    pub(crate) fn take_count(&mut self, name: &'static str) -> Result<Option<usize>, ApiError> {
        self.take(name, settings::in_range(1..=MAX_FETCH_RECORDS))
    }

    /// Takes `max_bytes`.
    pub(crate) fn take_max_bytes(&mut self) -> Result<usize, ApiError> {
        let given = self.take("max_bytes", settings::in_range(1..=MAX_FETCH_BYTES))?;
        Ok(given.unwrap_or(1024 * 1024))
    }

    /// Takes `partition`.
    pub(crate) fn take_partition(&mut self) -> Result<Option<PartitionId>, ApiError> {
        let number = |value: &str| {
            value
                .parse()
                .map_err(|_| "allowed is a whole number from 0")
        };
        Ok(self.take("partition", number)?.map(PartitionId))
    }

    /// Takes `wait`, the length of a long poll; none when absent.
    pub(crate) fn take_wait(&mut self) -> Result<Duration, ApiError> {
        let longest = Duration::from_secs(MAX_WAIT_SECONDS);
        let given = self.take("wait", |value| match settings::duration(value) {
            Ok(wait) if wait > longest => Err(format!("allowed is at most {MAX_WAIT_SECONDS}s")),
            result => result,
        })?;
        Ok(given.unwrap_or_default())
    }

    /// Takes `visibility_timeout`, the length of a lease.
    pub(crate) fn take_visibility_timeout(&mut self) -> Result<Option<Duration>, ApiError> {
        self.take("visibility_timeout", |text| {
            settings::duration(text).and_then(|given| in_range(given, SHORTEST_LEASE))
        })
    }

    /// Refuses whatever was not taken.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        let Some(unknown) = self.given.keys().next() else {
            return Ok(());
        };
        let known = self.known.join(", ");
        let known = if known.is_empty() {
            "none".to_owned()
        } else {
            known
        };
        let message = format!("unknown parameter {unknown}; this address takes: {known}");
        Err(ApiError::invalid_argument(message))
    }
}

/// Checks how long a message is to be held, or to wait.
pub(crate) fn in_range(given: Duration, least: Duration) -> Result<Duration, String> {
    match given {
        _ if given < least => Err(format!("allowed is at least {}", DurationText(least))),
        _ if given > MAX_DELAY => Err(format!("allowed is at most {}", DurationText(MAX_DELAY))),
        _ => Ok(given),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal<T: std::fmt::Debug>(result: Result<T, ApiError>) -> String {
        format!("{:?}", result.unwrap_err())
    }

    #[test]
    fn values_are_decoded_and_taken_once() {
        let mut query = Query::parse("key=a%2Fb+c&limit=5").unwrap();
        let key = query
            .take("key", |v| Ok::<_, String>(v.to_owned()))
            .unwrap();
        assert_eq!(key.as_deref(), Some("a/b c"));
        assert_eq!(query.take_count("limit").unwrap(), Some(5));
        query.finish().unwrap();
    }

    #[test]
    fn typos_twice_and_nonsense_are_refused_by_name() {
        let mut query = Query::parse("limt=5").unwrap();
        assert_eq!(query.take_count("limit").unwrap(), None);
        assert!(
            refusal(query.finish()).contains("unknown parameter limt; this address takes: limit")
        );
        assert!(refusal(Query::parse("a=1&a=2")).contains("a is given twice"));
        let mut query = Query::parse("limit=-1&wait=2h").unwrap();
        assert!(refusal(query.take_count("limit")).contains("from 1 to 10000"));
        assert!(refusal(query.take_wait()).contains("at most 60s"));
    }
}
