use super::payload::MIN_PAYLOAD_BYTES;
use clap::Args;
use weir_types::limits::DEFAULT_MAX_PAYLOAD_BYTES;

const PAYLOAD_BYTES: std::ops::RangeInclusive<i64> =
    MIN_PAYLOAD_BYTES as i64..=DEFAULT_MAX_PAYLOAD_BYTES as i64;

/// What every load can be told.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Size of each payload, a JSON object.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(PAYLOAD_BYTES))]
    pub(crate) payload_bytes: u32,
    /// The broker's process, if it cannot be found by its port.
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// Threads of the load generator.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) threads: u16,
}

impl Common {
    pub(crate) const fn payload_bytes(&self) -> usize {
        self.payload_bytes as usize
    }
}
