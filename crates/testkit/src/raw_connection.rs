use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Only a failing test waits so long.
const LIMIT: Duration = Duration::from_secs(60);

/// A TCP connection for what a well-behaved HTTP client cannot do: stop in the middle, or look at
/// every byte.
#[derive(Debug)]
pub struct RawConnection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl RawConnection {
    /// Connects.
    ///
    /// # Panics
    /// Nobody listens there.
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        Self {
            stream,
            received: Vec::new(),
        }
    }

    /// Sends bytes; those that do not arrive any more show in what is received.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _broken = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Reads until `part` has come; returns everything received so far.
    ///
    /// # Panics
    /// The connection ended without it, or nothing came.
    pub async fn read_until(&mut self, part: &str) -> String {
        while !self.text().contains(part) {
            let more = self.read_some().await;
            assert!(more, "no {part:?} in {:?}", self.text());
        }
        self.text()
    }

    /// Reads to the end of the connection; returns everything received.
    ///
    /// # Panics
    /// It does not end.
    pub async fn read_to_end(&mut self) -> String {
        while self.read_some().await {}
        self.text()
    }

    /// Forgets what was received so far.
    pub fn forget_received(&mut self) {
        self.received.clear();
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }

    async fn read_some(&mut self) -> bool {
        let reading = timeout(LIMIT, self.stream.read_buf(&mut self.received));
        let read = reading.await.unwrap_or_else(|_| {
            panic!("waited {LIMIT:?} after {:?}", self.text());
        });
        // A reset is an end, too; what was received before it counts.
        read.is_ok_and(|bytes| bytes > 0)
    }
}
