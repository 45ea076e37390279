//! The messages of one partition, read from the old broker's files. Files are opened for reading only, and
//! each reading goes as far as the file was long when it was found: one that changes is told.

use super::find::FoundFile;
use super::format::Kept;
use super::lines::Lines;
use super::place::{CREATED_AT_HEADER, HEADER, Mark, Place};
use super::recent_ids::RecentIds;
use crate::failure::Failure;
use std::fmt;
use std::fs::{self, File};
use std::io::{BufReader, Read, Take};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use weir_types::{PartitionId, TopicName};

/// What a line has besides its payload, at most, to be looked at.
const LINE_OVERHEAD_BYTES: usize = 64 * 1024;
const READ_BYTES: usize = 256 * 1024;

/// What tells that a file was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    length_bytes: u64,
    modified: Option<SystemTime>,
    inode: u64,
}

impl Stamp {
    fn of(path: &Path) -> Result<Self, Failure> {
        let metadata = fs::metadata(path).map_err(|e| super::cannot_read(path, &e))?;
        Ok(Self {
            length_bytes: metadata.len(),
            modified: metadata.modified().ok(),
            inode: metadata.ino(),
        })
    }
}

/// A file as it was when it was found.
#[derive(Clone, Debug)]
pub(super) struct SourceFile {
    pub(super) found: FoundFile,
    stamp: Stamp,
}

impl SourceFile {
    pub(super) fn new(found: FoundFile) -> Result<Self, Failure> {
        let stamp = Stamp::of(&found.path)?;
        Ok(Self { found, stamp })
    }

    pub(super) const fn length_bytes(&self) -> u64 {
        self.stamp.length_bytes
    }

    /// Fails if the file is not what it was.
    fn check_unchanged(&self) -> Result<(), Failure> {
        let (path, was) = (&self.found.path, self.stamp);
        let now = Stamp::of(path)?;
        if now == was {
            return Ok(());
        }
        let (was, now) = (was.length_bytes, now.length_bytes);
        Err(Failure::Failed(format!(
            "{} changed while it was read: it had {was} bytes, now {now}. Does the old broker still \
             run? Stop it, then run this again",
            path.display()
        )))
    }
}

/// Files whose messages go into one partition, one file after the other.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    pub(super) topic: TopicName,
    pub(super) partition: PartitionId,
    pub(super) files: Vec<SourceFile>,
}

/// A message with its place.
#[derive(Debug)]
pub(super) struct SourceMessage {
    pub(super) place: Place,
    pub(super) mark: Mark,
    pub(super) kept: Kept,
}

/// Of a stored record: the fixed parts, and the names of all members.
const RECORD_BYTES: u64 = 160;

impl SourceMessage {
    /// Its headers in the broker.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let place = self.mark.header.as_deref();
        let time = self.kept.created_at.as_deref();
        let place = place.map(|place| (HEADER, place));
        place
            .into_iter()
            .chain(time.map(|time| (CREATED_AT_HEADER, time)))
    }

    /// What the broker needs to keep it, or a little less.
    pub(super) fn stored_bytes(&self) -> u64 {
        let kept = &self.kept;
        let key = kept.key.as_ref().map_or(0, |key| key.as_str().len());
        let reply_to = kept.reply_to.as_ref().map_or(0, |to| to.as_str().len());
        let headers: usize = self.headers().map(|(_, value)| value.len()).sum();
        let id = self.mark.id.as_str().len();
        let variable = kept.payload.as_bytes().len() + id + key + reply_to + headers;
        RECORD_BYTES + variable as u64
    }
}

/// A line that is no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadLine {
    path: PathBuf,
    line: u64,
    position: u64,
    length_bytes: u64,
    reason: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            position,
            length_bytes,
            reason,
            ..
        } = self;
        let path = self.path.display();
        write!(
            f,
            "{path}: line {line}, {length_bytes} bytes from byte {position} on: {reason}"
        )
    }
}

/// What comes next in a lane.
#[derive(Debug)]
pub(super) enum Next {
    Message(SourceMessage),
    Bad(BadLine),
}

/// Reads a lane from its beginning. Two readers find the same messages under the same ids.
#[derive(Debug)]
pub(super) struct LaneReader<'a> {
    files: std::slice::Iter<'a, SourceFile>,
    open: Option<OpenFile<'a>>,
    recent_ids: RecentIds,
    max_payload_bytes: usize,
}

#[derive(Debug)]
struct OpenFile<'a> {
    source: &'a SourceFile,
    lines: Lines<BufReader<Take<File>>>,
}

impl<'a> LaneReader<'a> {
    pub(super) fn new(lane: &'a Lane, max_payload_bytes: usize) -> Self {
        Self {
            files: lane.files.iter(),
            open: None,
            recent_ids: RecentIds::default(),
            max_payload_bytes,
        }
    }

    /// The next message; lines that are none are passed over.
    pub(super) fn next_message(&mut self) -> Result<Option<SourceMessage>, Failure> {
        loop {
            match self.next()? {
                None => return Ok(None),
                Some(Next::Message(message)) => return Ok(Some(message)),
                Some(Next::Bad(_)) => {}
            }
        }
    }

    /// The next message or bad line; `None` behind the last file.
    pub(super) fn next(&mut self) -> Result<Option<Next>, Failure> {
        loop {
            if self.open.is_none() {
                let Some(source) = self.files.next() else {
                    return Ok(None);
                };
                self.open = Some(OpenFile::open(source, self.max_payload_bytes)?);
            }
            let Some(open) = &mut self.open else {
                continue;
            };
            match open.next(self.max_payload_bytes, &mut self.recent_ids)? {
                Some(next) => return Ok(Some(next)),
                None => self.open = None,
            }
        }
    }
}

impl<'a> OpenFile<'a> {
    fn open(source: &'a SourceFile, max_payload_bytes: usize) -> Result<Self, Failure> {
        let path = &source.found.path;
        let file = File::open(path).map_err(|e| super::cannot_read(path, &e))?;
        source.check_unchanged()?;
        let input = BufReader::with_capacity(READ_BYTES, file.take(source.length_bytes()));
        let lines = Lines::new(input, max_payload_bytes + LINE_OVERHEAD_BYTES);
        Ok(Self { source, lines })
    }

    fn next(
        &mut self,
        max_payload_bytes: usize,
        recent_ids: &mut RecentIds,
    ) -> Result<Option<Next>, Failure> {
        let FoundFile { path, format, .. } = &self.source.found;
        loop {
            let read = self
                .lines
                .next()
                .map_err(|e| super::cannot_read(path, &e))?;
            let Some(line) = read else {
                self.source.check_unchanged()?;
                return Ok(None);
            };
            let kept = match line.text {
                Some(text) => format.read(text, line.is_terminated, max_payload_bytes),
                None => Err(format!(
                    "longer than any message of {max_payload_bytes} bytes"
                )),
            };
            let place = Place {
                label: Arc::clone(&self.source.found.label),
                position: line.position,
            };
            let message = match kept {
                Ok(None) => continue,
                Ok(Some(kept)) => with_place(place, kept, recent_ids),
                Err(reason) => Err(reason),
            };
            return Ok(Some(message.map_or_else(
                |reason| {
                    Next::Bad(BadLine {
                        path: path.clone(),
                        line: line.number,
                        position: line.position,
                        length_bytes: line.length_bytes,
                        reason,
                    })
                },
                Next::Message,
            )));
        }
    }
}

/// A second message of one id would be taken for a repetition of the first: it gets another id.
fn with_place(
    place: Place,
    mut kept: Kept,
    recent_ids: &mut RecentIds,
) -> Result<SourceMessage, String> {
    let own_id = kept.id.take();
    let own_id = own_id.filter(|id| recent_ids.is_new(id.as_str()));
    let mark = place.mark(own_id);
    let mark = mark.ok_or("no message id can be made of its place")?;
    Ok(SourceMessage { place, mark, kept })
}

#[cfg(test)]
mod tests {
    use super::super::format::Format;
    use super::*;
    use std::io::Write;

    fn lane(directory: &Path, files: &[(&str, Format, &[u8])]) -> Lane {
        let files = files.iter().map(|(name, format, content)| {
            let path = directory.join(name);
            fs::write(&path, content).unwrap();
            let found = FoundFile {
                path,
                label: format!("test/{name}").into(),
                old_topic: "t".into(),
                partition: 0,
                format: *format,
            };
            SourceFile::new(found).unwrap()
        });
        Lane {
            topic: TopicName::parse("t").unwrap(),
            partition: PartitionId(0),
            files: files.collect(),
        }
    }

    /// Id and payload of each message, and bad lines.
    fn read(lane: &Lane) -> Vec<Result<(String, String), String>> {
        let mut reader = LaneReader::new(lane, 100);
        let mut found = Vec::new();
        while let Some(next) = reader.next().unwrap() {
            found.push(match next {
                Next::Bad(bad) => Err(bad.to_string()),
                Next::Message(message) => {
                    let payload = message.kept.payload.as_bytes().to_vec();
                    let id = message.mark.id.as_str().to_owned();
                    Ok((id, String::from_utf8(payload).unwrap()))
                }
            });
        }
        found
    }

    fn message(id: &str, payload: &str) -> Result<(String, String), String> {
        Ok((id.to_owned(), payload.to_owned()))
    }

    #[test]
    fn files_are_read_one_after_the_other_and_bad_lines_told() {
        let directory = tempfile::TempDir::new().unwrap();
        let files: [(&str, Format, &[u8]); 2] = [
            ("a.jsonl", Format::Letters, b"{\"n\":1}\n\noops\n"),
            ("b.jsonl", Format::Letters, b"{\"n\":2}\n"),
        ];
        let lane = lane(directory.path(), &files);
        let bad = format!(
            "{}: line 3, 4 bytes from byte 9 on: not a JSON object",
            directory.path().join("a.jsonl").display()
        );
        let expected = [
            message("import:test/a.jsonl@0", "{\"n\":1}"),
            Err(bad),
            message("import:test/b.jsonl@0", "{\"n\":2}"),
        ];
        assert_eq!(read(&lane), expected);
    }

    #[test]
    fn a_repeated_id_is_replaced_so_that_no_message_is_lost() {
        let directory = tempfile::TempDir::new().unwrap();
        let content = b"{\"id\":\"a\",\"payload\":1}\n{\"id\":\"a\",\"payload\":2}\n";
        let lane = lane(directory.path(), &[("t.jsonl", Format::Queue, content)]);
        let expected = [message("a", "1"), message("import:test/t.jsonl@23", "2")];
        assert_eq!(read(&lane), expected);
        assert_eq!(read(&lane), expected);
    }

    #[test]
    fn an_endless_line_is_bad_and_the_next_one_is_read() {
        let directory = tempfile::TempDir::new().unwrap();
        let mut content = vec![b'x'; LINE_OVERHEAD_BYTES + 101];
        content.extend_from_slice(b"\nshort\n");
        let lane = lane(directory.path(), &[("t.log", Format::Text, &content)]);
        let found = read(&lane);
        assert!(found[0].as_ref().unwrap_err().contains("longer than any"));
        assert_eq!(found[1], message("import:test/t.log@65638", "\"short\""));
    }

    #[test]
    fn a_file_that_grows_is_told() {
        let directory = tempfile::TempDir::new().unwrap();
        let lane = lane(directory.path(), &[("t.log", Format::Text, b"one\n")]);
        let mut reader = LaneReader::new(&lane, 100);
        assert!(matches!(reader.next(), Ok(Some(Next::Message(_)))));
        let path = &lane.files[0].found.path;
        let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(b"two\n").unwrap();
        let told = reader.next().unwrap_err().to_string();
        assert!(told.contains("it had 4 bytes, now 8."), "{told}");
        let told = LaneReader::new(&lane, 100).next().unwrap_err();
        assert!(told.to_string().contains("changed while it was read"));
    }
}
