//! Backends: services that the operator named, which take messages one after the other.

use super::{Broker, BrokerError};
use weir_protocol::Payload;
use weir_protocol::shapes::{BackendAnswer, BackendInfo};
use weir_types::TopicName;

impl Broker {
    /// Every backend, in the order of the settings.
    #[must_use]
    pub fn backends(&self) -> Vec<BackendInfo> {
        self.shared.backends.describe(self.shared.clock.now())
    }

    /// Topics whose messages are delivered to the backends.
    #[must_use]
    pub fn backend_topics(&self) -> &[TopicName] {
        self.shared.backends.topics()
    }

    /// Sends a message to the next backend whose circuit breaker lets it through, and to the one
    /// after it if that fails, each once at most. Nothing is stored: the caller learns what became
    /// of it.
    ///
    /// # Errors
    /// [`BrokerError::NoBackend`] with the reasons; then a backend may have got it all the same,
    /// whose answer was lost.
    pub async fn send_to_backend(
        &self,
        topic: &TopicName,
        payload: &Payload,
        reply_to: Option<&TopicName>,
    ) -> Result<BackendAnswer, BrokerError> {
        self.check_serving()?;
        let text = std::str::from_utf8(payload.as_bytes());
        let text = text.map_err(|e| BrokerError::internal(format!("a payload is no text: {e}")))?;
        let now = || self.shared.clock.now();
        self.shared.backends.send(topic, text, reply_to, now).await
    }
}
