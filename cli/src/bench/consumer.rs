use super::arrivals::{Arrival, Arrivals};
use super::clients::{Client, Window};
use super::endpoint::Endpoint;
use super::leased::{Leased, count_acked};
use super::measured::Measured;
use super::request::post_receipts;
use crate::failure::Failure;
use clap::ValueEnum;
use serde::Serialize;
use tokio::time::{sleep_until, timeout_at};

/// Whether a consumer asks for more while its acknowledgement is on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Pipeline {
    /// The next lease goes out together with the ack, on another connection.
    On,
    /// The next lease waits for the answer of the ack.
    Off,
}

impl Pipeline {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

/// What all consumers of the group share.
pub(crate) struct Plan {
    /// Of the group.
    pub(crate) endpoint: Endpoint,
    /// The request for a lease, the same each time.
    pub(crate) lease: Vec<u8>,
    pub(crate) pipeline: Pipeline,
    pub(crate) arrivals: Arrivals,
    pub(crate) window: Window,
}

/// One consumer: leases and acknowledges until every message has arrived at one of them, or time is
/// up. It holds the messages of two leases at most.
///
/// # Errors
/// When the broker is gone.
pub(crate) async fn consume(plan: &Plan) -> Result<Measured, Failure> {
    let mut leasing = Client::new(&plan.endpoint);
    let mut acking = Client::new(&plan.endpoint);
    sleep_until(plan.window.from).await;
    let mut leased = plan.lease(&mut leasing).await?;
    while let Some(held) = leased {
        let ack = plan.ack(&mut acking, &held);
        leased = match plan.pipeline {
            Pipeline::On => {
                let (acked, next) = tokio::join!(ack, plan.lease(&mut leasing));
                acked?;
                next?
            }
            Pipeline::Off => {
                ack.await?;
                plan.lease(&mut leasing).await?
            }
        };
    }
    leasing.measured.merge(&acking.measured);
    Ok(leasing.measured)
}

impl Plan {
    /// Leases messages, at least one; `None` when there is nothing left to wait for.
    async fn lease(&self, client: &mut Client<'_>) -> Result<Option<Leased>, Failure> {
        tokio::select! {
            biased;
            () = self.arrivals.complete() => Ok(None),
            leased = timeout_at(self.window.until, self.lease_some(client)) => {
                leased.ok().transpose()
            }
        }
    }

    /// An empty answer is a wait that ended, and no lease.
    async fn lease_some(&self, client: &mut Client<'_>) -> Result<Leased, Failure> {
        while !client.gave_up() {
            let Some(answer) = client.call(&self.lease).await else {
                continue;
            };
            let measured = &mut client.measured;
            let leased = Leased::scan(&answer.body, |number| {
                if self.arrivals.mark(number) == Arrival::Foreign {
                    measured.failed("foreign_message".into());
                }
            });
            if !leased.is_empty() {
                measured.answered(answer.latency, 0);
                return Ok(leased);
            }
        }
        Err(client.failure("a consumer"))
    }

    async fn ack(&self, client: &mut Client<'_>, leased: &Leased) -> Result<(), Failure> {
        ack(client, &self.endpoint, leased.receipts()).await
    }
}

/// Acknowledges with one request, sent again until it is answered; what is refused counts as failed.
///
/// # Errors
/// When the broker is gone.
pub(crate) async fn ack<'a>(
    client: &mut Client<'_>,
    endpoint: &Endpoint,
    receipts: impl Iterator<Item = &'a [u8]> + Clone,
) -> Result<(), Failure> {
    let count = receipts.clone().count() as u64;
    let request = post_receipts(endpoint, "/ack", receipts);
    while !client.gave_up() {
        let Some(answer) = client.call(&request).await else {
            continue;
        };
        let acked = count_acked(&answer.body);
        client.measured.acked(answer.latency, acked);
        for _ in acked..count {
            client.measured.failed("not_acked".into());
        }
        return Ok(());
    }
    Err(client.failure("a consumer"))
}
