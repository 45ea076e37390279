//! Every byte of every kind of file flipped, dropped and inserted once.

use crate::rig::{ALL, Rig, contents, finished, settings, topic};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use weir_commitlog::faulty::FaultyDisk;
use weir_commitlog::{Finding, FindingKind, GapReason, PartitionReader};
use weir_types::Offset;

/// `content` with one byte changed: what was done, where, and the result.
pub(crate) fn damages(content: &[u8]) -> impl Iterator<Item = (&'static str, usize, Vec<u8>)> + '_ {
    let flipped = (0..content.len()).map(move |at| {
        let mut changed = content.to_vec();
        changed[at] ^= 1 << (at % 8);
        ("flip", at, changed)
    });
    let dropped = (0..content.len()).map(move |at| {
        let mut changed = content.to_vec();
        changed.remove(at);
        ("drop", at, changed)
    });
    let inserted = (0..=content.len()).map(move |at| {
        let mut changed = content.to_vec();
        changed.insert(at, b"\n0}\0\xff"[at % 5]);
        ("insert", at, changed)
    });
    flipped.chain(dropped).chain(inserted)
}

/// Two partitions; the first with a sealed segment of four records, and two more in the last one.
fn written() -> Rig {
    let mut rig = Rig::with(settings(2, 1 << 20));
    for number in 0..4 {
        rig.append(&[&format!("{{\"number\":{number}}}")]);
    }
    rig.alter_topic(&topic("t"), settings(2, 10)).unwrap();
    rig.append(&["4"]);
    rig.alter_topic(&topic("t"), settings(2, 1 << 20)).unwrap();
    rig.append(&["5"]);
    rig.try_append(1, &["\"other\"", "\"another\""]).unwrap();
    let journal = rig.new_group("g")[0];
    rig.journal(journal, finished(0, 2));
    rig.journal(journal, finished(3, 4));
    rig
}

fn sealed() -> PathBuf {
    "data/t/partition-0/00000000000000000000.log".into()
}

fn active() -> PathBuf {
    "data/t/partition-0/00000000000000000004.log".into()
}

fn is_whole(rig: &Rig) -> bool {
    rig.contents(0).len() == 6 && rig.contents(1).len() == 2 && progress(rig) == [true; 3]
}

/// What of offsets 0, 1 and 3 is finished; 2 never is.
fn progress(rig: &Rig) -> [bool; 3] {
    let progress = rig.progress("g").remove(0);
    assert!(!progress.is_finished(Offset(2)) && !progress.is_finished(Offset(4)));
    [0, 1, 3].map(|offset| progress.is_finished(Offset(offset)))
}

/// Gaps name exactly what is missing, as damaged, and reading goes on behind them.
fn check_gaps(reader: &PartitionReader, original: &[(u64, String)], what: &str) -> BTreeSet<u64> {
    let batch = reader.read(Offset::ZERO, ALL).unwrap();
    let served = contents(reader);
    assert!(
        served.iter().all(|record| original.contains(record)),
        "{what}: served what was never written"
    );
    let all: BTreeSet<u64> = original.iter().map(|(offset, _)| *offset).collect();
    let there: BTreeSet<u64> = served.iter().map(|(offset, _)| *offset).collect();
    let missing: BTreeSet<u64> = all.difference(&there).copied().collect();
    let gaps = batch.gaps.iter();
    let named = gaps.flat_map(|gap| gap.range.start.0..gap.range.end.0);
    let named: BTreeSet<u64> = named.filter(|offset| all.contains(offset)).collect();
    assert_eq!(named, missing, "{what}: {:?}", batch.gaps);
    for gap in &batch.gaps {
        assert_eq!(gap.reason, GapReason::Damaged, "{what}: {:?}", batch.gaps);
    }
    assert_eq!(batch.next_offset, reader.high_watermark(), "{what}");
    // Nobody is stuck anywhere: a reader that takes one record at a time gets to the same end.
    let (mut at, mut found) = (Offset::ZERO, 0);
    while at < reader.high_watermark() {
        let limits = weir_commitlog::ReadLimits {
            max_records: 1,
            max_bytes: 1,
        };
        let one = reader.read(at, limits).unwrap();
        assert!(one.next_offset > at, "{what}: stuck at {at}");
        (at, found) = (one.next_offset, found + one.lines.len());
    }
    assert_eq!(found, served.len(), "{what}");
    missing
}

/// The records whose bytes lie at `at`: two where a newline is hit.
fn at_risk(content: &[u8], first: u64, at: usize) -> BTreeSet<u64> {
    let line = first + content[..at].iter().filter(|&&b| b == b'\n').count() as u64;
    let next = content.get(at) == Some(&b'\n');
    (line..=line + u64::from(next)).collect()
}

fn each_damage_of_a_segment(path: &Path, first: u64, found: impl Fn(&Rig) -> FaultyDisk) {
    let rig = written();
    let original = rig.contents(0);
    let content = rig.disk.content(path).unwrap();
    let disk = found(&rig);
    for (what, at, changed) in damages(&content) {
        let what = format!("{what} {at}");
        let disk = disk.kill();
        disk.set_content(path, &changed).unwrap();
        let mut damaged = Rig::on(disk);
        let missing = check_gaps(&damaged.reader(0), &original, &what);
        let risk = at_risk(&content, first, at);
        assert!(missing.is_subset(&risk), "{what}: lost {missing:?}");
        assert_eq!(damaged.contents(1).len(), 2, "{what}");
        let next = damaged.append(&["\"new\""]).first_offset.0;
        assert!(next >= 6, "{what}: {next} is given again");
    }
}

#[test]
fn a_damaged_byte_of_the_last_segment_without_the_commit_log() {
    each_damage_of_a_segment(&active(), 4, Rig::killed_without_commit_log);
}

#[test]
fn a_damaged_byte_of_a_sealed_segment_without_the_commit_log() {
    each_damage_of_a_segment(&sealed(), 0, Rig::killed_without_commit_log);
}

#[test]
fn a_damaged_byte_of_a_segment_after_a_clean_stop() {
    let closed = |_: &Rig| written().close();
    each_damage_of_a_segment(&sealed(), 0, closed);
    each_damage_of_a_segment(&active(), 4, closed);
}

#[test]
fn the_commit_log_mends_any_flipped_byte_of_a_segment_or_a_journal() {
    let rig = written();
    let journal = PathBuf::from("data/t/partition-0/groups/g.journal");
    for path in [sealed(), active(), journal] {
        let content = rig.disk.content(&path).unwrap();
        // The first line of a journal is written when the group is created, and synced there.
        let first = match path.extension().is_some_and(|e| e == "journal") {
            true => content.iter().position(|&b| b == b'\n').unwrap() + 1,
            false => 0,
        };
        for at in first..content.len() {
            let mut changed = content.clone();
            changed[at] ^= 1 << (at % 8);
            let disk = rig.disk.kill();
            disk.set_content(&path, &changed).unwrap();
            let mended = Rig::on(disk);
            assert!(is_whole(&mended), "{} at {at}", path.display());
            assert_eq!(mended.disk.content(&path).unwrap(), content);
        }
    }
}

#[test]
fn a_damaged_byte_of_a_journal_costs_redelivery_only() {
    let path = "data/t/partition-0/groups/g.journal";
    for disk in [written().killed_without_commit_log(), written().close()] {
        let content = disk.content(path).unwrap();
        for (what, at, changed) in damages(&content) {
            let disk = disk.kill();
            disk.set_content(path, &changed).unwrap();
            let mut damaged = Rig::on(disk);
            let _never_more = progress(&damaged);
            assert_eq!(damaged.contents(0).len(), 6, "{what} {at}");
            let key = damaged.opened.topics[0].groups[0].partitions[0].journal;
            damaged.journal(key, finished(0, 6));
            let next = damaged.reopen();
            assert_eq!(next.progress("g")[0].committed, Offset(6), "{what} {at}");
        }
    }
}

fn parts(disk: &FaultyDisk) -> Vec<PathBuf> {
    let files = disk.files().into_iter();
    files
        .filter(|path| path.to_string_lossy().contains("__weir/commit-"))
        .collect()
}

fn unreadable(findings: &[Finding]) -> usize {
    let of_frames = |finding: &&Finding| finding.kind == FindingKind::UnreadableFrame;
    findings.iter().filter(of_frames).count()
}

#[test]
fn a_damaged_byte_of_the_commit_log_and_a_kill_lose_nothing() {
    let rig = written();
    for path in parts(&rig.disk) {
        let content = rig.disk.content(&path).unwrap();
        for at in interesting(&content) {
            for (what, changed) in three_damages(&content, at) {
                let disk = rig.disk.kill();
                disk.set_content(&path, &changed).unwrap();
                let next = Rig::on(disk);
                assert!(is_whole(&next), "{what} {at} of {}", path.display());
                // All the same in the life after, which finds nothing left of it.
                let after = next.reopen();
                assert!(is_whole(&after), "{what} {at} of {}", path.display());
                assert_eq!(unreadable(after.findings()), 0, "{what} {at}");
            }
        }
    }
}

#[test]
fn a_damaged_byte_of_the_commit_log_and_a_power_cut_cost_one_frame_and_are_reported() {
    let rig = written();
    let original = rig.contents(0);
    let cut = rig.disk.cut_power_hard();
    assert!(is_whole(&Rig::on(cut.kill())), "nothing is lost by itself");
    let (mut damaged_once, mut whole) = (0, 0);
    for path in parts(&rig.disk) {
        let content = cut.content(&path).unwrap();
        for at in interesting(&content) {
            for (what, changed) in three_damages(&content, at) {
                let what = format!("{what} {at} of {}", path.display());
                let disk = cut.kill();
                disk.set_content(&path, &changed).unwrap();
                let mut next = Rig::on(disk);
                if is_whole(&next) {
                    whole += 1;
                    continue;
                }
                damaged_once += 1;
                assert!(unreadable(next.findings()) > 0, "{what}: not reported");
                let lost = original.len() - next.contents(0).len();
                let others = 2 - next.contents(1).len();
                let acks = progress(&next).iter().filter(|&&there| !there).count();
                let frames = [lost, others.div_ceil(2), acks.div_ceil(2)];
                assert_eq!(frames.iter().sum::<usize>(), 1, "{what}: {frames:?}");
                let served = next.contents(0);
                assert!(served.iter().all(|r| original.contains(r)), "{what}");
                next.append(&["\"new\""]);
                assert_eq!(next.contents(0).len(), served.len() + 1, "{what}");
            }
        }
    }
    assert!(damaged_once > 1_000 && whole > 10, "{damaged_once} {whole}");
}

/// Where a byte says something: all of a frame but its padding, of which a few; and a few zeros.
fn interesting(content: &[u8]) -> Vec<usize> {
    let mut at: Vec<usize> = (0..content.len()).filter(|&at| content[at] != 0).collect();
    at.extend((0..content.len()).step_by(509));
    at.sort_unstable();
    at.dedup();
    at
}

/// One byte flipped, dropped, and inserted.
fn three_damages(content: &[u8], at: usize) -> [(&'static str, Vec<u8>); 3] {
    let mut flipped = content.to_vec();
    flipped[at] ^= 1 << (at % 8);
    let mut dropped = content.to_vec();
    dropped.remove(at);
    let mut inserted = content.to_vec();
    inserted.insert(at, b"\n0}\0\xff"[at % 5]);
    [("flip", flipped), ("drop", dropped), ("insert", inserted)]
}

#[test]
fn a_write_that_the_disk_lost_does_not_hide_the_frames_behind_it() {
    let rig = written();
    let cut = rig.disk.cut_power_hard();
    let path = &parts(&cut)[0];
    let content = cut.content(path).unwrap();
    // The third frame is what was there before: nothing, or a frame of an earlier turn.
    for old in [vec![0; 4096], content[..4096].to_vec()] {
        let mut changed = content.clone();
        changed[8192..12_288].copy_from_slice(&old);
        let disk = cut.kill();
        disk.set_content(path, &changed).unwrap();
        let next = Rig::on(disk);
        let lost = 6 - next.contents(0).len();
        assert_eq!(lost, 1, "{:?}", next.findings());
        assert!(unreadable(next.findings()) > 0);
    }
}

#[test]
fn damage_in_frames_that_are_needed_no_more_is_of_no_interest() {
    let mut rig = written();
    // Several turns: the parts hold the ends of earlier ones.
    (0..40).for_each(|_| {
        rig.append(&["6"]);
    });
    let rig = rig.reopen();
    for path in parts(&rig.disk) {
        let content = rig.disk.content(&path).unwrap();
        for at in (0..content.len()).step_by(61) {
            let mut changed = content.clone();
            changed[at] ^= 4;
            let disk = rig.disk.kill();
            disk.set_content(&path, &changed).unwrap();
            let next = Rig::on(disk);
            assert_eq!(next.contents(0).len(), 46);
            let is_void_frame = at < 4096 && path.ends_with("commit-0");
            assert!(
                next.findings().is_empty() || is_void_frame,
                "{at} of {}: {:?}",
                path.display(),
                next.findings()
            );
        }
    }
}
