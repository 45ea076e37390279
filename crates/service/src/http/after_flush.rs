//! Telling a handler that its answer has left.

use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// Put into an answer's extensions by a handler that wants to know when the connection has flushed
/// the answer's last byte.
#[derive(Clone, Debug)]
pub struct AfterFlush(Arc<Mutex<Option<oneshot::Sender<()>>>>);

impl AfterFlush {
    /// What to put into the extensions, and what tells: `true` when the last byte was flushed,
    /// `false` when that cannot happen any more.
    pub fn new() -> (Self, impl Future<Output = bool> + Send + 'static) {
        let (sender, flushed) = oneshot::channel();
        let told = async move { flushed.await.is_ok() };
        (Self(Arc::new(Mutex::new(Some(sender)))), told)
    }

    /// The last byte was flushed.
    pub fn flushed(&self) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            let _nobody_asks = sender.send(());
        }
    }
}
