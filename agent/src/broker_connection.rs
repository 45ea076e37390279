//! The broker as the publisher sees it: takes lines, or says whether to come back.
//!
//! The native way is [`weir_client::Client`]. MiniMQ's `POST /produce` is no call of ours, so it has
//! its few lines here; its answers are a status and nothing else.

use crate::encode::Dialect;
use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::{Client as HttpClient, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::time::Duration;
use weir_client::{Client, ClientError, ClientOptions};

/// Much longer than a commit; short enough for the last flush.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// An answer's body is only for its error message.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Shorter than the broker's idle timeout.
const IDLE_CONNECTION: Duration = Duration::from_secs(30);

/// Why lines were not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// Trying again may help.
    Later {
        reason: String,
        after: Option<Duration>,
    },
    /// The same lines would be refused again.
    Never { reason: String },
}

/// A connection that sends in one dialect.
#[derive(Clone, Debug)]
pub(crate) enum BrokerConnection {
    Weir(Client),
    MiniMq(Box<MiniMq>),
}

/// `POST /produce`, one message at a time.
#[derive(Clone, Debug)]
pub(crate) struct MiniMq {
    pool: HttpClient<HttpConnector, Full<Bytes>>,
    produce: Uri,
}

impl BrokerConnection {
    /// `url` may be a MiniMQ client's, which ends in `/produce`.
    pub(crate) fn new(url: &str, dialect: Dialect) -> Result<Self, ClientError> {
        let base = url.trim_end_matches('/');
        let base = base.strip_suffix("/produce").unwrap_or(base);
        let options = ClientOptions {
            request_timeout: REQUEST_TIMEOUT,
            connect_timeout: CONNECT_TIMEOUT,
            max_response_bytes: MAX_ANSWER_BYTES,
            ..ClientOptions::default()
        };
        // Also for MiniMQ: it checks the URL.
        let client = Client::new(base, options)?;
        if dialect == Dialect::Weir {
            return Ok(Self::Weir(client));
        }
        let produce = format!("{base}/produce").parse();
        let produce = produce.map_err(|_| ClientError::InvalidUrl {
            url: url.to_owned(),
            reason: "not a URL".to_owned(),
        })?;
        Ok(Self::MiniMq(Box::new(MiniMq::new(produce))))
    }

    /// How many lines one request carries.
    pub(crate) fn max_lines(&self) -> usize {
        match self {
            Self::Weir(_) => 1000,
            Self::MiniMq(_) => 1,
        }
    }

    /// Sends lines, all or none of which are then stored.
    pub(crate) async fn send(&self, lines: Bytes) -> Result<(), NotTaken> {
        match self {
            Self::Weir(client) => {
                let published = client.publish_to_topics(lines).await;
                published.map(drop).map_err(|error| not_taken(&error))
            }
            Self::MiniMq(minimq) => minimq.send(lines).await,
        }
    }
}

fn not_taken(error: &ClientError) -> NotTaken {
    let reason = error.to_string();
    if error.is_retryable() {
        let after = error.retry_after();
        NotTaken::Later { reason, after }
    } else {
        NotTaken::Never { reason }
    }
}

impl MiniMq {
    fn new(produce: Uri) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let pool = HttpClient::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION)
            .pool_max_idle_per_host(1)
            .build(connector);
        Self { pool, produce }
    }

    async fn send(&self, body: Bytes) -> Result<(), NotTaken> {
        let exchange = tokio::time::timeout(REQUEST_TIMEOUT, self.exchange(body)).await;
        exchange.unwrap_or_else(|_| Err(later("no answer in time".to_owned())))
    }

    async fn exchange(&self, body: Bytes) -> Result<(), NotTaken> {
        let mut request = Request::post(self.produce.clone())
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| later(error.to_string()))?;
        *request.version_mut() = http::Version::HTTP_11;
        let answer = self.pool.request(request).await;
        let (head, body) = answer.map_err(|error| later(chain(&error)))?.into_parts();
        // Read to its end, or the connection cannot be used again.
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        let reason = || {
            let text = body.map(|b| String::from_utf8_lossy(&b.to_bytes()).into_owned());
            format!("{}: {}", head.status, text.unwrap_or_default().trim())
        };
        match head.status.as_u16() {
            200..=299 => Ok(()),
            408 | 429 | 500..=599 => Err(later(reason())),
            _ => Err(NotTaken::Never { reason: reason() }),
        }
    }
}

fn later(reason: String) -> NotTaken {
    let after = None;
    NotTaken::Later { reason, after }
}

/// hyper's outer error says only "client error".
fn chain(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minimq_clients_url_leads_to_the_same_broker() {
        let produce = |url| match BrokerConnection::new(url, Dialect::MiniMq).unwrap() {
            BrokerConnection::MiniMq(minimq) => minimq.produce.to_string(),
            BrokerConnection::Weir(_) => panic!("not minimq"),
        };
        for url in [
            "http://broker:5000",
            "http://broker:5000/",
            "http://broker:5000/produce",
        ] {
            assert_eq!(produce(url), "http://broker:5000/produce");
        }
        let native = BrokerConnection::new("http://broker:5000/produce", Dialect::Weir);
        let BrokerConnection::Weir(client) = native.unwrap() else {
            panic!("not native");
        };
        assert_eq!(client.authority(), "broker:5000");
        assert!(BrokerConnection::new("broker:5000", Dialect::Weir).is_err());
    }
}
