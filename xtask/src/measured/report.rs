//! What was measured beside what was promised: one row each, as Markdown or JSON.

use serde::Serialize;
use std::fmt;
use std::fmt::Write as _;
use std::time::Duration;

/// One thing that was measured.
pub(crate) struct Row {
    part: &'static str,
    what: String,
    /// `None`: the broker does not offer it.
    value: Option<Quantity>,
    target: Option<Target>,
}

#[derive(Clone, Copy)]
pub(crate) struct Quantity {
    pub(crate) value: f64,
    pub(crate) unit: Unit,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    Bytes,
    Seconds,
    Count,
    /// How many times another quantity.
    Times,
    PerSecond,
}

/// Both inclusive, in the unit of what is measured.
#[derive(Clone, Copy)]
enum Target {
    AtMost(f64),
    AtLeast(f64),
}

pub(crate) const KIB: f64 = 1024.0;
pub(crate) const MIB: f64 = 1024.0 * KIB;
const GIB: f64 = 1024.0 * MIB;

impl Row {
    pub(crate) fn new(part: &'static str, what: impl Into<String>, value: Quantity) -> Self {
        Self {
            part,
            what: what.into(),
            value: Some(value),
            target: None,
        }
    }

    pub(crate) fn not_available(part: &'static str, what: impl Into<String>) -> Self {
        Self {
            part,
            what: what.into(),
            value: None,
            target: None,
        }
    }

    pub(crate) fn at_most(mut self, target: f64) -> Self {
        self.target = Some(Target::AtMost(target));
        self
    }

    pub(crate) fn at_least(mut self, target: f64) -> Self {
        self.target = Some(Target::AtLeast(target));
        self
    }

    fn target_text(&self) -> String {
        let unit = self.value.map_or(Unit::Count, |quantity| quantity.unit);
        match self.target {
            None => String::new(),
            Some(Target::AtMost(value)) => format!("≤ {}", Quantity { value, unit }),
            Some(Target::AtLeast(value)) => format!("≥ {}", Quantity { value, unit }),
        }
    }

    fn verdict(&self) -> Option<&'static str> {
        let value = self.value?.value;
        let met = match self.target? {
            Target::AtMost(target) => value <= target,
            Target::AtLeast(target) => value >= target,
        };
        Some(if met { "met" } else { "missed" })
    }
}

impl Quantity {
    pub(crate) fn bytes(bytes: u64) -> Self {
        Self::new(as_f64(bytes), Unit::Bytes)
    }

    /// What each of `count` takes of the bytes between two looks; below zero when memory shrank.
    pub(crate) fn bytes_each(after: u64, before: u64, count: u64) -> Self {
        let more = as_f64(after) - as_f64(before);
        Self::new(more / as_f64(count), Unit::Bytes)
    }

    pub(crate) fn time(time: Duration) -> Self {
        Self::new(time.as_secs_f64(), Unit::Seconds)
    }

    pub(crate) fn count(count: usize) -> Self {
        Self::new(as_f64(count as u64), Unit::Count)
    }

    pub(crate) fn times(value: f64) -> Self {
        Self::new(value, Unit::Times)
    }

    pub(crate) fn per_second(count: u64, time: Duration) -> Self {
        Self::new(as_f64(count) / time.as_secs_f64(), Unit::PerSecond)
    }

    fn new(value: f64, unit: Unit) -> Self {
        Self { value, unit }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "three digits are shown, and nothing here comes near 2^53"
)]
fn as_f64(number: u64) -> f64 {
    number as f64
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value;
        match self.unit {
            Unit::Bytes if value.abs() < KIB => write!(f, "{value:.0} B"),
            Unit::Bytes if value.abs() < MIB => write!(f, "{:.1} KiB", value / KIB),
            Unit::Bytes if value.abs() < GIB => write!(f, "{:.1} MiB", value / MIB),
            Unit::Bytes => write!(f, "{:.2} GiB", value / GIB),
            Unit::Seconds if value < 1.0 => write!(f, "{:.2} ms", value * 1000.0),
            Unit::Seconds => write!(f, "{value:.2} s"),
            Unit::Count => write!(f, "{value:.0}"),
            Unit::Times => write!(f, "{value:.2} ×"),
            Unit::PerSecond => write!(f, "{value:.0}/s"),
        }
    }
}

pub(crate) fn table(rows: &[Row]) -> String {
    let mut table =
        String::from("| part | what | measured | target | |\n|---|---|---:|---:|---|\n");
    for row in rows {
        let measured = row.value.map(|value| value.to_string());
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {} |",
            row.part,
            row.what,
            measured.as_deref().unwrap_or("not available"),
            row.target_text(),
            row.verdict().unwrap_or_default(),
        );
    }
    table
}

/// One object a line; what is not there is `null`.
pub(crate) fn json_lines(rows: &[Row]) -> anyhow::Result<String> {
    #[derive(Serialize)]
    struct Line<'a> {
        part: &'a str,
        what: &'a str,
        value: Option<f64>,
        unit: Option<Unit>,
        at_most: Option<f64>,
        at_least: Option<f64>,
        verdict: Option<&'a str>,
    }
    let mut lines = String::new();
    for row in rows {
        let (at_most, at_least) = match row.target {
            None => (None, None),
            Some(Target::AtMost(value)) => (Some(value), None),
            Some(Target::AtLeast(value)) => (None, Some(value)),
        };
        let line = serde_json::to_string(&Line {
            part: row.part,
            what: &row.what,
            value: row.value.map(|quantity| quantity.value),
            unit: row.value.map(|quantity| quantity.unit),
            at_most,
            at_least,
            verdict: row.verdict(),
        })?;
        lines.push_str(&line);
        lines.push('\n');
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> [Row; 4] {
        let each = Quantity::bytes_each(20_480, 10_240, 10);
        [
            Row::new("a", "each", each).at_most(512.0),
            Row::new("a", "start", Quantity::time(Duration::from_millis(60))).at_most(3.0),
            Row::new("b", "rate", Quantity::times(2.0)).at_least(1.0),
            Row::not_available("b", "by time").at_most(1.0),
        ]
    }

    #[test]
    fn every_row_says_its_target_and_whether_it_was_met() {
        let table = table(&rows());
        let lines: Vec<_> = table.lines().skip(2).collect();
        let expected = [
            "| a | each | 1.0 KiB | ≤ 512 B | missed |",
            "| a | start | 60.00 ms | ≤ 3.00 s | met |",
            "| b | rate | 2.00 × | ≥ 1.00 × | met |",
            "| b | by time | not available | ≤ 1 |  |",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn json_has_plain_numbers() {
        let lines = json_lines(&rows()).unwrap();
        assert_eq!(
            lines.lines().next(),
            Some(
                r#"{"part":"a","what":"each","value":1024.0,"unit":"bytes","at_most":512.0,"at_least":null,"verdict":"missed"}"#
            )
        );
        assert_eq!(lines.lines().count(), 4);
    }
}
