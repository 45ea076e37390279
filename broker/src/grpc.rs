//! gRPC: the services of the brokers that Weir replaces, over the same accept loop as HTTP.

use crate::broker::Broker;
use http::{Request, Response};
use std::convert::Infallible;
use std::task::{Context, Poll};
use tonic::Status;
use tonic::body::Body;
use tower_service::Service;

/// The front end as a service for [`weir_service::http::serve`].
pub fn service(broker: &Broker) -> GrpcService {
    GrpcService {
        _broker: broker.clone(),
    }
}

/// Routes calls to the service that they name.
#[derive(Clone, Debug)]
pub struct GrpcService {
    _broker: Broker,
}

impl<B: Send + 'static> Service<Request<B>> for GrpcService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        std::future::ready(Ok(
            Status::unimplemented("there is no such service").into_http()
        ))
    }
}
