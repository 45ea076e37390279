use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use weir_protocol::NDJSON;

/// Why a request does not count, as a word for the report.
pub(crate) type ErrorWord = String;

/// Where requests go and what they carry.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) authority: String,
    pub(crate) path: String,
    pub(crate) batched: bool,
}

/// One keep-alive connection. Dropping it ends its task.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    _task: JoinSet<()>,
}

/// Reads a code that this version need not know.
#[derive(Deserialize)]
struct ErrorAnswer {
    error: ErrorCodeOnly,
}

#[derive(Deserialize)]
struct ErrorCodeOnly {
    code: String,
}

impl Connection {
    pub(crate) async fn open(target: &Target) -> Result<Self, ErrorWord> {
        let refused = |_| "cannot_connect".to_owned();
        let authority = match target.authority.parse::<http::uri::Authority>() {
            Ok(authority) if authority.port().is_none() => format!("{authority}:80"),
            _ => target.authority.clone(),
        };
        let socket = TcpStream::connect(authority).await.map_err(refused)?;
        socket.set_nodelay(true).map_err(refused)?;
        let connected = handshake(TokioIo::new(socket)).await;
        let (sender, connection) = connected.map_err(|_| "cannot_connect".to_owned())?;
        let mut task = JoinSet::new();
        task.spawn(async move {
            // Its error is the error of the request that was in flight.
            let _reported = connection.await;
        });
        Ok(Self {
            sender,
            _task: task,
        })
    }

    /// Sends a body and reads the whole answer.
    pub(crate) async fn post(&mut self, target: &Target, body: Bytes) -> Result<(), ErrorWord> {
        let content_type = if target.batched {
            NDJSON
        } else {
            "application/json"
        };
        let request = Request::post(&target.path)
            .header("host", &target.authority)
            .header("content-type", content_type)
            .body(Full::new(body))
            .map_err(|_| "bad_request".to_owned())?;
        let lost = |_| "connection_lost".to_owned();
        self.sender.ready().await.map_err(lost)?;
        let answer = self.sender.send_request(request).await.map_err(lost)?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(lost)?;
        if status.is_success() {
            return Ok(());
        }
        Err(word(status, &body.to_bytes()))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

fn word(status: StatusCode, body: &[u8]) -> ErrorWord {
    let answer = serde_json::from_slice::<ErrorAnswer>(body);
    answer.map_or_else(|_| format!("http_{}", status.as_u16()), |a| a.error.code)
}
