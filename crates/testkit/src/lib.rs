//! Test support: real broker processes and a checker of what they promise.
//!
//! [`BrokerSetup`] starts the binary that a test was built with and [`BrokerProcess`] ends it, by
//! SIGKILL or politely. [`Ledger`] notes what clients sent and what they were told, and judges what
//! is found afterwards; it is pure, and its own tests show that it can fail. [`read_data_dir`] reads
//! what is on the disk as anybody may, from the documented format, without any code of the broker.
//! [`history`] does for delivery what the ledger does for storage, with clients of all manners.
//!
//! Only ever a dev-dependency. It panics where a test should fail.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod broker_log;
mod broker_process;
mod eventually;
pub mod history;
mod ledger;
mod raw_connection;
mod stored;

pub use broker_log::{BrokerLog, LogLine};
pub use broker_process::{BrokerProcess, BrokerSetup, Ended};
pub use eventually::eventually;
pub use ledger::{Found, Ledger, Place, Sent, Violation, Violations};
pub use raw_connection::RawConnection;
pub use stored::read_data_dir;
