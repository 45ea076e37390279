//! Medians and ranges of everything that was measured.

use super::Outcome;
use super::runs::{Repeats, Runs};

const HEADINGS: [&str; 18] = [
    "scenario",
    "system",
    "size",
    "P",
    "C",
    "batch",
    "runs",
    "msg/s",
    "MB/s",
    "p50 us",
    "p99 us",
    "p999 us",
    "broker us CPU/msg",
    "CPU s",
    "peak RSS MB",
    "disk bytes/payload byte",
    "generator CPU s",
    "missing+dup",
];
/// The first of them are words.
const WORDS: usize = 2;

pub fn render(runs: &Runs) -> String {
    let numbers = HEADINGS.len() - WORDS;
    let mut text = row(&HEADINGS.map(str::to_owned));
    text += &format!("\n|{}{}", "---|".repeat(WORDS), "--:|".repeat(numbers));
    for repeats in &runs.0 {
        text += &format!("\n{}", row(&cells(repeats)));
    }
    text
}

fn row(cells: &[String; HEADINGS.len()]) -> String {
    format!("| {} |", cells.join(" | "))
}

fn cells(repeats: &Repeats) -> [String; HEADINGS.len()] {
    let setup = &repeats.setup;
    let spread = |figure: &dyn Fn(&Outcome) -> f64| repeats.spread(figure).text();
    let megabytes = |outcome: &Outcome| repeats.payload_mb(outcome);
    [
        setup.scenario.clone(),
        repeats.label.clone(),
        setup.size.to_string(),
        setup.publishers.to_string(),
        setup.consumers.to_string(),
        setup.batch.to_string(),
        repeats.count().to_string(),
        spread(&Outcome::rate),
        spread(&|o| megabytes(o) / o.seconds.max(1e-9)),
        spread(&|o| o.p50_us),
        spread(&|o| o.p99_us),
        spread(&|o| o.p999_us),
        spread(&Outcome::cpu_us_per_message),
        spread(&|o| o.broker_cpu_s),
        spread(&|o| o.peak_rss_mb),
        spread(&|o| o.disk_write_mb / megabytes(o).max(1e-9)),
        spread(&|o| o.generator_cpu_s),
        repeats.wrong().to_string(),
    ]
}
