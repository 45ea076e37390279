//! Settings of the brokers that Weir replaces.

use crate::ownership::{DialectTopics, Ownership};
use crate::push::{AllowedTargets, BreakerOptions, PushOptions};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use weir_service::settings::{self, SettingsReader, ValueSource};
use weir_types::TopicName;
use weir_types::limits::MAX_PARTITIONS;

pub(super) fn push(from: &mut SettingsReader) -> Option<PushOptions> {
    let allowed = from.read("push-allow", settings::text::<AllowedTargets>);
    let ca_file = from.read_optional("push-ca", settings::text::<PathBuf>);
    let max_failures = from.read("breaker-failures", settings::in_range(1..=1_000_000));
    let reset = from.read("breaker-reset", seconds_or_duration);
    let backends = from.read("backend-targets", |value| list(value, host_and_port));
    let backend_topics = from.read("backend-topics", |value| list(value, topic));
    if let (Some(backends), Some(topics)) = (&backends, &backend_topics)
        && backends.is_empty()
        && !topics.is_empty()
    {
        from.refuse(
            "backend-topics names topics, but backend-targets no backend to deliver them to",
        );
    }
    Some(PushOptions {
        allowed: allowed?,
        ca_file: ca_file?,
        breaker: BreakerOptions {
            max_failures: max_failures?,
            reset: reset?,
        },
        backends: backends?,
        backend_topics: backend_topics?,
    })
}

pub(super) fn ownership(from: &mut SettingsReader) -> Option<Ownership> {
    let count = from.read("broker-count", settings::in_range(1..=MAX_PARTITIONS));
    let index = from.read("broker-index", settings::in_range(0..=MAX_PARTITIONS - 1));
    let peers = from.read("broker-peers", |value| list(value, peer));
    let said_which = from.source("broker-index") != Some(&ValueSource::Default);
    if count.is_some_and(|count| count > 1) && !said_which {
        // Else each would take itself for the first.
        from.refuse(
            "broker-count is more than 1, but broker-index does not say which of them this is",
        );
        return None;
    }
    let ownership = Ownership {
        index: index?,
        count: count?,
        peers: peers?,
    };
    let (index, count, peers) = (ownership.index, ownership.count, ownership.peers.len());
    if index >= count {
        from.refuse(format!(
            "broker-index is {index}, but broker-count is {count}; allowed is at most {}",
            count - 1
        ));
        return None;
    }
    if peers != 0 && peers != count as usize {
        from.refuse(format!(
            "broker-peers has {peers} addresses, but broker-count is {count}: name all brokers, in order of index"
        ));
        return None;
    }
    Some(ownership)
}

pub(super) fn topics(from: &mut SettingsReader) -> Option<DialectTopics> {
    let partitioned = from.read("partitioned-topics", |value| {
        list(value, topic_and_partitions)
    });
    let gateway = from.read("gateway-topic", topic_and_partitions);
    Some(DialectTopics {
        partitioned: partitioned?.into_iter().collect::<BTreeMap<_, _>>(),
        gateway: Some(gateway?),
    })
}

/// Parts separated by commas; none for nothing.
fn list<T>(value: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    let parts = value
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    parts.map(parse).collect()
}

fn topic(name: &str) -> Result<TopicName, String> {
    TopicName::parse(name).map_err(|e| e.to_string())
}

/// `events:8`
fn topic_and_partitions(part: &str) -> Result<(TopicName, u32), String> {
    let form = || format!("{part:?} is not of the form <topic>:<partitions>, such as \"events:8\"");
    let (name, partitions) = part.split_once(':').ok_or_else(form)?;
    let partitions = settings::in_range(1..=MAX_PARTITIONS)(partitions)
        .map_err(|e| format!("the partitions of {name} are {partitions:?}; {e}"))?;
    Ok((topic(name)?, partitions))
}

fn host_and_port(part: &str) -> Result<String, String> {
    let port = part.rsplit_once(':').and_then(|(host, port)| {
        let port = port.parse::<u16>().ok().filter(|port| *port > 0)?;
        (!host.is_empty()).then_some(port)
    });
    let form = || format!("{part:?} is not of the form <host>:<port>, such as \"10.0.0.7:7000\"");
    port.map(|_| part.to_owned()).ok_or_else(form)
}

/// `http://host:port`, or `host:port`.
fn peer(part: &str) -> Result<String, String> {
    let authority = part.strip_prefix("http://").unwrap_or(part);
    host_and_port(authority.trim_end_matches('/')).map(|authority| format!("http://{authority}"))
}

/// A number of seconds, as the aliases have it, or a duration.
fn seconds_or_duration(value: &str) -> Result<Duration, String> {
    let seconds = value.parse().map(Duration::from_secs);
    match seconds.or_else(|_| settings::duration(value))? {
        Duration::ZERO => Err("allowed is more than nothing".to_owned()),
        duration => Ok(duration),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_name_their_partitions() {
        let (name, partitions) = topic_and_partitions("events:8").unwrap();
        assert_eq!((name.as_str(), partitions), ("events", 8));
        for refused in ["events", "events:0", "events:many", ":8", "a/b:1"] {
            assert!(topic_and_partitions(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn peers_may_leave_out_the_scheme() {
        assert_eq!(peer("a:5000").unwrap(), "http://a:5000");
        assert_eq!(peer("http://a:5000/").unwrap(), "http://a:5000");
        for refused in ["a", "a:", ":1", "a:0", "https://a:1/x"] {
            assert!(peer(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn seconds_may_be_bare() {
        assert_eq!(seconds_or_duration("30"), Ok(Duration::from_secs(30)));
        assert_eq!(seconds_or_duration("1m"), Ok(Duration::from_secs(60)));
        assert!(seconds_or_duration("0").is_err());
    }
}
