use super::automatic_answer::{ServiceTurn, Turn};
use bytes::Bytes;
use http::{Method, Request, Response, Version, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower_service::Service;
use weir_protocol::{ErrorBody, ErrorCode};

/// What a service may know about the connection of a request; in the request's extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// The other end.
    pub peer: SocketAddr,
    /// Port of the listener that accepted it.
    pub port: u16,
}

/// The service as hyper calls it: with [`ConnectionInfo`], without CONNECT, and in its turn.
///
/// CONNECT never reaches the service: nobody needs it, and warp 0.4 panics on its target.
pub(super) fn answering<S, B>(
    service: S,
    info: ConnectionInfo,
    turn: Option<Turn>,
) -> impl hyper::service::Service<
    Request<Incoming>,
    Response = Response<AnswerBody<B>>,
    Error = Infallible,
    Future: Send + 'static,
> + Send
+ 'static
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    hyper::service::service_fn(move |mut request: Request<Incoming>| {
        let service_turn = turn.as_ref().map(Turn::begin_service);
        request.extensions_mut().insert(info.clone());
        let mut service = service.clone();
        async move {
            let answer = if request.method() == Method::CONNECT {
                connect_refused(request.version()).map(|body| Either::Right(Full::new(body)))
            } else {
                poll_fn(|cx| service.poll_ready(cx)).await?;
                service.call(request).await?.map(Either::Left)
            };
            Ok(answer.map(|body| AnswerBody {
                body,
                _service_turn: service_turn,
            }))
        }
    })
}

fn connect_refused(version: Version) -> Response<Bytes> {
    let body = ErrorBody::new(ErrorCode::MethodNotAllowed, "CONNECT is not offered here");
    let mut answer = Response::new(Bytes::from(body.to_json()));
    *answer.status_mut() = http::StatusCode::METHOD_NOT_ALLOWED;
    let json = http::HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    if version < Version::HTTP_2 {
        // A hasty client's tunnelled bytes must not be read as its next request.
        let close = http::HeaderValue::from_static("close");
        answer.headers_mut().insert(header::CONNECTION, close);
    }
    answer
}

pin_project! {
    /// A service's body, or that of an answer given in its place.
    #[derive(Debug)]
    pub struct AnswerBody<B> {
        #[pin]
        body: Either<B, Full<Bytes>>,
        _service_turn: Option<ServiceTurn>,
    }
}

impl<B> Body for AnswerBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
