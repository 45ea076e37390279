//! Push delivery: messages go to workers that registered, each target behind a circuit breaker.

mod allowed;
mod breaker;
#[allow(dead_code, reason = "the dispatcher uses it")]
mod courier;
#[allow(dead_code, reason = "the dispatcher uses it")]
mod dial;
mod options;
mod target;
#[allow(dead_code, reason = "the dispatcher uses it")]
mod task;

pub use allowed::AllowedTargets;
pub use breaker::{Admission, Breaker, BreakerState, Transition};
pub use options::{BreakerOptions, PushOptions};
pub use target::{InvalidTarget, Scheme, Target};
