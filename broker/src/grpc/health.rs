//! `grpc.health.v1.Health`: `SERVING` for the broker and each service until it drains.

use crate::broker::Broker;
use futures_util::future::ready;
use futures_util::stream::{self, BoxStream, StreamExt};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use weir_protocol::grpc::{broker as worker_broker, message};

/// Who can be asked about; the empty name is the broker as a whole.
const SERVICES: [&str; 3] = [
    "",
    message::message_broker_service_server::SERVICE_NAME,
    worker_broker::broker_server::SERVICE_NAME,
];

/// The service as tonic serves it.
pub(super) fn server(broker: &Broker) -> HealthServer<impl Health> {
    let broker = broker.clone();
    HealthServer::new(HealthService { broker })
}

struct HealthService {
    broker: Broker,
}

impl HealthService {
    fn status(&self) -> ServingStatus {
        match self.broker.draining().is_cancelled() {
            true => ServingStatus::NotServing,
            false => ServingStatus::Serving,
        }
    }
}

#[tonic::async_trait]
impl Health for HealthService {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        match SERVICES.contains(&service.as_str()) {
            true => Ok(Response::new(answer(self.status()))),
            false => Err(Status::not_found(format!(
                "there is no service {service:?}"
            ))),
        }
    }

    /// The status now and, at the end, that the broker drains.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let is_known = SERVICES.contains(&request.into_inner().service.as_str());
        let (now, at_last) = match is_known {
            true => (self.status(), Some(answer(ServingStatus::NotServing))),
            false => (ServingStatus::ServiceUnknown, None),
        };
        let draining = self.broker.draining().clone();
        let end = async move {
            draining.cancelled_owned().await;
            at_last
        };
        let statuses = stream::once(ready(answer(now)))
            .chain(stream::once(end).filter_map(ready))
            .map(Ok);
        Ok(Response::new(statuses.boxed()))
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}
