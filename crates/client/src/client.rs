use crate::ClientError;
use crate::transport::Transport;
use std::sync::Arc;
use std::time::Duration;

/// What a [`Client`] waits for and accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientOptions {
    /// From the start of a call to the end of its answer, beyond a long poll's own wait.
    pub request_timeout: Duration,
    /// For a TCP connection to be made; part of `request_timeout`.
    pub connect_timeout: Duration,
    /// Silence after which a stream counts as broken; `None` waits for ever. It must exceed the
    /// broker's keep-alive interval.
    pub stream_idle_timeout: Option<Duration>,
    /// Largest answer, and largest single event of a stream, in bytes.
    pub max_response_bytes: usize,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(5),
            stream_idle_timeout: Some(Duration::from_secs(60)),
            max_response_bytes: 32 * 1024 * 1024,
        }
    }
}

/// A client of one broker. Clones share their connections, which are kept alive and reused.
///
/// Dropping the future of a call closes its connection; whether the broker carried the call out is
/// then unknown, as with [`ClientError::Interrupted`].
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) transport: Arc<Transport>,
}

impl Client {
    /// A client of the broker at `broker_url`, such as `http://127.0.0.1:5000`. Connects on the
    /// first call. A path in the URL is put before every call's own.
    ///
    /// # Errors
    /// [`ClientError::InvalidUrl`].
    pub fn new(broker_url: &str, options: ClientOptions) -> Result<Self, ClientError> {
        let transport = Arc::new(Transport::new(broker_url, options)?);
        Ok(Self { transport })
    }

    /// Host and port of the broker.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.transport.authority()
    }
}
