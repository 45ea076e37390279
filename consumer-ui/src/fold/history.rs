//! One chart's last hour: a shared time column and a column of values for each line.

use super::Allowance;
use super::shapes::{ChartPoints, Line};
use std::collections::VecDeque;

/// How far back charts go.
pub const WINDOW_MS: u64 = 60 * 60 * 1_000;
/// An hour of one a second, with room for gaps.
const MAX_ROWS: usize = 3_700;

/// One value for each label, in the order of the lines.
pub(super) type Row = Vec<(String, Option<f64>)>;

/// A chart's columns. All have the same length; NaN is a gap. Rows are numbered from the first one
/// ever, so that a reader knows where it stands; `layout` changes when that number means nothing
/// any more.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    time: VecDeque<u64>,
    lines: Vec<Column>,
    first_row: u64,
    layout: u64,
}

#[derive(Clone, Debug)]
struct Column {
    label: String,
    values: VecDeque<f32>,
    last_value_at: u64,
}

/// Where a reader of one chart stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    layout: u64,
    next_row: u64,
}

impl Columns {
    pub(super) fn line_count(&self) -> usize {
        self.lines.len()
    }

    /// Adds a row. A time that does not rise means that the node's clock was set: what lay at or
    /// after it goes.
    pub(super) fn push(&mut self, time: u64, row: &Row, allowance: &mut Allowance) {
        self.cut_from(time);
        self.push_gap(time);
        for (index, (label, value)) in row.iter().enumerate() {
            let line = self
                .find(index, label)
                .or_else(|| self.add(label, allowance));
            if let (Some(line), Some(value)) = (line, *value) {
                self.lines[line].set_last(time, value);
            }
        }
        self.trim(time, allowance);
    }

    /// Adds a row without values, if its time comes after all others.
    pub(super) fn push_gap(&mut self, time: u64) {
        if self.time.back().is_some_and(|&last| last >= time) {
            return;
        }
        self.time.push_back(time);
        for line in &mut self.lines {
            line.values.push_back(f32::NAN);
        }
    }

    pub(super) fn last_time(&self) -> Option<u64> {
        self.time.back().copied()
    }

    fn find(&self, index: usize, label: &str) -> Option<usize> {
        let expected = self.lines.get(index).filter(|line| line.label == label);
        if expected.is_some() {
            return Some(index);
        }
        self.lines.iter().position(|line| line.label == label)
    }

    fn add(&mut self, label: &str, allowance: &mut Allowance) -> Option<usize> {
        if !allowance.take() {
            return None;
        }
        self.layout += 1;
        self.lines.push(Column {
            label: label.to_owned(),
            values: self.time.iter().map(|_| f32::NAN).collect(),
            last_value_at: self.time.back().copied().unwrap_or(0),
        });
        Some(self.lines.len() - 1)
    }

    fn cut_from(&mut self, time: u64) {
        let keep = self.time.partition_point(|&earlier| earlier < time);
        if keep < self.time.len() {
            self.layout += 1;
            self.time.truncate(keep);
            self.lines
                .iter_mut()
                .for_each(|line| line.values.truncate(keep));
        }
    }

    /// Forgets rows older than the window before `now`, and lines that have no value in it.
    fn trim(&mut self, now: u64, allowance: &mut Allowance) {
        let horizon = now.saturating_sub(WINDOW_MS);
        let old = self.time.partition_point(|&time| time < horizon);
        let old = old.max(self.time.len().saturating_sub(MAX_ROWS));
        if old > 0 {
            self.time.drain(..old);
            self.lines
                .iter_mut()
                .for_each(|line| drop(line.values.drain(..old)));
            self.first_row += old as u64;
        }
        let before = self.lines.len();
        self.lines.retain(|line| line.last_value_at >= horizon);
        if self.lines.len() < before {
            self.layout += 1;
            allowance.give_back(before - self.lines.len());
        }
    }

    /// The rows since `from`.
    pub(super) fn read(&self, from: u64) -> (Vec<u64>, Vec<Line>) {
        let skip = self.time.partition_point(|&time| time < from);
        let times = self.time.range(skip..).copied().collect();
        let lines = self.lines.iter().map(|line| Line {
            label: line.label.clone(),
            values: line.values.range(skip..).copied().collect(),
        });
        (times, lines.collect())
    }

    pub(super) fn end(&self) -> Position {
        Position {
            layout: self.layout,
            next_row: self.first_row + self.time.len() as u64,
        }
    }

    /// What came after `position`; `None` if the lines are others now.
    pub(super) fn since(&self, position: Position, id: &'static str) -> Option<ChartPoints> {
        let end = self.end();
        if position.layout != end.layout || position.next_row > end.next_row {
            return None;
        }
        let skip = position.next_row.saturating_sub(self.first_row);
        let skip = usize::try_from(skip).unwrap_or(self.time.len());
        let values = |line: &Column| line.values.range(skip..).copied().collect();
        Some(ChartPoints {
            id,
            time: self.time.range(skip..).copied().collect(),
            values: self.lines.iter().map(values).collect(),
        })
    }
}

impl Column {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "charts need no more digits"
    )]
    fn set_last(&mut self, time: u64, value: f64) {
        if let Some(last) = self.values.back_mut() {
            *last = value as f32;
            self.last_value_at = time;
        }
    }
}
