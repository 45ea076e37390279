use super::*;
use crate::fs::Disk;

fn files(most: usize) -> (tempfile::TempDir, OpenFiles) {
    let dir = tempfile::tempdir().unwrap();
    (dir, OpenFiles::new(Arc::new(Disk), most))
}

fn create(dir: &tempfile::TempDir, files: &OpenFiles, name: &str) -> Arc<LogFile> {
    let path = dir.path().join(name).into_boxed_path();
    LogFile::create(files, path, FailStop::default()).unwrap()
}

fn is_open(file: &LogFile) -> bool {
    file.file.read().unwrap().is_some()
}

#[test]
fn no_more_files_stay_open_than_allowed_and_each_opens_again_on_use() {
    let (dir, files) = files(2);
    let all: Vec<_> = ["a", "b", "c", "d"]
        .map(|name| create(&dir, &files, name))
        .into();
    assert_eq!(all.iter().filter(|file| is_open(file)).count(), 2);
    for file in &all {
        file.get(&files).unwrap().write_all_at(b"1", 0).unwrap();
    }
    assert!(all.iter().filter(|file| is_open(file)).count() <= 2);
}

#[test]
fn a_file_with_unsynced_writes_is_never_closed() {
    let (dir, files) = files(1);
    let kept = create(&dir, &files, "kept");
    assert!(kept.mark_unsynced(7));
    let others: Vec<_> = ["a", "b", "c"]
        .map(|name| create(&dir, &files, name))
        .into();
    assert!(is_open(&kept));
    kept.clear_unsynced(6);
    assert!(kept.is_unsynced(), "it waits for another reason");
    kept.clear_unsynced(7);
    kept.used.store(false, Ordering::Relaxed);
    others[0].get(&files).unwrap();
    create(&dir, &files, "d");
    assert!(!is_open(&kept));
}

#[test]
fn a_removed_file_leaves_the_ring() {
    let (dir, files) = files(1);
    for name in ["a", "b", "c"] {
        drop(create(&dir, &files, name));
    }
    assert!(files.ring.lock().unwrap().len() <= 1);
}
