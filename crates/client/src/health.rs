use crate::address::Address;
use crate::transport::Call;
use crate::{Client, ClientError};
use weir_protocol::shapes::Health;

impl Client {
    /// Asks whether the broker works.
    ///
    /// # Errors
    /// [`ClientError`]; a broker that does not work is
    /// [`ClientError::Refused`] as `unavailable`, with its problems.
    pub async fn health(&self) -> Result<Health, ClientError> {
        let call = Call::get(Address::path(&["health"]));
        self.transport.call(call).await
    }

    /// Asks whether the broker accepts work: not while it starts, drains or has failed.
    ///
    /// # Errors
    /// [`ClientError`]; a broker that is not ready is
    /// [`ClientError::Refused`] as `unavailable`, with its problems.
    pub async fn ready(&self) -> Result<Health, ClientError> {
        let call = Call::get(Address::path(&["ready"]));
        self.transport.call(call).await
    }
}
