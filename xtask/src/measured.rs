//! What the reports share that measure a broker: the broker, requests to it, the table.

pub(crate) mod broker;
pub(crate) mod http;
pub(crate) mod report;
