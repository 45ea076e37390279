use weir_client::Client;
use weir_types::TopicName;

/// The group that consumes a topic of a run.
const GROUP: &str = "bench";

/// Where a topic's messages are published to and fetched from, or a part of that.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// Host and port.
    pub(crate) authority: String,
    pub(crate) path: String,
}

impl Endpoint {
    pub(crate) fn messages_of(client: &Client, broker: &str, topic: &TopicName) -> Self {
        Self::part_of(client, broker, topic, "messages")
    }

    /// Where a topic's messages come as they are published.
    pub(crate) fn stream_of(client: &Client, broker: &str, topic: &TopicName) -> Self {
        Self::part_of(client, broker, topic, "stream")
    }

    /// The group that is made for a run.
    pub(crate) fn group_of(client: &Client, broker: &str, topic: &TopicName) -> Self {
        Self::part_of(client, broker, topic, &format!("groups/{GROUP}"))
    }

    fn part_of(client: &Client, broker: &str, topic: &TopicName, part: &str) -> Self {
        let prefix = broker.parse::<http::Uri>().map(|uri| uri.path().to_owned());
        let prefix = prefix.unwrap_or_default();
        let prefix = prefix.trim_end_matches('/');
        Self {
            authority: client.authority().to_owned(),
            path: format!("{prefix}/v1/topics/{topic}/{part}"),
        }
    }

    /// Host and port to connect to.
    pub(crate) fn address(&self) -> String {
        match self.authority.parse::<http::uri::Authority>() {
            Ok(authority) if authority.port().is_none() => format!("{authority}:80"),
            _ => self.authority.clone(),
        }
    }
}
