use anyhow::Result;
use std::future::Future;
use tokio::task::JoinHandle;

/// At most one acknowledgement on its way.
#[derive(Default)]
pub struct Outstanding(Option<JoinHandle<Result<()>>>);

impl Outstanding {
    /// Waits for the one before, then lets this one go.
    pub async fn start(
        &mut self,
        ack: impl Future<Output = Result<()>> + Send + 'static,
    ) -> Result<()> {
        self.settle().await?;
        self.0 = Some(tokio::spawn(ack));
        Ok(())
    }

    pub async fn settle(&mut self) -> Result<()> {
        match self.0.take() {
            Some(ack) => ack.await?,
            None => Ok(()),
        }
    }
}
