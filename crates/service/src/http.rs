//! HTTP under our own rules: an accept loop with limits, deadlines and a graceful end.
//!
//! [`serve`] owns a listener and every connection it accepts; routes live in the service it is
//! given. A request passes `accept` (permit, gauge) → `connection` (which protocol, deadlines) →
//! `connection_io` (stalled writers, hyper's own answers) → `answering` (connection info,
//! CONNECT) → the service. Plain TCP; `connection` takes any byte stream, which is where TLS
//! will enter.
//!
//! Invariants: every connection is a task this module owns and ends; no deadline is missing, so
//! no client can hold a connection by silence; every 4xx over HTTP/1 carries an
//! [`weir_protocol::ErrorBody`], also those that hyper writes by itself.

mod accept;
mod after_flush;
mod answer_data;
mod answering;
mod automatic_answer;
mod body;
mod connection;
mod connection_io;
mod first_bytes;
mod flush_watch;
mod in_flight;
mod limits;

pub use accept::{DrainOutcome, serve};
pub use after_flush::AfterFlush;
pub use answer_data::AnswerData;
pub use answering::{AnswerBody, ConnectionInfo};
pub use body::{BodyError, BodyLimits, ReceivedBody, collect_body};
pub use in_flight::{InFlight, Reservation};
pub use limits::HttpLimits;
