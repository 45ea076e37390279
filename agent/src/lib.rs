//! The host-metrics agent: looks at the host once a second and streams what it sees to a broker.
//!
//! `schedule` says what is due, `collectors` read it, `sampler` stamps and encodes it, `publisher`
//! sends it and keeps what cannot be sent yet in a bounded `buffer`. `pulse` knows whether the sampler still looks. `sample` is the schema on the
//! wire. `run` puts them together; `settings` is what an operator may choose.
//!
//! Invariants: one broken collector costs its own values only; a broker that is away delays no
//! measurement; memory is bounded by the settings, not by how long the broker is away.
//!
//! Absent on purpose: rates (computed downstream from raw counters), a server for the host's figures
//! (`http` only answers probes, and only where it is told to), privileges.

mod broker_connection;
mod buffer;
pub mod collectors;
mod encode;
mod http;
mod publisher;
mod pulse;
mod roots;
pub mod run;
pub mod sample;
mod sampler;
mod schedule;
pub mod settings;

pub use encode::Dialect;
pub use roots::Roots;
pub use settings::{Settings, Task};
