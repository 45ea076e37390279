//! Consuming over an open stream.

use super::{Consumer, LEASE_MESSAGES};
use crate::failure::Failure;
use crate::output::note;
use std::time::Duration;
use weir_client::{GroupStream, GroupStreamOptions, Verbatim};
use weir_protocol::shapes::LeasedMessage;

/// When the broker does not say how long to wait before the next stream.
const RECONNECT_AFTER: Duration = Duration::from_secs(1);

impl Consumer<'_> {
    /// Opens a stream again whenever the broker ends it; fails when that is refused.
    pub(super) async fn run_pushed(&self) -> Result<(), Failure> {
        let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
        loop {
            let mut stream = self.open().await?;
            loop {
                // What was not printed when we are interrupted goes back with the connection.
                let pushed = tokio::select! {
                    biased;
                    _ = &mut interrupt => return Ok(()),
                    pushed = next_messages(&mut stream) => pushed?,
                };
                if pushed.is_empty() {
                    break;
                }
                let printed = self.print(&pushed, interrupt.as_mut()).await;
                if !self.settle(pushed, printed).await? {
                    return Ok(());
                }
            }
            note("the broker ended the stream; once more");
            let pause = stream.reconnect_after().unwrap_or(RECONNECT_AFTER);
            tokio::select! {
                _ = &mut interrupt => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn open(&self) -> Result<GroupStream, Failure> {
        let options = GroupStreamOptions {
            max_in_flight: u32::try_from(LEASE_MESSAGES).ok(),
            member: self.args.member.clone(),
            ..GroupStreamOptions::default()
        };
        let (topic, group) = (&self.args.topic, &self.args.group);
        Ok(self.client.group_stream(topic, group, &options).await?)
    }
}

/// The next message and those that came with it; none when the stream ended.
async fn next_messages(stream: &mut GroupStream) -> Result<Vec<Verbatim<LeasedMessage>>, Failure> {
    let mut messages = Vec::new();
    messages.extend(stream.next_verbatim().await?);
    while !messages.is_empty() && messages.len() < LEASE_MESSAGES {
        let next = tokio::select! {
            biased;
            next = stream.next_verbatim() => next,
            () = std::future::ready(()) => break,
        };
        match next {
            Ok(Some(message)) => messages.push(message),
            // What came before is printed first; the end meets the next call.
            Ok(None) | Err(_) => break,
        }
    }
    Ok(messages)
}
