//! The one core behind every front end.
//!
//! Front ends decode, validate, call one method of [`Broker`], map the error and encode. Every rule
//! lives here or below: who may create what, which partition a message goes to, what a group is.

mod ack_by_id;
mod backends;
mod dead_letters;
mod error;
mod fetch;
mod gateway;
mod group_stream;
mod groups;
mod hand_out;
mod maintenance;
mod open;
mod ownership;
mod plain_queue;
mod publish;
mod queues;
mod reported_letters;
mod request;
mod schedules;
mod subscriptions;
mod topics;
mod workers;

pub use crate::group::{GroupBounds, ReceiptAction, Redelivery};
pub use crate::topics::CreateTopics;
pub use error::BrokerError;
pub use fetch::{FetchRequest, Fetched, FetchedGap, FetchedLine, Fragment, ReadFrom, StreamReader};
pub use gateway::{GatewayClient, GatewayMessage};
pub use group_stream::{AckedBy, GroupStream, GroupStreamOptions};
pub use groups::{LeaseOptions, LeasedMessage};
pub use hand_out::HandOut;
pub use open::{BrokerOptions, Closing};
pub use ownership::{NoPartition, PartitionOwner};
pub use plain_queue::PlainMessage;
pub use publish::Accepted;
pub use subscriptions::{MAX_SERVICE_NAME_BYTES, QueueAddress, ServiceName};
pub use workers::InvalidWorker;

use crate::committer::Committer;
use crate::push::{Backends, Push};
use crate::registry::Registry;
use crate::replies::Replies;
use crate::topics::Topics;
use ack_by_id::RememberedLeases;
use gateway::Gateway;
use schedules::Scheduling;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_commitlog::{NodeIdentity, StorageFailures};
use weir_service::clock::Clock;

/// A handle of the broker's core. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Broker {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    registry: Arc<Registry>,
    topics: Arc<Topics>,
    committer: Committer,
    identity: NodeIdentity,
    clock: Clock,
    options: BrokerOptions,
    /// Callers that wait for the reply to a request.
    replies: Arc<Replies>,
    scheduling: Scheduling,
    /// Which leases consumers mean that ack by id.
    remembered: RememberedLeases,
    /// Who gets messages pushed.
    push: Push,
    backends: Backends,
    gateway: Gateway,
    /// What accepts nothing more until a restart.
    failures: StorageFailures,
    /// What must end although nobody waits for it any more; closing waits for it.
    tasks: TaskTracker,
    /// Cancelled when the broker drains: long polls and streams end, nothing new begins.
    draining: CancellationToken,
    /// Whether less than `min_free_bytes` are left on the disk.
    disk_full: AtomicBool,
}

impl Broker {
    /// Who serves: stays the same over restarts, but for the number of the start.
    #[must_use]
    pub fn identity(&self) -> NodeIdentity {
        self.shared.identity
    }

    /// The largest payload that is accepted, in bytes.
    #[must_use]
    pub fn max_payload_bytes(&self) -> usize {
        self.shared.options.max_payload_bytes
    }

    /// Cancelled when the broker drains.
    #[must_use]
    pub fn draining(&self) -> &CancellationToken {
        &self.shared.draining
    }

    /// What keeps the broker from doing all it should; empty when it is ready.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.shared.draining.is_cancelled() {
            problems.push("draining: the broker is stopping".to_owned());
        }
        if self.shared.disk_full.load(Ordering::Relaxed) {
            let least = self.shared.options.min_free_bytes;
            problems.push(format!(
                "storage_full: less than {least} bytes are free; publishes are refused"
            ));
        }
        let failed = self.shared.failures.paths();
        problems.extend(failed.iter().map(|path| {
            let path = path.display();
            format!("storage: {path} stopped accepting after a failed sync; restart the broker")
        }));
        problems
    }

    fn check_serving(&self) -> Result<(), BrokerError> {
        match self.shared.draining.is_cancelled() {
            true => Err(BrokerError::Draining),
            false => Ok(()),
        }
    }
}
