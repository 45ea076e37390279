//! Reads workers, backends and the gateway. A broker from before these answers 404, and one that
//! has them may fail at one of them: the others are read all the same.

use super::Follower;
use crate::fold::DeliveryReading;
use crate::fold::shapes::{BreakerRow, GatewayRow, TargetRow, WorkerRow};
use weir_client::{BackendInfo, BreakerInfo, ClientError, GatewayStats, WorkerInfo};

impl Follower {
    pub(super) async fn read_delivery(&self) -> DeliveryReading {
        let (workers, backends, gateway) = tokio::join!(
            self.client.workers(None),
            self.client.backends(),
            self.client.gateway(),
        );
        DeliveryReading {
            workers: listed(workers.map(|listed| listed.workers), worker_row),
            backends: listed(backends.map(|listed| listed.backends), backend_row),
            gateway: match gateway {
                Ok(stats) => Ok(Some(gateway_row(&stats))),
                Err(ClientError::Refused { status: 404, .. }) => Ok(None),
                Err(error) => Err(error.to_string()),
            },
        }
    }
}

fn listed<T, R>(answer: Result<Vec<T>, ClientError>, row: fn(T) -> R) -> Result<Vec<R>, String> {
    match answer {
        Ok(listed) => Ok(listed.into_iter().map(row).collect()),
        Err(ClientError::Refused { status: 404, .. }) => {
            Err("this version of the broker does not list them".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

fn worker_row(worker: WorkerInfo) -> WorkerRow {
    WorkerRow {
        id: worker.id.0,
        topic: worker.topic.to_string(),
        group: worker.group.to_string(),
        queue: worker.queue.map(|queue| queue.0),
        concurrency: worker.concurrency,
        paused: worker.paused,
        target: TargetRow {
            target: worker.target,
            breaker: breaker_row(&worker.breaker),
            in_flight: worker.in_flight,
            delivered: worker.delivered,
            failed: worker.failed,
            last_error: worker.last_error,
        },
    }
}

fn backend_row(backend: BackendInfo) -> TargetRow {
    TargetRow {
        target: backend.target,
        breaker: breaker_row(&backend.breaker),
        in_flight: backend.in_flight,
        delivered: backend.delivered,
        failed: backend.failed,
        last_error: backend.last_error,
    }
}

fn breaker_row(breaker: &BreakerInfo) -> BreakerRow {
    BreakerRow {
        state: breaker.state,
        since: breaker.transitions.first().map(|newest| newest.at.0),
        next_trial_at: breaker.next_trial_at.map(|at| at.0),
        consecutive_failures: breaker.consecutive_failures,
        opened: breaker.opened,
    }
}

fn gateway_row(stats: &GatewayStats) -> GatewayRow {
    GatewayRow {
        topic: stats.topic.to_string(),
        consumers: stats.consumers as u64,
        producers: stats.producers as u64,
        partitions: stats.partitions.into(),
        brokers: stats.brokers.into(),
        messages_in_queue: stats.messages_in_queue,
        sent: stats.sent,
        received: stats.received,
    }
}
