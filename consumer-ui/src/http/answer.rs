//! Answers, and errors as answers.

use crate::view::Stopping;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;

/// What every handler returns.
pub(super) type Answer = warp::reply::Response;

/// A refusal, with the codes that the broker's API has, too.
#[derive(Clone, Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: ErrorParts<'a>,
}

#[derive(Serialize)]
struct ErrorParts<'a> {
    code: &'static str,
    message: &'a str,
}

impl ApiError {
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(super) fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_argument", message)
    }

    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub(super) fn method_not_allowed() -> Self {
        let message = "this address does not take this method";
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            message,
        )
    }

    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    pub(super) fn into_answer(self) -> Answer {
        let error = ErrorParts {
            code: self.code,
            message: &self.message,
        };
        json(self.status, &ErrorBody { error })
    }
}

impl From<Stopping> for ApiError {
    fn from(stopping: Stopping) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "draining",
            stopping.to_string(),
        )
    }
}

/// Turns a handler's result into an answer.
pub(super) fn answer(result: Result<Answer, ApiError>) -> Answer {
    result.unwrap_or_else(ApiError::into_answer)
}

/// An answer with `value` as JSON. The shapes serialise without fail.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(value).unwrap_or_default();
    body_of(status, "application/json", body)
}

/// An answer with a body of the given type, which is of this moment only.
pub(super) fn body_of(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Answer {
    let mut answer = Response::new(body.into().into());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
