//! Answers, and errors as answers.

use crate::broker::BrokerError;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use serde::Serialize;
use weir_protocol::{ErrorBody, ErrorCode};
use weir_service::http::BodyError;

/// What every handler returns.
pub(crate) type Answer = warp::reply::Response;

/// A refusal: the code decides the status.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    code: ErrorCode,
    message: String,
    retry_after_seconds: Option<u64>,
}

impl ApiError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let retry_after_seconds =
            matches!(code, ErrorCode::Overloaded | ErrorCode::Draining).then_some(1);
        Self {
            code,
            message: message.into(),
            retry_after_seconds,
        }
    }

    pub(crate) fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidArgument, message)
    }

    pub(crate) fn into_answer(self) -> Answer {
        self.answer_by(|status, body| json_bytes(status, body.to_json()))
    }

    /// The answer as a dialect words it.
    pub(crate) fn answer_by(self, encode: impl FnOnce(StatusCode, ErrorBody) -> Answer) -> Answer {
        let status = StatusCode::from_u16(self.code.http_status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut answer = encode(status, ErrorBody::new(self.code, self.message));
        if let Some(seconds) = self.retry_after_seconds {
            answer
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        answer
    }
}

impl From<BrokerError> for ApiError {
    fn from(error: BrokerError) -> Self {
        let mut refused = Self::new(error.code(), error.to_string());
        if let BrokerError::Overloaded { retry_after } = error {
            refused.retry_after_seconds = Some(retry_after.as_secs().max(1));
        }
        refused
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// Turns a handler's result into an answer.
pub(crate) fn answer(result: Result<Answer, ApiError>) -> Answer {
    result.unwrap_or_else(ApiError::into_answer)
}

/// An answer with `value` as JSON.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(body) => json_bytes(status, body),
        Err(e) => ApiError::new(ErrorCode::Internal, e.to_string()).into_answer(),
    }
}

/// An answer with a body that is JSON already.
pub(crate) fn json_bytes(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    body_of(status, "application/json", body)
}

/// An answer with plain text.
pub(crate) fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    body_of(status, "text/plain; charset=utf-8", body)
}

/// An answer with a body of the given type.
pub(crate) fn body_of(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Answer {
    let mut answer = Response::new(body.into().into());
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// An answer that says all by its status.
pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Bytes::new().into());
    *answer.status_mut() = status;
    answer
}
