//! Bodies of requests: received within their limits before a service sees them, like those of HTTP.
//!
//! The generated servers know a limit of size and none of time, and nothing of the budget that all
//! bodies share. So a request's one message is received here and handed on whole.

use super::GrpcState;
use crate::broker::Broker;
use bytes::Bytes;
use futures_util::StreamExt;
use http::Request;
use http_body_util::{BodyDataStream, BodyStream, Full, StreamBody};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use warp::hyper::body::Body as HttpBody;
use weir_service::http::{BodyError, BodyLimits, InFlight, Reservation, collect_body};

/// Names and numbers beside a payload, and how they are framed.
const MESSAGE_OVERHEAD_BYTES: usize = 4096;
/// In front of every message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// The largest message of a request. Small enough payloads that are too large get as far as the
/// service, which has the more precise words.
pub(super) fn max_message_bytes(broker: &Broker) -> usize {
    broker.max_payload_bytes() + MESSAGE_OVERHEAD_BYTES
}

/// What request bodies may take.
pub(super) struct RequestBodies {
    limits: BodyLimits,
    in_flight: InFlight,
    draining: CancellationToken,
}

impl RequestBodies {
    pub(super) fn new(state: &GrpcState, max_message_bytes: usize) -> Self {
        Self {
            limits: BodyLimits {
                max_bytes: max_message_bytes + PREFIX_BYTES,
                ..state.body_limits.clone()
            },
            in_flight: state.in_flight.clone(),
            draining: state.broker.draining().clone(),
        }
    }

    /// The request with its whole body, and that body's share of the budget.
    ///
    /// # Errors
    /// The status to answer with.
    pub(super) async fn receive<B>(
        &self,
        request: Request<B>,
    ) -> Result<(Request<Body>, Reservation), Status>
    where
        B: HttpBody<Data = Bytes, Error: std::fmt::Display>,
    {
        let (head, body) = request.into_parts();
        let received = collect_body(BodyDataStream::new(body), &self.limits, &self.in_flight);
        let received = received.await.map_err(|e| refused(&e))?;
        let body = Body::new(Full::new(received.bytes));
        Ok((Request::from_parts(head, body), received.reservation))
    }

    /// The request with a body that ends when the broker drains: the service ends its answer then.
    pub(super) fn until_draining<B>(&self, request: Request<B>) -> Request<Body>
    where
        B: HttpBody<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
    {
        let draining = self.draining.clone().cancelled_owned();
        request.map(|body| {
            let frames = BodyStream::new(body).take_until(Box::pin(draining));
            Body::new(StreamBody::new(frames))
        })
    }
}

fn refused(error: &BodyError) -> Status {
    let message = error.to_string();
    match error {
        BodyError::TooLarge { .. } | BodyError::Overloaded => Status::resource_exhausted(message),
        BodyError::TimedOut => Status::deadline_exceeded(message),
        BodyError::Disconnected { .. } => Status::cancelled(message),
    }
}
