//! Finds the files that an old broker left in its directory. Looks, and touches nothing.

use super::Dialect;
use super::format::Format;
use crate::failure::Failure;
use std::ffi::OsStr;
use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Topic of the letters that services reported, as Weir has it.
pub(super) const LETTERS_TOPIC: &str = "deadletter";
const LETTERS_FOLDER: &str = "dead_letters";

/// A file of an old broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundFile {
    pub(super) path: PathBuf,
    /// Dialect, and path in the directory.
    pub(super) label: Arc<str>,
    /// The name that the topic had.
    pub(super) old_topic: String,
    pub(super) partition: u32,
    pub(super) format: Format,
}

/// What a directory holds.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) files: Vec<FoundFile>,
    /// What no file of this broker is called.
    pub(super) left_out: Vec<PathBuf>,
}

/// Lists the files that `dialect`'s broker has written into `directory`, in order of name.
pub(super) fn find(dialect: Dialect, directory: &Path) -> Result<Found, Failure> {
    let mut found = Found::default();
    match dialect {
        Dialect::Minimq => topics_in(directory, "log", &mut found, |_| Format::Text)?,
        Dialect::PublishConsume => find_queues(directory, &mut found)?,
        Dialect::Partitioned => find_partitions(directory, &mut found)?,
    }
    for file in &mut found.files {
        file.label = label(dialect, directory, &file.path);
    }
    match found.files.is_empty() {
        true => Err(nothing_in(dialect, directory)),
        false => Ok(found),
    }
}

fn nothing_in(dialect: Dialect, directory: &Path) -> Failure {
    let (files, usual) = match dialect {
        Dialect::Minimq => ("<topic>.log", "`data`"),
        Dialect::PublishConsume => (
            "<topic>.jsonl",
            "`broker_data`, or what BROKER_DATA_DIR said",
        ),
        Dialect::Partitioned => ("<topic>/partition-N.log", "`data`"),
    };
    Failure::Input(format!(
        "there is no {files} in {}; the directory was called {usual}",
        directory.display()
    ))
}

fn label(dialect: Dialect, directory: &Path, path: &Path) -> Arc<str> {
    let inside = path.strip_prefix(directory).unwrap_or(path);
    format!("{}/{}", dialect.name(), inside.to_string_lossy()).into()
}

/// Takes the files `<topic>.<extension>`; the rest is left out.
fn topics_in(
    directory: &Path,
    extension: &str,
    found: &mut Found,
    format: impl Fn(&str) -> Format,
) -> Result<(), Failure> {
    for entry in entries(directory)? {
        let path = entry.path();
        if path.extension() != Some(OsStr::new(extension)) || !path.is_file() {
            found.left_out.push(path);
            continue;
        }
        let old_topic = path.file_stem().unwrap_or_default().to_string_lossy();
        found.files.push(FoundFile {
            format: format(&old_topic),
            old_topic: old_topic.into_owned(),
            partition: 0,
            label: Arc::default(),
            path,
        });
    }
    Ok(())
}

fn find_queues(directory: &Path, found: &mut Found) -> Result<(), Failure> {
    topics_in(directory, "jsonl", found, |_| Format::Queue)?;
    let letters = directory.join(LETTERS_FOLDER);
    if !letters.is_dir() {
        return Ok(());
    }
    found.left_out.retain(|path| *path != letters);
    let queues = found.files.len();
    topics_in(&letters, "jsonl", found, |_| Format::Letters)?;
    for file in &mut found.files[queues..] {
        LETTERS_TOPIC.clone_into(&mut file.old_topic);
    }
    Ok(())
}

fn find_partitions(directory: &Path, found: &mut Found) -> Result<(), Failure> {
    for topic in entries(directory)? {
        if !topic.path().is_dir() {
            found.left_out.push(topic.path());
            continue;
        }
        let begin = found.files.len();
        for entry in entries(&topic.path())? {
            let path = entry.path();
            let Some(partition) = partition_of(&path).filter(|_| path.is_file()) else {
                found.left_out.push(path);
                continue;
            };
            found.files.push(FoundFile {
                path,
                label: Arc::default(),
                old_topic: topic.file_name().to_string_lossy().into_owned(),
                partition,
                format: Format::Partition(partition),
            });
        }
        found.files[begin..].sort_by_key(|file| file.partition);
    }
    Ok(())
}

/// The number in `partition-N.log`, as its broker writes it.
fn partition_of(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?;
    let number = name.strip_prefix("partition-")?.strip_suffix(".log")?;
    let partition: u32 = number.parse().ok()?;
    (partition.to_string() == number).then_some(partition)
}

/// In order of name: two runs must find the same.
fn entries(directory: &Path) -> Result<Vec<DirEntry>, Failure> {
    let cannot_read = |e: std::io::Error| super::cannot_read(directory, &e);
    let entries = fs::read_dir(directory).map_err(cannot_read)?;
    let mut entries = entries
        .collect::<Result<Vec<_>, _>>()
        .map_err(cannot_read)?;
    entries.sort_by_key(DirEntry::file_name);
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(files: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::TempDir::new().unwrap();
        for file in files {
            let path = directory.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        directory
    }

    /// Label, old topic and partition of each file; names of what is left out.
    fn found(dialect: Dialect, files: &[&str]) -> (Vec<(String, String, u32)>, Vec<String>) {
        let directory = directory(files);
        let found = find(dialect, directory.path()).unwrap();
        let files = found.files.into_iter();
        let files = files.map(|f| (f.label.to_string(), f.old_topic, f.partition));
        let left_out = found.left_out.iter().map(|path| {
            let inside = path.strip_prefix(directory.path()).unwrap();
            inside.to_string_lossy().into_owned()
        });
        (files.collect(), left_out.collect())
    }

    fn file(label: &str, topic: &str, partition: u32) -> (String, String, u32) {
        (label.into(), topic.into(), partition)
    }

    #[test]
    fn each_topic_of_minimq_has_a_log() {
        let (files, left_out) = found(
            Dialect::Minimq,
            &["b.log", "a.b.log", "notes.txt", "c/d.log"],
        );
        let expected = [
            file("minimq/a.b.log", "a.b", 0),
            file("minimq/b.log", "b", 0),
        ];
        assert_eq!(files, expected);
        assert_eq!(left_out, ["c", "notes.txt"]);
    }

    #[test]
    fn queues_and_letters_lie_beside_each_other() {
        let names = ["orders.jsonl", "dead_letters/orders.jsonl", "x.tmp"];
        let (files, left_out) = found(Dialect::PublishConsume, &names);
        let expected = [
            file("publish-consume/orders.jsonl", "orders", 0),
            file("publish-consume/dead_letters/orders.jsonl", "deadletter", 0),
        ];
        assert_eq!(files, expected);
        assert_eq!(left_out, ["x.tmp"]);
    }

    #[test]
    fn partitions_come_in_order_of_their_numbers() {
        let names = [
            "events/partition-10.log",
            "events/partition-2.log",
            "events/partition-02.log",
            "lonely.log",
        ];
        let (files, left_out) = found(Dialect::Partitioned, &names);
        let expected = [
            file("partitioned/events/partition-2.log", "events", 2),
            file("partitioned/events/partition-10.log", "events", 10),
        ];
        assert_eq!(files, expected);
        assert_eq!(left_out, ["events/partition-02.log", "lonely.log"]);
    }

    #[test]
    fn a_directory_of_something_else_is_refused() {
        let directory = directory(&["notes.txt"]);
        let refused = find(Dialect::Minimq, directory.path()).unwrap_err();
        assert!(refused.to_string().contains("there is no <topic>.log in"));
        let missing = find(Dialect::Minimq, &directory.path().join("x")).unwrap_err();
        assert!(missing.to_string().starts_with("cannot read"), "{missing}");
    }
}
