use crate::address::Address;
use crate::broker_url::parse_url;
use crate::error::{classify, root_cause};
use crate::{ClientError, ClientOptions};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use weir_protocol::shapes::Health;
use weir_protocol::{ErrorBody, ErrorCode};

/// Shorter than the broker's idle timeout, so that a reused connection is one the broker keeps.
const IDLE_CONNECTION: Duration = Duration::from_secs(30);
const IDLE_CONNECTIONS: usize = 8;
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Sends calls over pooled connections and turns answers into values or errors.
///
/// TLS will enter as another connector here; nothing above knows how bytes travel.
#[derive(Debug)]
pub(crate) struct Transport {
    pool: legacy::Client<HttpConnector, Full<Bytes>>,
    base: String,
    authority: String,
    pub(crate) options: ClientOptions,
}

/// One call of the API.
pub(crate) struct Call {
    method: Method,
    address: Address,
    headers: HeaderMap,
    body: Bytes,
    wait: Duration,
}

impl Call {
    pub(crate) fn new(method: Method, address: Address) -> Self {
        Self {
            method,
            address,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            wait: Duration::ZERO,
        }
    }

    pub(crate) fn get(address: Address) -> Self {
        Self::new(Method::GET, address)
    }

    pub(crate) fn post(address: Address) -> Self {
        Self::new(Method::POST, address)
    }

    pub(crate) fn header(mut self, name: http::HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(crate) fn body(self, content_type: HeaderValue, body: Bytes) -> Self {
        let mut call = self.header(CONTENT_TYPE, content_type);
        call.body = body;
        call
    }

    /// The shapes serialise without fail: no maps with other keys than text, no fallible types.
    pub(crate) fn json(self, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).unwrap_or_default();
        self.body(JSON, body.into())
    }

    /// Gives a long poll its wait on top of the request timeout.
    pub(crate) fn waiting(mut self, wait: Option<Duration>) -> Self {
        self.wait = wait.unwrap_or_default();
        self
    }
}

impl Transport {
    pub(crate) fn new(url: &str, options: ClientOptions) -> Result<Self, ClientError> {
        let (base, authority) = parse_url(url)?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(options.connect_timeout));
        let pool = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build(connector);
        Ok(Self {
            pool,
            base,
            authority,
            options,
        })
    }

    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// Sends `call` and parses its answer.
    pub(crate) async fn call<T: DeserializeOwned>(&self, call: Call) -> Result<T, ClientError> {
        let (status, body) = self.call_raw(call).await?;
        serde_json::from_slice(&body).map_err(|error| ClientError::Malformed {
            status,
            reason: error.to_string(),
        })
    }

    /// Sends `call` and passes over what a success answers.
    pub(crate) async fn call_unit(&self, call: Call) -> Result<(), ClientError> {
        self.call_raw(call).await.map(drop)
    }

    /// Sends `call` and hands out its answer as it is.
    pub(crate) async fn call_text(&self, call: Call) -> Result<String, ClientError> {
        let (status, body) = self.call_raw(call).await?;
        let text = String::from_utf8(body.into());
        text.map_err(|error| unexpected(status, &error.to_string()))
    }

    async fn call_raw(&self, call: Call) -> Result<(u16, Bytes), ClientError> {
        let limit = self.options.request_timeout + call.wait;
        let exchange = async {
            let response = self.send(call).await?;
            self.collect(response).await
        };
        self.within(limit, exchange).await
    }

    /// Sends `call` and hands out the body as it comes; the request timeout ends with the head.
    pub(crate) async fn open(&self, call: Call) -> Result<Incoming, ClientError> {
        let limit = self.options.request_timeout;
        let exchange = async {
            let response = self.send(call).await?;
            if response.status().is_success() {
                return Ok(response.into_body());
            }
            let status = response.status().as_u16();
            match self.collect(response).await {
                Err(refused) => Err(refused),
                Ok(_) => Err(unexpected(status, "no stream")),
            }
        };
        self.within(limit, exchange).await
    }

    async fn within<T>(
        &self,
        limit: Duration,
        exchange: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        let timed_out = |_| ClientError::TimedOut {
            broker: self.authority.clone(),
            after: limit,
        };
        let answer = tokio::time::timeout(limit, exchange).await;
        answer.map_err(timed_out)?
    }

    async fn send(&self, call: Call) -> Result<Response<Incoming>, ClientError> {
        let uri = format!("{}{}", self.base, call.address.as_str());
        let mut request = Request::new(Full::new(call.body));
        *request.method_mut() = call.method;
        *request.headers_mut() = call.headers;
        *request.uri_mut() = uri.parse().map_err(|_| ClientError::InvalidUrl {
            url: uri,
            reason: "the address is too long".into(),
        })?;
        let answer = self.pool.request(request).await;
        answer.map_err(|error| classify(&self.authority, &error))
    }

    async fn collect(&self, response: Response<Incoming>) -> Result<(u16, Bytes), ClientError> {
        let (head, body) = response.into_parts();
        let status = head.status.as_u16();
        let body = Limited::new(body, self.options.max_response_bytes);
        let body = body.collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                let limit = self.options.max_response_bytes;
                return unexpected(status, &format!("more than {limit} bytes"));
            }
            self.broken(&*error)
        })?;
        let body = body.to_bytes();
        if head.status.is_success() {
            return Ok((status, body));
        }
        Err(refusal(status, &head.headers, &body))
    }

    /// The connection broke in the middle of an answer.
    pub(crate) fn broken(&self, error: &dyn std::error::Error) -> ClientError {
        ClientError::Interrupted {
            broker: self.authority.clone(),
            reason: root_cause(error),
        }
    }
}

fn unexpected(status: u16, reason: &str) -> ClientError {
    ClientError::Malformed {
        status,
        reason: reason.to_owned(),
    }
}

fn refusal(status: u16, headers: &HeaderMap, body: &[u8]) -> ClientError {
    if let Ok(health) = serde_json::from_slice::<Health>(body) {
        return not_well(status, &health);
    }
    let Ok(ErrorBody { error }) = serde_json::from_slice(body) else {
        let start = String::from_utf8_lossy(&body[..body.len().min(80)]);
        let start = start.lines().next().unwrap_or_default();
        return unexpected(status, &format!("the body begins with {start:?}"));
    };
    let after: Option<u64> = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    refused(
        status,
        error.code,
        error.message,
        after.map(Duration::from_secs),
    )
}

/// `/ready` and `/health` answer with their own shape in any case.
fn not_well(status: u16, health: &Health) -> ClientError {
    let why = match health.problems.as_slice() {
        [] => health.status.clone(),
        problems => problems.join("; "),
    };
    let message = format!("the broker is not ready: {why}");
    refused(status, ErrorCode::Unavailable, message, None)
}

pub(crate) fn refused(
    status: u16,
    code: ErrorCode,
    message: String,
    retry_after: Option<Duration>,
) -> ClientError {
    ClientError::Refused {
        status,
        code,
        message,
        retry_after,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_is_not_ready_says_why() {
        let refusal_of = |body: &[u8]| refusal(503, &HeaderMap::new(), body);
        let full = br#"{"status":"failed","version":"1","problems":["no space","no log"]}"#;
        assert_eq!(
            refusal_of(full).to_string(),
            "the broker is not ready: no space; no log (unavailable)"
        );
        assert!(refusal_of(full).is_retryable());
        assert_eq!(
            refusal_of(br#"{"status":"draining","version":"1"}"#).to_string(),
            "the broker is not ready: draining (unavailable)"
        );
    }

    #[test]
    fn answers_that_are_not_a_brokers_are_told_apart() {
        let error = refusal(502, &HeaderMap::new(), b"<html>\n<body>bad gateway");
        assert_eq!(
            error.to_string(),
            "the answer is not a broker's (status 502): the body begins with \"<html>\""
        );
        assert!(error.is_retryable());
    }
}
