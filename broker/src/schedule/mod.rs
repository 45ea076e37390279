//! Messages that are delivered later.
//!
//! They wait as plain lines in a log of the broker's own, `__schedule` (`line` has the formats): a
//! publish is acknowledged when its line is durable there. One task (`task`) owns everything else.
//! It folds the log into an index on disk (`index`), which says what is due next and is made anew
//! from the log whenever there is doubt about it; it delivers what is due (`fire`), answers
//! requests (`serve`), and keeps the log small (`tidy`).
//!
//! A message is delivered exactly once, whenever the broker is killed: before it is appended to its
//! topic, a line says where its partition ends; after it is appended, a line says so. In between,
//! whoever comes next looks for it from that offset on (`search`).
//!
//! Absent on purpose: any state in memory that grows with the number of waiting messages.

mod client;
mod fire;
mod index;
mod line;
mod log;
mod search;
mod serve;
mod task;
mod tidy;

pub(crate) use client::{Page, PageRequest, Schedules};
pub(crate) use line::waiting_record;
pub(crate) use log::log_settings;
pub(crate) use task::Start;
