//! Process plumbing shared by the broker, the agent and the dashboard.
//!
//! What every process of Weir needs around its own work: settings with one source of truth
//! ([`settings`]), logs ([`telemetry`]), an HTTP accept loop with limits and a graceful end
//! ([`http`]), enough file descriptors ([`descriptors`]), signals ([`shutdown`]), what probes see of it ([`presence`])
//! and ask ([`probe`]), and a clock that tests can hold still ([`clock`]).
//!
//! Absent on purpose: routes, a web framework, topics and messages, and anything global but the
//! log subscriber that [`telemetry::init`] installs.

pub mod clock;
pub mod descriptors;
pub mod http;
pub mod presence;
pub mod probe;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
