//! The documented format, read without any code of the broker:
//! `<topic>/partition-<N>/<base offset, 20 digits>.log`, one JSON object a line, ended by
//! `,"crc":"xxxxxxxx"}`, where the CRC-32C covers every byte before.

use crate::{Found, Place};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::fs;
use std::path::{Path, PathBuf};
use weir_types::{MessageId, Offset, PartitionId, TopicName};

const CHECKSUM_BYTES: usize = r#","crc":"xxxxxxxx"}"#.len();

#[derive(Deserialize)]
struct Line {
    offset: Offset,
    #[expect(dead_code, reason = "it must be there")]
    timestamp: u64,
    id: MessageId,
    payload: Box<RawValue>,
}

/// Every record on the disk, partition by partition in the order of their lines. The broker must
/// have opened the directory since it was last killed: what an interrupted write leaves is no line.
///
/// # Panics
/// A line is not what the format says; names the file and the line.
#[must_use]
pub fn read_data_dir(data_dir: &Path) -> Vec<Found> {
    let mut found = Vec::new();
    for topic_dir in entries(data_dir) {
        if topic_dir.join("topic.json").exists() {
            let topic = TopicName::parse_derived(&name(&topic_dir)).expect("a topic's name");
            for partition_dir in entries(&topic_dir) {
                read_partition(&topic, &partition_dir, &mut found);
            }
        }
    }
    found
}

fn read_partition(topic: &TopicName, dir: &Path, found: &mut Vec<Found>) {
    let Some(partition) = name(dir).strip_prefix("partition-").map(str::to_owned) else {
        return;
    };
    let partition = PartitionId(partition.parse().expect("a partition's number"));
    for segment in entries(dir).filter(|path| path.extension().is_some_and(|e| e == "log")) {
        read_segment(topic, partition, &segment, found);
    }
}

fn read_segment(topic: &TopicName, partition: PartitionId, path: &Path, found: &mut Vec<Found>) {
    let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let base: u64 = name(path)[..20].parse().expect("a base offset");
    for (number, line) in (1..).zip(bytes.split_inclusive(|&b| b == b'\n')) {
        let line = read_line(line)
            .unwrap_or_else(|reason| panic!("{}, line {number}: {reason}", path.display()));
        assert!(line.offset.0 >= base, "{}, line {number}", path.display());
        found.push(Found {
            place: Place::new(topic, partition, line.offset),
            id: line.id,
            payload: line.payload.get().to_owned(),
        });
    }
}

fn read_line(line: &[u8]) -> Result<Line, String> {
    let line = line.strip_suffix(b"\n").ok_or("has no newline")?;
    let covered = line.len().checked_sub(CHECKSUM_BYTES).ok_or("is short")?;
    let (covered, checksum) = line.split_at(covered);
    let expected = format!(r#","crc":"{:08x}"}}"#, crc32c::crc32c(covered));
    if checksum != expected.as_bytes() {
        let checksum = String::from_utf8_lossy(checksum);
        return Err(format!("ends in {checksum}, not {expected}"));
    }
    serde_json::from_slice(line).map_err(|e| e.to_string())
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let listed = fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut paths: Vec<_> = listed
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths.into_iter()
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"offset":7,"timestamp":1,"id":"a","payload":{"x":1}"#;

    fn line(body: &str) -> String {
        format!(
            "{body},\"crc\":\"{:08x}\"}}\n",
            crc32c::crc32c(body.as_bytes())
        )
    }

    #[test]
    fn a_line_of_the_format_is_read() {
        let read = read_line(line(BODY).as_bytes()).ok().unwrap();
        assert_eq!((read.offset, read.payload.get()), (Offset(7), r#"{"x":1}"#));
    }

    #[test]
    fn a_line_that_is_not_of_the_format_is_refused() {
        let good = line(BODY);
        let no_json = line(&BODY.replace(r#"{"x":1}"#, "{x}"));
        for bad in [
            good.trim_end(),
            &good.replace(":7,", ":8,"),
            &no_json,
            "\n",
            "{}\n",
        ] {
            assert!(read_line(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn segments_are_read_in_order_and_strangers_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let partition = dir.path().join("t").join("partition-3");
        fs::create_dir_all(partition.join("groups")).unwrap();
        fs::create_dir(dir.path().join("lost+found")).unwrap();
        fs::write(dir.path().join("t").join("topic.json"), "{}").unwrap();
        let later = line(&BODY.replace(":7,", ":9,"));
        fs::write(partition.join("00000000000000000008.log"), later).unwrap();
        fs::write(partition.join("00000000000000000000.log"), line(BODY)).unwrap();
        let found = read_data_dir(dir.path());
        let places: Vec<_> = found.iter().map(|found| found.place.to_string()).collect();
        assert_eq!(places, ["t/3@7", "t/3@9"]);
    }
}
