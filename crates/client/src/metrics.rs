use crate::address::Address;
use crate::transport::Call;
use crate::{Client, ClientError};

impl Client {
    /// The page for Prometheus, as text. weir-ui answers this call as well as a broker does.
    ///
    /// # Errors
    /// [`ClientError`]; a page that is not UTF-8 is [`ClientError::Malformed`].
    pub async fn metrics(&self) -> Result<String, ClientError> {
        let call = Call::get(Address::path(&["metrics"]));
        self.transport.call_text(call).await
    }
}
