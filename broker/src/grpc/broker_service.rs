//! `broker.Broker`: queues whose tasks are pushed to registered workers.
//!
//! | method | `status` |
//! |---|---|
//! | `RegisterQueue` | 200 and the queue's number, the same for the same name; 400: no such name may be, or a negative length |
//! | `RegisterWorker` | 200; 404: no such queue; 400: no address, or one that is not allowed |
//! | `SendTask` | 200: the task is on disk; 404: no such queue; 400: too large |
//!
//! 500 says that it could not be stored. An answer has no place for the reason: it travels beside it, as
//! the metadata `weir-reason`. The call itself fails when the broker could not be asked (stopping,
//! overloaded).

use super::status::Refusal;
use crate::broker::{Broker, BrokerError};
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status};
use weir_protocol::ErrorCode;
use weir_protocol::grpc::broker::broker_server::{Broker as BrokerService, BrokerServer};
use weir_protocol::grpc::broker::{
    QueueRequest, QueueResponse, TaskRequest, TaskResponse, WorkerRequest, WorkerResponse,
};
use weir_protocol::shapes::{NewWorker, QueueId, QueueRef};

const DONE: i32 = 200;
const BAD_REQUEST: i32 = 400;
const NOT_FOUND: i32 = 404;
const CANNOT_STORE: i32 = 500;
const REASON: &str = "weir-reason";

/// The service as tonic serves it.
pub(super) fn server(
    broker: &Broker,
    max_message_bytes: usize,
) -> BrokerServer<impl BrokerService> {
    let broker = broker.clone();
    BrokerServer::new(WorkerBroker { broker }).max_decoding_message_size(max_message_bytes)
}

struct WorkerBroker {
    broker: Broker,
}

#[tonic::async_trait]
impl BrokerService for WorkerBroker {
    async fn register_queue(
        &self,
        request: Request<QueueRequest>,
    ) -> Result<Response<QueueResponse>, Status> {
        let QueueRequest {
            name,
            buffer_length,
        } = request.into_inner();
        let answer = |status, queue: Option<QueueId>| QueueResponse {
            status,
            queue: queue.map_or(0, |queue| queue.0),
        };
        // Queues live on disk: the length only has to make sense.
        if buffer_length < 0 {
            let reason = format!("buffer_length is {buffer_length}; allowed is 0 and more");
            return Ok(with_reason(answer(BAD_REQUEST, None), &reason));
        }
        respond(self.broker.register_queue(&name).await, answer)
    }

    async fn register_worker(
        &self,
        request: Request<WorkerRequest>,
    ) -> Result<Response<WorkerResponse>, Status> {
        let request = request.into_inner();
        let worker = NewWorker::of_queue(QueueRef::Id(request.queue), request.tcp_connection);
        let registered = self.broker.register_worker(worker).await;
        respond(registered, |status, _| WorkerResponse { status })
    }

    async fn send_task(
        &self,
        request: Request<TaskRequest>,
    ) -> Result<Response<TaskResponse>, Status> {
        let TaskRequest { queue, data } = request.into_inner();
        let submitted = self.broker.submit_task(&QueueRef::Id(queue), data).await;
        respond(submitted, |status, _| TaskResponse { status })
    }
}

/// The answer of a method, by its status and what came of it.
fn respond<T, A>(
    result: Result<T, BrokerError>,
    answer: impl FnOnce(i32, Option<T>) -> A,
) -> Result<Response<A>, Status> {
    let error = match result {
        Ok(done) => return Ok(Response::new(answer(DONE, Some(done)))),
        Err(error) => error,
    };
    match error.into() {
        Refusal::Call(status) => Err(status),
        Refusal::Answer(error) => {
            let status = status_of(error.code());
            Ok(with_reason(answer(status, None), &error.to_string()))
        }
    }
}

const fn status_of(code: ErrorCode) -> i32 {
    match code.http_status() {
        404 => NOT_FOUND,
        400..500 => BAD_REQUEST,
        _ => CANNOT_STORE,
    }
}

fn with_reason<A>(answer: A, reason: &str) -> Response<A> {
    let mut response = Response::new(answer);
    // Metadata is ASCII. A reason that quotes other text stays untold.
    if let Ok(reason) = MetadataValue::try_from(reason) {
        response.metadata_mut().insert(REASON, reason);
    }
    response
}
