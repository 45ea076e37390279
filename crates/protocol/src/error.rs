use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $status:literal;)*) => {
        /// What went wrong, as programs see it. Codes are stable; messages are for people.
        ///
        /// | code | HTTP status |
        /// |---|---|
        $(#[doc = concat!("| `", $code, "` | ", $status, " |")])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $code)] $variant,)*
        }

        impl ErrorCode {
            /// Every code there is.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The code as it is written in an answer.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The status of an HTTP answer that carries this code.
            #[must_use]
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }
        }
    };
}

error_codes! {
    /// The payload or a body is not JSON that every parser accepts.
    InvalidJson = "invalid_json", 400;
    /// A parameter or field is missing, unknown or out of range.
    InvalidArgument = "invalid_argument", 400;
    /// The topic name breaks the rules.
    InvalidTopic = "invalid_topic", 400;
    /// The request could not be read as HTTP.
    BadRequest = "bad_request", 400;
    /// The caller may not do this from where it is.
    Forbidden = "forbidden", 403;
    /// There is no such route.
    NotFound = "not_found", 404;
    /// There is no such topic, and it may not or could not be created here.
    UnknownTopic = "unknown_topic", 404;
    /// The topic has no such partition.
    UnknownPartition = "unknown_partition", 404;
    /// The topic has no such group.
    UnknownGroup = "unknown_group", 404;
    /// The topic has no such dead letter.
    UnknownDeadLetter = "unknown_dead_letter", 404;
    /// There is no such scheduled message, or it was delivered or cancelled.
    UnknownSchedule = "unknown_schedule", 404;
    /// There is no such queue of tasks.
    UnknownQueue = "unknown_queue", 404;
    /// There is no such worker, or it was removed.
    UnknownWorker = "unknown_worker", 404;
    /// The route exists, but not with this method.
    MethodNotAllowed = "method_not_allowed", 405;
    /// The client took too long to send its request.
    RequestTimeout = "request_timeout", 408;
    /// The wish contradicts what exists, such as another number of partitions.
    Conflict = "conflict", 409;
    /// The cursor belongs to a topic that was deleted.
    StaleCursor = "stale_cursor", 410;
    /// A payload, body or batch exceeds its limit.
    TooLarge = "too_large", 413;
    /// The request's address is too long.
    UriTooLong = "uri_too_long", 414;
    /// The headers of the request exceed their limit.
    HeadersTooLarge = "headers_too_large", 431;
    /// A defect of the broker.
    Internal = "internal", 500;
    /// Too much is in flight: retry after the hinted time.
    Overloaded = "overloaded", 503;
    /// The broker is stopping: reconnect.
    Draining = "draining", 503;
    /// The disk failed. What was not acknowledged is not stored.
    Storage = "storage", 503;
    /// Nobody behind the broker takes the message now: retry later.
    Unavailable = "unavailable", 503;
    /// The request was published, but no reply came in time.
    Timeout = "timeout", 504;
    /// The disk is full, or the number of topics or of workers is reached.
    StorageFull = "storage_full", 507;
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The body of every unsuccessful answer: `{"error":{"code","message"}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// Inside of an [`ErrorBody`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// For programs.
    pub code: ErrorCode,
    /// For people: what, where, and what would be accepted.
    pub message: String,
}

impl ErrorBody {
    /// The body for `code` with `message`.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            error: ErrorDetail {
                code,
                message: message.into(),
            },
        }
    }

    /// The body as JSON text.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_written_alike_everywhere() {
        for &code in ErrorCode::ALL {
            assert_eq!(
                serde_json::to_string(&code).unwrap(),
                format!("{:?}", code.as_str())
            );
            assert!((400..600).contains(&code.http_status()));
        }
        assert_eq!(
            ErrorBody::new(ErrorCode::Draining, "stopping").to_json(),
            br#"{"error":{"code":"draining","message":"stopping"}}"#
        );
    }
}
