//! The one way out: connections to where the operator allows them.

use super::options::PushOptions;
use thiserror::Error;
use tokio::net::TcpStream;

/// Why no connection came about.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub(crate) struct DialError(String);

/// Connects to targets.
#[derive(Debug)]
pub(crate) struct Dialer {}

impl Dialer {
    /// # Errors
    /// The certificates of `ca_file` cannot be used; for the operator.
    pub(crate) fn new(_options: &PushOptions) -> Result<Self, DialError> {
        Ok(Self {})
    }

    /// Connects to `host`, a name or an address (IPv6 without brackets). Cancel-safe.
    ///
    /// # Errors
    /// [`DialError`] says where it could not connect, and why.
    pub(crate) async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, DialError> {
        let dialled = TcpStream::connect((host, port)).await;
        dialled.map_err(|error| DialError(format!("cannot connect to {host}:{port}: {error}")))
    }
}
