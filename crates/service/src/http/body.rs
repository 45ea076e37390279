use super::{InFlight, Reservation};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::{FutureExt, Stream, StreamExt};
use std::fmt::Display;
use std::pin::{Pin, pin};
use std::time::Duration;
use thiserror::Error;
use tokio::time::{Instant, timeout_at};
use weir_protocol::ErrorCode;

/// What one request body may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// Size of the whole body, however it is sent.
    pub max_bytes: usize,
    /// Longest wait for the next bytes.
    pub idle_timeout: Duration,
    /// Longest time for the whole body.
    pub total_timeout: Duration,
}

/// Why a body was not received.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BodyError {
    /// It exceeds its limit.
    #[error("the request body exceeds {max_bytes} bytes")]
    TooLarge {
        /// The limit.
        max_bytes: usize,
    },
    /// It, or its next bytes, did not come in time.
    #[error("the request body did not arrive in time")]
    TimedOut,
    /// The connection broke, or the body's framing is malformed.
    #[error("the request body ended early: {reason}")]
    Disconnected {
        /// As the connection reports it.
        reason: String,
    },
    /// The bodies in flight fill their budget: retry later.
    #[error("too many request bodies are in flight, retry later")]
    Overloaded,
}

impl BodyError {
    /// The code to answer with.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::TooLarge { .. } => ErrorCode::TooLarge,
            Self::TimedOut => ErrorCode::RequestTimeout,
            Self::Disconnected { .. } => ErrorCode::BadRequest,
            Self::Overloaded => ErrorCode::Overloaded,
        }
    }
}

/// A whole body, and its share of the budget: keep both as long as the bytes are needed.
#[derive(Debug)]
pub struct ReceivedBody {
    /// The body.
    pub bytes: Bytes,
    /// Covers `bytes`.
    pub reservation: Reservation,
}

/// Receives a whole body from its chunks, such as those of `warp::body::stream()` or of a
/// [`http_body_util::BodyDataStream`]. The share of `in_flight` grows with what arrived, so a
/// client cannot reserve by announcing. A body of one chunk is not copied.
///
/// # Errors
/// See [`BodyError`]; what was received is dropped and its share returned.
pub async fn collect_body<S, C, E>(
    chunks: S,
    limits: &BodyLimits,
    in_flight: &InFlight,
) -> Result<ReceivedBody, BodyError>
where
    S: Stream<Item = Result<C, E>>,
    C: Buf,
    E: Display,
{
    let mut chunks = pin!(chunks);
    let mut reservation = in_flight.try_reserve(0).ok_or(BodyError::Overloaded)?;
    let mut body = GrowingBody::Empty;
    let mut deadline = None;
    loop {
        let next = match chunks.next().now_or_never() {
            Some(next) => next,
            None => next_in_time(chunks.as_mut(), limits, &mut deadline).await?,
        };
        let Some(chunk) = next else {
            let bytes = body.into_bytes();
            return Ok(ReceivedBody { bytes, reservation });
        };
        let mut chunk = chunk.map_err(|error| BodyError::Disconnected {
            reason: error.to_string(),
        })?;
        let chunk_bytes = chunk.remaining();
        if chunk_bytes > limits.max_bytes - reservation.bytes() {
            return Err(BodyError::TooLarge {
                max_bytes: limits.max_bytes,
            });
        }
        if !reservation.try_grow(chunk_bytes) {
            return Err(BodyError::Overloaded);
        }
        body = body.with(chunk.copy_to_bytes(chunk_bytes));
    }
}

/// Waits for the next chunk. `deadline` is that of the whole body, set by the first wait: what is
/// there already needs no clock.
async fn next_in_time<S: Stream>(
    mut chunks: Pin<&mut S>,
    limits: &BodyLimits,
    deadline: &mut Option<Instant>,
) -> Result<Option<S::Item>, BodyError> {
    let now = Instant::now();
    let deadline = *deadline.get_or_insert(now + limits.total_timeout);
    let next_by = deadline.min(now + limits.idle_timeout);
    let next = timeout_at(next_by, chunks.next()).await;
    next.map_err(|_| BodyError::TimedOut)
}

enum GrowingBody {
    Empty,
    OneChunk(Bytes),
    Joined(BytesMut),
}

impl GrowingBody {
    fn with(self, chunk: Bytes) -> Self {
        match self {
            _ if chunk.is_empty() => self,
            Self::Empty => Self::OneChunk(chunk),
            Self::OneChunk(first) => {
                let mut joined = BytesMut::with_capacity(2 * (first.len() + chunk.len()));
                joined.extend_from_slice(&first);
                joined.extend_from_slice(&chunk);
                Self::Joined(joined)
            }
            Self::Joined(mut joined) => {
                joined.extend_from_slice(&chunk);
                Self::Joined(joined)
            }
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Empty => Bytes::new(),
            Self::OneChunk(bytes) => bytes,
            Self::Joined(joined) => joined.freeze(),
        }
    }
}

#[cfg(test)]
mod tests;
