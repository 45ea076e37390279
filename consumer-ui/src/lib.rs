//! The dashboard: follows the agents' topics and shows every host, to people and to Prometheus.
//!
//! `follow` reads the broker, `fold` makes a view of what it said, `view` owns that view, and `http`
//! and `exporter` render it. The broker's log is the history: after a start everything is read again.
//! `run` builds all of it and takes it down in order; `settings` is what an operator may choose.
//!
//! Absent on purpose: a database, HTML made from data, numbers computed in the page, a group on the
//! broker (nothing here is work to be done once).

mod exporter;
pub mod fold;
mod follow;
mod http;
pub mod metrics;
pub mod run;
pub mod sample;
pub mod settings;
mod view;

pub use run::Running;
pub use settings::Settings;
