//! Push delivery: messages go to workers that registered, each target behind a circuit breaker.
//!
//! `registrations` says who gets whose messages, and is kept on disk; `desk` owns it and changes it.
//! For each group with workers one task, `dispatch`, leases messages, gives them to a `worker` by its
//! `courier`, each worker its share (`bytes_out`), and settles what became of them (`settling`). All
//! that lead to one target share a `gate`: its `breaker`, and what is counted. `dial` makes every connection, to allowed addresses only.
//! `backends` are targets that the operator named.
//!
//! Absent on purpose: rules of redelivery, which are the group's; more than one task that hands out a
//! group's messages; anything of it on disk but the registrations: breakers and counts begin anew.

mod allowed;
mod backends;
mod breaker;
mod bytes_out;
mod courier;
mod desk;
mod dial;
mod dispatch;
mod gate;
mod options;
mod own_addresses;
mod registrations;
mod rest;
mod settling;
mod tally;
mod target;
mod task;
mod worker;

pub use allowed::AllowedTargets;
pub(crate) use backends::Backends;
pub use breaker::{Admission, Breaker, Transition};
pub(crate) use desk::{Push, Ways};
pub(crate) use dial::Dialer;
pub(crate) use dispatch::Source;
pub use options::{BreakerOptions, PushOptions};
pub(crate) use own_addresses::refuse_own_addresses;
pub(crate) use registrations::{Place, Registration, Registrations};
pub use target::{InvalidTarget, Scheme, Target};
