//! `cargo xtask storage`: what partitions, rounds, large logs and clients cost, beside what we promise.

mod large;
mod memory;
mod partitions;
mod rounds;

use crate::measured::broker::Site;
use crate::measured::report::{self, Row};
use crate::workspace::Workspace;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Measures what storage costs: start, open files, memory, rounds, reads of a large log.
///
/// Starts the release `weir-broker` on loopback with a temporary data directory for each part, and
/// prints a Markdown table of what was measured, with the target and whether it was met. A missed
/// target does not fail the command: on a busy machine times mean little, ratios and bytes much.
///
///   partitions  10,000 partitions: starts, open files, memory for each partition
///   rounds      a batch to 1, 16, 64 and 256 partitions: what the committer needs for it
///   large       10 GiB in one partition: starts, memory, and what a fetch from the middle reads
///   memory      100,000 messages a second for a minute; 10,000 clients that follow a quiet topic
///
/// Examples:
///   cargo xtask storage
///   cargo xtask storage --only rounds
///   cargo xtask storage --only large --gib 2 --dir /var/tmp
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Storage {
    /// Measures only this part.
    #[arg(long, value_name = "PART")]
    only: Option<Part>,
    /// Prints one JSON object a row, instead of the table.
    #[arg(long)]
    json: bool,
    /// Where the data directories are made; the system's place for temporary files if not given.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    sizes: Sizes,
}

/// How much of everything.
#[derive(Args)]
struct Sizes {
    /// Topics of the part "partitions", of ten partitions each.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    topics: u32,
    /// GiB of payload in the log of the part "large".
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    gib: u64,
    /// Messages a second in the part "memory".
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1_000..))]
    rate: u32,
    /// How many seconds that lasts.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Clients that follow a quiet topic in the part "memory".
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=25_000))]
    clients: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Partitions,
    Rounds,
    Large,
    Memory,
}

impl Part {
    fn measure(self, site: &Site, sizes: &Sizes) -> anyhow::Result<Vec<Row>> {
        match self {
            Self::Partitions => partitions::measure(site, sizes.topics),
            Self::Rounds => rounds::measure(site),
            Self::Large => large::measure(site, sizes.gib),
            Self::Memory => {
                let mut rows = memory::under_load(site, sizes.rate, sizes.seconds)?;
                rows.extend(memory::of_idle_clients(site, sizes.clients)?);
                Ok(rows)
            }
        }
    }
}

impl Storage {
    pub(crate) fn run(self, workspace: &Workspace) -> anyhow::Result<()> {
        let site = Site::with_release(workspace, self.dir)?;
        let mut rows = Vec::new();
        for part in Part::value_variants() {
            if self.only.is_none_or(|only| only == *part) {
                rows.extend(part.measure(&site, &self.sizes)?);
            }
        }
        match self.json {
            true => print!("{}", report::json_lines(&rows)?),
            false => println!("\n{}", report::table(&rows)),
        }
        Ok(())
    }
}
