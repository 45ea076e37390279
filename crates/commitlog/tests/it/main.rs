//! The storage engine through its public face, on a disk that fails on purpose.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests state their expectations bluntly, in helpers too"
)]

mod acknowledged;
mod by_time;
mod clean_stop;
mod damage;
mod data_directory;
mod dedupe;
mod durability;
mod faults;
mod golden;
mod journal_size;
mod journals;
mod log;
mod model;
mod recovery;
mod retention;
mod rig;
mod seeks;
mod starts;
mod topics;
