//! What an import has done, and whether what arrived is what was sent.

use super::plan::PlannedLane;
use super::stored::Matched;
use super::transfer::Transferred;
use crate::failure::Failure;
use crate::output::{Output, note};
use crate::table::{Align, render};
use serde_json::{Value, json};
use std::time::Duration;
use weir_types::{PartitionId, TopicName};

/// One row a lane.
#[derive(Debug, Default)]
pub(super) struct Report<'a> {
    rows: Vec<Row<'a>>,
}

#[derive(Debug)]
struct Row<'a> {
    planned: &'a PlannedLane,
    done: Transferred,
    difference: Option<String>,
}

impl<'a> Report<'a> {
    pub(super) fn add(
        &mut self,
        planned: &'a PlannedLane,
        done: Transferred,
        difference: Option<String>,
    ) {
        self.rows.push(Row {
            planned,
            done,
            difference,
        });
    }

    /// What was found to be there of each of a topic's partitions.
    pub(super) fn verified(&self, topic: &TopicName) -> Vec<(PartitionId, Matched)> {
        let rows = self.rows.iter().filter(|r| r.planned.lane.topic == *topic);
        rows.map(|row| (row.planned.lane.partition, row.done.verified))
            .collect()
    }

    pub(super) fn show(&self, output: Output) -> Result<(), Failure> {
        let rows: Vec<_> = self.rows.iter().map(Row::json).collect();
        output.show(&json!({"imported": rows}), || {
            let columns = [
                ("TOPIC", Align::Left),
                ("PARTITION", Align::Right),
                ("IN FILES", Align::Right),
                ("THERE BEFORE", Align::Right),
                ("IMPORTED", Align::Right),
                ("VERIFIED", Align::Right),
            ];
            let rows: Vec<_> = self.rows.iter().map(Row::cells).collect();
            render(&columns, &rows)
        })?;
        self.tell_figures();
        Ok(())
    }

    fn tell_figures(&self) {
        let sum = |of: fn(&Transferred) -> u64| self.rows.iter().map(|r| of(&r.done)).sum();
        let time = |of: fn(&Transferred) -> Duration| self.rows.iter().map(|r| of(&r.done)).sum();
        let imported = figure(sum(|done| done.imported), time(|done| done.importing));
        let verified = figure(
            sum(|done| done.verified.messages),
            time(|done| done.verifying),
        );
        note(&format!("imported {imported}, verified {verified}"));
    }

    /// Fails if anything differs.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let differences = self.rows.iter().filter_map(|row| row.difference.as_deref());
        let differences: Vec<_> = differences.collect();
        match differences.is_empty() {
            true => Ok(()),
            false => Err(Failure::Failed(format!(
                "the broker does not hold what the files do:\n{}",
                differences.join("\n")
            ))),
        }
    }
}

/// So many messages in so much time.
fn figure(messages: u64, time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match messages {
        0 => "0 messages".to_owned(),
        _ => format!(
            "{messages} messages in {seconds:.1} s ({:.0} a second)",
            messages as f64 / seconds.max(0.001)
        ),
    }
}

impl Row<'_> {
    fn cells(&self) -> Vec<String> {
        let (lane, done) = (&self.planned.lane, &self.done);
        vec![
            lane.topic.to_string(),
            lane.partition.to_string(),
            self.planned.messages.to_string(),
            done.already.to_string(),
            done.imported.to_string(),
            done.verified.messages.to_string(),
        ]
    }

    fn json(&self) -> Value {
        let (lane, done) = (&self.planned.lane, &self.done);
        json!({
            "topic": lane.topic,
            "partition": lane.partition,
            "in_files": self.planned.messages,
            "there_before": done.already,
            "imported": done.imported,
            "verified": done.verified.messages,
            "difference": self.difference,
        })
    }
}
