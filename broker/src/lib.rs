//! The broker: one core, several front ends.
//!
//! `broker` is the core; `http` and `grpc` are front ends. Below the core, `committer` is the one
//! thread that writes, `group` owns what consumers share, `schedule` what is delivered later, `reads`
//! gets records off the disk. `run` builds all of it and takes it down in order; `settings` is what an
//! operator may choose.
//!
//! Absent on purpose: rules in front ends, a lock held across an `.await`, a task without an owner.

pub mod broker;
mod committer;
mod group;
pub mod grpc;
pub mod http;
pub mod metrics;
pub mod ownership;
pub mod push;
mod reads;
mod registry;
mod replies;
mod reply_topics;
pub mod run;
mod schedule;
pub mod settings;
mod topic;
mod topics;

pub use broker::{Broker, BrokerError, BrokerOptions};
pub use run::Running;
pub use settings::Settings;
