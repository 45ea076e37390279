//! A server of which only this is wanted: that it was spoken to under TLS, by which name.

use anyhow::Context;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
/// A ClientHello is shorter, and its name stands in the first part.
const HELLO_BYTES: usize = 4096;
const TLS_HANDSHAKE: u8 = 22;

pub(super) struct Witness(TcpListener);

impl Witness {
    pub(super) fn listen() -> anyhow::Result<Self> {
        Ok(Self(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?))
    }

    pub(super) fn port(&self) -> anyhow::Result<u16> {
        Ok(self.0.local_addr()?.port())
    }

    /// Waits for a handshake that asks for `name`.
    ///
    /// # Errors
    /// None came, or what came is something else.
    pub(super) fn heard_tls_for(self, name: &str) -> anyhow::Result<()> {
        let stream = self.accept().context("nobody connected")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut heard = Vec::new();
        let mut hello = stream.take(HELLO_BYTES as u64);
        // Whoever says hello then waits: read until the name is there.
        let mut part = [0; HELLO_BYTES];
        while !is_hello_for(&heard, name) {
            let read = hello.read(&mut part).context("no such handshake")?;
            anyhow::ensure!(read > 0, "no TLS handshake that asks for {name}");
            heard.extend(&part[..read]);
        }
        Ok(())
    }

    fn accept(&self) -> anyhow::Result<TcpStream> {
        self.0.set_nonblocking(true)?;
        let accepted = crate::wait::wait_for(PATIENCE, || self.0.accept().ok());
        let (stream, _) = accepted.context("within 30 s")?;
        stream.set_nonblocking(false)?;
        Ok(stream)
    }
}

fn is_hello_for(heard: &[u8], name: &str) -> bool {
    let named = heard
        .windows(name.len())
        .any(|window| window == name.as_bytes());
    heard.first() == Some(&TLS_HANDSHAKE) && named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_handshake_with_the_name_counts() {
        let hello = [&[TLS_HANDSHAKE, 3, 1][..], b"..worker.weir.test.."].concat();
        assert!(is_hello_for(&hello, "worker.weir.test"));
        assert!(!is_hello_for(&hello, "other.weir.test"));
        assert!(!is_hello_for(
            b"GET http://worker.weir.test",
            "worker.weir.test"
        ));
        assert!(!is_hello_for(b"", "worker.weir.test"));
    }
}
