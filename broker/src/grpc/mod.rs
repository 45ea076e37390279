//! gRPC: the services of the brokers that Weir replaces, over the same accept loop as HTTP.
//!
//! | service | module |
//! |---|---|
//! | `message.MessageBrokerService` | `message_service` |
//! | `broker.Broker` | `broker_service` |
//! | `grpc.health.v1.Health` | `health` |
//! | `grpc.reflection.v1.ServerReflection`, and `v1alpha` | `reflection` |
//!
//! A request passes `request` (is it gRPC at all), `deadline` and `body` (size, time and the budget of
//! all bodies), then goes to the generated server that its path names. As over HTTP, a method decodes,
//! validates, calls one method of [`Broker`], maps the error and encodes.
//!
//! A call that is dropped, by its deadline or because the client went away, is dropped wherever it
//! waits: what was leased for it goes back; a message that was handed to the committer may be stored
//! all the same.

mod body;
mod broker_service;
mod deadline;
mod health;
mod message_service;
mod reflection;
mod request;
mod status;

use crate::broker::Broker;
use body::RequestBodies;
use http::{Request, Response};
use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::server::NamedService;
use tower_service::Service;
use warp::hyper::body::Body as HttpBody;
use weir_service::http::{BodyLimits, InFlight};

/// What the services work with.
#[derive(Clone, Debug)]
pub struct GrpcState {
    /// The core.
    pub broker: Broker,
    /// Deadlines of request bodies.
    pub body_limits: BodyLimits,
    /// The budget that all request bodies share.
    pub in_flight: InFlight,
}

/// The front end as a service for [`weir_service::http::serve`].
///
/// # Errors
/// A defect: the services' own descriptions cannot be read.
pub fn service(state: &GrpcState) -> anyhow::Result<GrpcService> {
    let max_message_bytes = body::max_message_bytes(&state.broker);
    let mut services = Services::default();
    let messages = message_service::server(&state.broker, max_message_bytes);
    services.add(Sends::One, messages);
    let workers = broker_service::server(&state.broker, max_message_bytes);
    services.add(Sends::One, workers);
    services.add(Sends::One, health::server(&state.broker));
    services.add(Sends::Stream, reflection::v1()?);
    services.add(Sends::Stream, reflection::v1alpha()?);
    let front_end = FrontEnd {
        services: services.0,
        bodies: RequestBodies::new(state, max_message_bytes),
    };
    Ok(GrpcService(Arc::new(front_end)))
}

type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// What a client sends in a call.
#[derive(Clone, Copy)]
enum Sends {
    /// One message, and then no more.
    One,
    /// Messages for as long as it likes.
    Stream,
}

/// A generated server, whatever its type.
struct Served {
    call: Box<dyn Fn(Request<Body>) -> Answering + Send + Sync>,
    sends: Sends,
}

/// Every service, by the name in the path.
#[derive(Default)]
struct Services(HashMap<&'static str, Served>);

impl Services {
    fn add<S>(&mut self, sends: Sends, server: S)
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
        S: NamedService + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        // Generated servers are always ready: `poll_ready` has nothing to say.
        let call = move |request| -> Answering {
            let answering = server.clone().call(request);
            Box::pin(async { answering.await.unwrap_or_else(|never| match never {}) })
        };
        let call = Box::new(call);
        self.0.insert(S::NAME, Served { call, sends });
    }
}

struct FrontEnd {
    services: HashMap<&'static str, Served>,
    bodies: RequestBodies,
}

impl FrontEnd {
    async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Data = bytes::Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
    {
        if !request::is_grpc(&request) {
            return request::not_grpc();
        }
        let Some(served) = self.services.get(request::service_name(&request)) else {
            return request::unknown_service(&request).into_http();
        };
        let deadline = match deadline::of(request.headers()) {
            Ok(deadline) => deadline,
            Err(status) => return status.into_http(),
        };
        deadline::within(deadline, self.call(served, request)).await
    }

    async fn call<B>(&self, served: &Served, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Data = bytes::Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
    {
        let request = match served.sends {
            Sends::Stream => return (served.call)(self.bodies.until_draining(request)).await,
            Sends::One => self.bodies.receive(request).await,
        };
        match request {
            // The share of the budget is held until the message is stored or refused.
            Ok((request, _reservation)) => (served.call)(request).await,
            Err(status) => status.into_http(),
        }
    }
}

/// Routes calls to the service that they name. Cheap to clone.
#[derive(Clone)]
pub struct GrpcService(Arc<FrontEnd>);

impl<B> Service<Request<B>> for GrpcService
where
    B: HttpBody<Data = bytes::Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let front_end = Arc::clone(&self.0);
        Box::pin(async move { Ok(front_end.answer(request).await) })
    }
}
