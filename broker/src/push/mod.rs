//! Push delivery: messages go to workers that registered, each target behind a circuit breaker.

mod allowed;
mod options;

pub use allowed::AllowedTargets;
pub use options::{BreakerOptions, PushOptions};
