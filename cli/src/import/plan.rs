//! What an import will do: which file goes where, and how much is in it. Made by reading everything once,
//! so that nothing is written before all of it is known to be good.

use super::find::{Found, FoundFile};
use super::format::Format;
use super::source::{BadLine, Lane, LaneReader, Next, SourceFile};
use super::{BadLines, Options};
use crate::failure::Failure;
use crate::output::{Output, note};
use crate::table::{Align, human_bytes, render};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use weir_types::limits::MAX_PARTITIONS;
use weir_types::{PartitionId, TopicName};

/// Bad lines that are told one by one.
const TOLD_BAD_LINES: usize = 20;

/// A lane and what was found in it.
#[derive(Debug)]
pub(super) struct PlannedLane {
    pub(super) lane: Lane,
    pub(super) messages: u64,
    pub(super) bad: u64,
    pub(super) length_bytes: u64,
    /// Of the records that it becomes.
    pub(super) stored_bytes: u64,
}

/// Everything that is to be imported.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Those with messages, in order of topic and partition.
    pub(super) lanes: Vec<PlannedLane>,
    /// Partitions that each topic needs, for when it has to be created.
    pub(super) partitions: BTreeMap<TopicName, u32>,
    left_out: Vec<PathBuf>,
    empty_lanes: usize,
    bad_lines: Vec<BadLine>,
}

impl Plan {
    /// Assigns files to topics, and reads all of them.
    pub(super) fn make(found: Found, options: &Options) -> Result<Self, Failure> {
        let mut plan = Self {
            left_out: found.left_out,
            ..Self::default()
        };
        for (topic, files) in Names::new(options).assign(found.files)? {
            let partitions = partitions_of(&topic, &files, options)?;
            plan.partitions.insert(topic.clone(), partitions);
            for lane in lanes(&topic, files)? {
                plan.read(lane, options.max_payload_bytes)?;
            }
        }
        let filled: BTreeSet<_> = plan.topics().cloned().collect();
        plan.partitions.retain(|topic, _| filled.contains(topic));
        Ok(plan)
    }

    /// The topics that get messages, each once.
    pub(super) fn topics(&self) -> impl Iterator<Item = &TopicName> {
        let mut last = None;
        let topics = self.lanes.iter().map(|planned| &planned.lane.topic);
        topics.filter(move |topic| last.replace(*topic) != Some(*topic))
    }

    /// The lanes of a topic.
    pub(super) fn lanes_of(&self, topic: &TopicName) -> impl Iterator<Item = &PlannedLane> {
        self.lanes.iter().filter(move |p| p.lane.topic == *topic)
    }

    fn read(&mut self, lane: Lane, max_payload_bytes: usize) -> Result<(), Failure> {
        let (mut messages, mut bad, mut stored_bytes) = (0, 0, 0);
        let mut reader = LaneReader::new(&lane, max_payload_bytes);
        while let Some(next) = reader.next()? {
            match next {
                Next::Message(message) => {
                    messages += 1;
                    stored_bytes += message.stored_bytes();
                }
                Next::Bad(line) => {
                    bad += 1;
                    if self.bad_lines.len() < TOLD_BAD_LINES {
                        self.bad_lines.push(line);
                    }
                }
            }
        }
        if messages == 0 && bad == 0 {
            self.empty_lanes += 1;
            return Ok(());
        }
        self.lanes.push(PlannedLane {
            length_bytes: lane.files.iter().map(SourceFile::length_bytes).sum(),
            lane,
            messages,
            bad,
            stored_bytes,
        });
        Ok(())
    }

    /// Prints the plan, and tells on standard error what will not be imported.
    pub(super) fn show(&self, output: Output) -> Result<(), Failure> {
        let lanes: Vec<_> = self.lanes.iter().map(PlannedLane::json).collect();
        output.show(&json!({"plan": lanes}), || {
            let columns = [
                ("FILE", Align::Left),
                ("SIZE", Align::Right),
                ("MESSAGES", Align::Right),
                ("BAD LINES", Align::Right),
                ("TOPIC", Align::Left),
                ("PARTITION", Align::Right),
            ];
            let rows: Vec<_> = self.lanes.iter().map(PlannedLane::row).collect();
            render(&columns, &rows)
        })?;
        for path in &self.left_out {
            note(&format!(
                "left out: {} is none of its files",
                path.display()
            ));
        }
        if self.empty_lanes > 0 {
            note(&format!("left out: {} without messages", self.empty_lanes));
        }
        self.bad_lines
            .iter()
            .for_each(|line| note(&line.to_string()));
        Ok(())
    }

    /// Ends the import if lines are bad, unless they are to be passed over.
    pub(super) fn refuse_bad_lines(&self, bad_lines: BadLines) -> Result<(), Failure> {
        let bad: u64 = self.lanes.iter().map(|planned| planned.bad).sum();
        if bad == 0 {
            return Ok(());
        }
        let untold = bad.saturating_sub(TOLD_BAD_LINES as u64);
        if untold > 0 {
            note(&format!("and {untold} more bad lines"));
        }
        match bad_lines {
            BadLines::Skip => Ok(()),
            BadLines::Stop => Err(Failure::Input(format!(
                "{bad} lines are no messages, nothing was imported; --on-bad-line skip imports the others"
            ))),
        }
    }
}

impl PlannedLane {
    /// Its file, or the folder of its files.
    fn file(&self) -> String {
        match &*self.lane.files {
            [file] => file.found.path.display().to_string(),
            files => {
                let folder = files.first().and_then(|file| file.found.path.parent());
                let folder = folder.unwrap_or_else(|| "".as_ref()).display();
                format!("{folder}: {} files", files.len())
            }
        }
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.file(),
            human_bytes(self.length_bytes),
            self.messages.to_string(),
            self.bad.to_string(),
            self.lane.topic.to_string(),
            self.lane.partition.to_string(),
        ]
    }

    fn json(&self) -> Value {
        let files = self.lane.files.iter();
        let files: Vec<_> = files.map(|f| f.found.path.to_string_lossy()).collect();
        json!({
            "files": files,
            "bytes": self.length_bytes,
            "messages": self.messages,
            "bad_lines": self.bad,
            "topic": self.lane.topic,
            "partition": self.lane.partition,
        })
    }
}

/// Which topic a file goes to, and what is wrong with that.
struct Names<'a> {
    options: &'a Options,
    /// Old names that no topic can have.
    refused: BTreeSet<String>,
    problems: Vec<String>,
}

impl<'a> Names<'a> {
    const fn new(options: &'a Options) -> Self {
        Self {
            options,
            refused: BTreeSet::new(),
            problems: Vec::new(),
        }
    }

    /// The files of each topic, under its new name. All problems are told at once.
    fn assign(
        mut self,
        files: Vec<FoundFile>,
    ) -> Result<BTreeMap<TopicName, Vec<FoundFile>>, Failure> {
        let mut topics: BTreeMap<TopicName, Vec<FoundFile>> = BTreeMap::new();
        self.check_all_exist(&files);
        for file in files {
            let wanted = &self.options.topics;
            if !wanted.is_empty() && !wanted.contains(&file.old_topic) {
                continue;
            }
            let Some(topic) = self.new_name(&file) else {
                continue;
            };
            let others = topics.entry(topic.clone()).or_default();
            if let Some(other) = others.first().filter(|other| !is_together(other, &file)) {
                self.problems.push(format!(
                    "{} and {} would both go to the topic {topic}",
                    other.path.display(),
                    file.path.display()
                ));
            }
            others.push(file);
        }
        match self.problems.is_empty() {
            true => Ok(topics),
            false => Err(Failure::Input(self.problems.join("\n"))),
        }
    }

    fn new_name(&mut self, file: &FoundFile) -> Option<TopicName> {
        let old = &file.old_topic;
        let mut renamed = self.options.renames.iter();
        if let Some((_, new)) = renamed.find(|(from, _)| from == old) {
            return Some(new.clone());
        }
        match TopicName::parse(old) {
            Ok(topic) => Some(topic),
            Err(invalid) => {
                // Every partition of a topic has the same name.
                if self.refused.insert(old.clone()) {
                    self.problems.push(format!(
                        "{}: {invalid}; give it another name: --rename '{old}=NEW'",
                        file.path.display()
                    ));
                }
                None
            }
        }
    }

    /// What was named and is not there was misspelt.
    fn check_all_exist(&mut self, files: &[FoundFile]) {
        let renamed = self.options.renames.iter().map(|(old, _)| old);
        for name in self.options.topics.iter().chain(renamed) {
            if !files.iter().any(|file| file.old_topic == *name) {
                self.problems
                    .push(format!("there is no file of a topic {name:?}"));
            }
        }
    }
}

/// Whether two files belong to one topic of the old broker.
fn is_together(one: &FoundFile, other: &FoundFile) -> bool {
    let are_letters = |file: &FoundFile| file.format == Format::Letters;
    // Two names that are not UTF-8 may look the same.
    one.old_topic == other.old_topic
        && are_letters(one) == are_letters(other)
        && (are_letters(one) || one.partition != other.partition)
}

fn partitions_of(
    topic: &TopicName,
    files: &[FoundFile],
    options: &Options,
) -> Result<u32, Failure> {
    let highest = files.iter().map(|file| file.partition).max().unwrap_or(0);
    let had = files
        .first()
        .and_then(|f| options.partitions.get(&f.old_topic));
    let partitions = (highest.saturating_add(1)).max(had.copied().unwrap_or(1));
    match partitions <= MAX_PARTITIONS {
        true => Ok(partitions),
        false => Err(Failure::Input(format!(
            "{topic} would have {partitions} partitions; at most {MAX_PARTITIONS} are possible"
        ))),
    }
}

/// Files with one partition follow each other, in the order in which they were found.
fn lanes(topic: &TopicName, files: Vec<FoundFile>) -> Result<Vec<Lane>, Failure> {
    let mut lanes: BTreeMap<u32, Vec<SourceFile>> = BTreeMap::new();
    for file in files {
        let lane = lanes.entry(file.partition).or_default();
        lane.push(SourceFile::new(file)?);
    }
    let lanes = lanes.into_iter().map(|(partition, files)| Lane {
        topic: topic.clone(),
        partition: PartitionId(partition),
        files,
    });
    Ok(lanes.collect())
}
