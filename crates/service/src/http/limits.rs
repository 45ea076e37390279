use std::time::Duration;

/// What one listener grants its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Connections at a time; further ones wait in the kernel's queue.
    pub max_connections: usize,
    /// From the connection to its first bytes.
    pub first_byte_timeout: Duration,
    /// From the end of one request to the end of the next one's headers: both the longest a
    /// request's headers may take and the longest a kept-alive connection may be idle.
    pub header_read_timeout: Duration,
    /// Request line and headers together, in bytes; values below 8192 count as 8192.
    pub max_header_bytes: usize,
    /// How long a client that leaves an answer unread may take for the next 16 KiB of it, or for
    /// what is left of it.
    pub write_timeout: Duration,
    /// How long running requests may go on after the stop.
    pub drain_timeout: Duration,
    /// Concurrent requests on one HTTP/2 connection.
    pub max_h2_streams: u32,
}

impl HttpLimits {
    /// The least that hyper accepts for its read buffer.
    const MIN_HEADER_BYTES: usize = 8192;

    pub(super) fn header_bytes(&self) -> usize {
        self.max_header_bytes.max(Self::MIN_HEADER_BYTES)
    }
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            first_byte_timeout: Duration::from_secs(10),
            header_read_timeout: Duration::from_secs(75),
            max_header_bytes: 64 * 1024,
            write_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(15),
            max_h2_streams: 256,
        }
    }
}
