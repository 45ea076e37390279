use super::after_flush::{AfterFlush, WrittenAnswers};
use super::answer_data::{AnswerData, Leaving};
use super::automatic_answer::{ServiceTurn, Turn};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tower_service::Service;
use weir_protocol::{ErrorBody, ErrorCode};

/// What a service may know about the connection of a request; in the request's extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// The other end.
    pub peer: SocketAddr,
    /// Our end's address; `None` if the system did not say.
    pub own_address: Option<IpAddr>,
    /// Port of the listener that accepted it.
    pub port: u16,
}

impl ConnectionInfo {
    /// Whether the other end is on this machine: it came by loopback, or from the address that it
    /// went to.
    #[must_use]
    pub fn is_from_this_machine(&self) -> bool {
        let peer = self.peer.ip().to_canonical();
        let own = self.own_address.map(|own| own.to_canonical());
        peer.is_loopback() || own == Some(peer)
    }
}

/// The service as hyper calls it: with [`ConnectionInfo`], without CONNECT, and in its turn, which is
/// `None` on HTTP/2. Answers with an [`AfterFlush`] go to `written` when they are.
///
/// CONNECT never reaches the service: nobody needs it, and warp 0.4 panics on its target.
pub(super) fn answering<S, B>(
    service: S,
    info: ConnectionInfo,
    turn: Option<Turn>,
    written: WrittenAnswers,
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
    let is_http1 = turn.is_some();
    hyper::service::service_fn(move |mut request: Request<Incoming>| {
        let service_turn = turn.as_ref().map(Turn::begin_service);
        request.extensions_mut().insert(info.clone());
        let mut service = service.clone();
        let written = written.clone();
        async move {
            let method = is_http1.then(|| request.method().clone());
            let mut answer = if request.method() == Method::CONNECT {
                connect_refused(request.version()).map(|body| Either::Right(Full::new(body)))
            } else {
                poll_fn(|cx| service.poll_ready(cx)).await?;
                service.call(request).await?.map(Either::Left)
            };
            let departure = answer
                .extensions_mut()
                .remove::<AfterFlush>()
                .map(|after_flush| Departure::new(&answer, method, after_flush, written));
            Ok(answer.map(|body| AnswerBody {
                body,
                departure,
                _service_turn: service_turn,
            }))
        }
    })
}

fn connect_refused(version: Version) -> Response<Bytes> {
    let body = ErrorBody::new(ErrorCode::MethodNotAllowed, "CONNECT is not offered here");
    let mut answer = Response::new(Bytes::from(body.to_json()));
    *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
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
        departure: Option<Departure>,
        _service_turn: Option<ServiceTurn>,
    }
}

impl<B> Body for AnswerBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = AnswerData;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<AnswerData>, Self::Error>>> {
        let mut this = self.project();
        let polled = ready!(this.body.as_mut().poll_frame(cx)).transpose()?;
        if let Some(departure) = this.departure {
            departure.watch(polled.as_ref(), this.body.is_end_stream());
        }
        let leaving = this.departure.as_ref().map(|departure| &departure.leaving);
        let with_leaving = |bytes| AnswerData::new(bytes, leaving);
        Poll::Ready(polled.map(|frame| Ok(frame.map_data(with_leaving))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's way to its end, seen from its body.
#[derive(Debug)]
struct Departure {
    leaving: Arc<Leaving>,
    /// HTTP/1: what the head announced and was not given yet. hyper asks for no more than that.
    announced_bytes: Option<u64>,
}

impl Departure {
    /// `method` is the request's, on HTTP/1.
    fn new<B: Body>(
        answer: &Response<B>,
        method: Option<Method>,
        after_flush: AfterFlush,
        written: WrittenAnswers,
    ) -> Self {
        let leaving = Arc::new(Leaving::new(after_flush, written));
        let is_head_only = method
            .as_ref()
            .is_some_and(|method| is_head_only(method, answer.status()));
        if is_head_only || answer.body().is_end_stream() {
            leaving.end();
        }
        let announced_bytes = method.and_then(|_| announced_bytes(answer));
        Self {
            leaving,
            announced_bytes,
        }
    }

    /// Notices the end in what the body gave.
    fn watch(&mut self, frame: Option<&Frame<Bytes>>, is_end_stream: bool) {
        let data = frame.and_then(Frame::data_ref);
        if let (Some(announced), Some(data)) = (&mut self.announced_bytes, data) {
            *announced = announced.saturating_sub(data.len() as u64);
        }
        let is_last = frame.is_none_or(Frame::is_trailers);
        if is_last || is_end_stream || self.announced_bytes == Some(0) {
            self.leaving.end();
        }
    }
}

/// Whether hyper sends the head alone, whatever the body, over HTTP/1.
fn is_head_only(method: &Method, status: StatusCode) -> bool {
    method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

fn announced_bytes<B: Body>(answer: &Response<B>) -> Option<u64> {
    let header = answer.headers().get(header::CONTENT_LENGTH);
    let announced = header.and_then(|value| value.to_str().ok()?.parse().ok());
    announced.or_else(|| answer.body().size_hint().exact())
}
