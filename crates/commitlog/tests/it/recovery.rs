//! Torn tails, and damage at every byte.

use crate::rig::{ALL, Rig, pairs, settings};
use std::collections::BTreeMap;
use weir_commitlog::{Finding, FindingKind, PartitionReader};
use weir_types::{FilePosition, Offset};

const PAYLOADS: [&str; 4] = ["\"first\"", "{\"a\":2}", "[3]", "\"fourth\""];

/// A disk whose only segment holds `content`.
fn with_segment(rig: &Rig, content: &[u8]) -> Rig {
    let disk = rig.killed_without_commit_log();
    disk.set_content(rig.segment(), content).unwrap();
    Rig::on(disk)
}

fn written() -> (Rig, Vec<u8>) {
    let mut rig = Rig::new();
    PAYLOADS.iter().for_each(|payload| {
        rig.append(&[payload]);
    });
    let content = rig.disk.content(rig.segment()).unwrap();
    (rig, content)
}

fn line_ends(content: &[u8]) -> Vec<usize> {
    let newlines = content
        .iter()
        .enumerate()
        .filter(|&(_, &byte)| byte == b'\n');
    newlines.map(|(at, _)| at + 1).collect()
}

fn expected(count: usize) -> Vec<(u64, String)> {
    (0..)
        .zip(PAYLOADS)
        .take(count)
        .map(|(offset, payload)| (offset, payload.to_owned()))
        .collect()
}

fn kinds(findings: &[Finding]) -> Vec<&FindingKind> {
    findings.iter().map(|finding| &finding.kind).collect()
}

#[test]
fn a_tail_torn_at_any_byte_costs_only_the_torn_record() {
    let (rig, content) = written();
    let ends = line_ends(&content);
    for cut in 0..=content.len() {
        let mut torn = with_segment(&rig, &content[..cut]);
        // A record whose newline alone is missing gets it back.
        let whole = ends.iter().filter(|&&end| end <= cut + 1).count();
        assert_eq!(torn.contents(0), expected(whole), "cut at {cut}");
        let clean = cut == 0 || ends.contains(&cut);
        assert_eq!(
            torn.findings().is_empty(),
            clean,
            "cut at {cut}: {:?}",
            torn.findings()
        );
        assert_eq!(torn.append(&["9"]).first_offset, Offset(whole as u64));
        assert_eq!(torn.reopen().contents(0).len(), whole + 1);
    }
}

#[test]
fn trailing_nuls_are_cut() {
    let (rig, content) = written();
    let ends = line_ends(&content);
    for cut in 0..=content.len() {
        let mut padded = content[..cut].to_vec();
        padded.resize(cut + 1 + cut % 700, 0);
        let mut torn = with_segment(&rig, &padded);
        let whole = ends.iter().filter(|&&end| end <= cut).count();
        assert_eq!(torn.contents(0), expected(whole), "cut at {cut}");
        let is_cut = |kind: &&FindingKind| matches!(kind, FindingKind::TornTailCut { .. });
        assert!(kinds(torn.findings()).iter().all(is_cut));
        assert_eq!(torn.append(&["9"]).first_offset, Offset(whole as u64));
    }
}

#[test]
fn an_intact_last_line_gets_its_newline_back() {
    let (rig, content) = written();
    let reopened = with_segment(&rig, &content[..content.len() - 1]);
    assert_eq!(reopened.contents(0), expected(4));
    assert_eq!(kinds(reopened.findings()), [&FindingKind::NewlineRestored]);
    assert_eq!(reopened.disk.content(reopened.segment()).unwrap(), content);
}

#[test]
fn a_terminated_bad_last_line_stays_and_its_offset_is_not_reused() {
    let (rig, mut content) = written();
    let last = line_ends(&content)[2];
    content[last + 60] ^= 1;
    let mut damaged = with_segment(&rig, &content);
    assert_eq!(damaged.contents(0), expected(3));
    assert_eq!(damaged.disk.content(damaged.segment()).unwrap(), content);
    let finding = &damaged.findings()[0];
    assert_eq!(finding.position, FilePosition(last as u64));
    assert!(
        finding
            .path
            .ends_with("t/partition-0/00000000000000000000.log")
    );
    assert!(matches!(finding.kind, FindingKind::DamagedLine { .. }));
    assert!(
        finding
            .to_string()
            .contains(&format!(" at byte {last}: damaged line"))
    );
    assert_eq!(damaged.append(&["9"]).first_offset, Offset(4));
    let mut all = expected(3);
    all.extend(pairs(&[(4, "9")]));
    assert_eq!(damaged.contents(0), all);
    assert_eq!(damaged.reopen().contents(0), all);
}

/// What may be lost when the byte at `at` is not what it was.
fn lines_at_risk(content: &[u8], at: usize) -> Vec<u64> {
    let line = content[..at].iter().filter(|&&byte| byte == b'\n').count() as u64;
    match content.get(at) {
        Some(b'\n') => vec![line, line + 1],
        _ => vec![line],
    }
}

fn check_damaged(rig: &Rig, content: &[u8], at: usize, what: &str) {
    let mut damaged = with_segment(rig, content);
    let (_, original) = written();
    check_served(&damaged.reader(0), &original, at, what);
    // Appended to in this life and read in the next, nothing collides.
    let surviving = damaged.contents(0);
    let offset = damaged.append(&["\"new\""]).first_offset.0;
    assert!(
        surviving.iter().all(|(taken, _)| *taken < offset),
        "{what} {at}: {offset} collides"
    );
    let mut all = surviving;
    all.push((offset, "\"new\"".to_owned()));
    assert_eq!(damaged.contents(0), all, "{what} {at}");
    assert_eq!(damaged.reopen().contents(0), all, "{what} {at}, reopened");
}

fn check_served(reader: &PartitionReader, original: &[u8], at: usize, what: &str) {
    let at_risk = lines_at_risk(original, at);
    let served: BTreeMap<u64, String> = crate::rig::contents(reader).into_iter().collect();
    let good: BTreeMap<u64, String> = expected(4).into_iter().collect();
    for (offset, payload) in &served {
        assert_eq!(good.get(offset), Some(payload), "{what} {at}: served wrong");
    }
    for offset in good.keys().filter(|offset| !at_risk.contains(offset)) {
        assert!(served.contains_key(offset), "{what} {at}: lost {offset}");
    }
}

/// The segment with one byte changed in every way that matters: (what, where, content).
fn damages(content: &[u8]) -> Vec<(String, usize, Vec<u8>)> {
    let mut damages = Vec::new();
    for at in 0..content.len() {
        for mask in [1, 2, 0x80, content[at], content[at] ^ b'\n'] {
            let mut flipped = content.to_vec();
            flipped[at] ^= mask;
            damages.push((format!("flip {mask:02x}"), at, flipped));
        }
        let mut dropped = content.to_vec();
        dropped.remove(at);
        damages.push(("drop".to_owned(), at, dropped));
        for byte in [b'\n', b'0', b'9', b'}', 0] {
            let mut inserted = content.to_vec();
            inserted.insert(at, byte);
            damages.push((format!("insert {byte:02x}"), at, inserted));
        }
    }
    damages.retain(|(_, _, damaged)| damaged != content);
    damages
}

#[test]
fn any_damaged_byte_of_the_last_segment_costs_only_its_lines() {
    let (rig, content) = written();
    for (what, at, damaged) in damages(&content) {
        check_damaged(&rig, &damaged, at, &what);
    }
}

#[test]
fn any_damaged_byte_of_a_sealed_segment_costs_only_its_lines() {
    let (mut rig, content) = written();
    rig.alter_topic(&crate::rig::topic("t"), settings(1, 10))
        .unwrap();
    let sealed = rig.segment();
    rig.append(&["\"later\""]);
    for (what, at, damaged) in damages(&content) {
        let disk = rig.killed_without_commit_log();
        disk.set_content(&sealed, &damaged).unwrap();
        let reader = Rig::on(disk).reader(0);
        let all = crate::rig::contents(&reader);
        assert_eq!(
            all.last(),
            Some(&(4, "\"later\"".to_owned())),
            "{what} {at}"
        );
        let intact = reader.read(Offset(4), ALL).unwrap();
        assert_eq!(intact.lines.len(), 1);
        let batch = reader.read(Offset::ZERO, ALL).unwrap();
        assert!(
            batch.lines.len() == 5 || !batch.damage.is_empty(),
            "{what} {at}: unreported"
        );
        let served: Vec<_> = all.into_iter().filter(|(offset, _)| *offset < 4).collect();
        let at_risk = lines_at_risk(&content, at);
        assert!(
            served.iter().all(|record| expected(4).contains(record)),
            "{what} {at}: wrong"
        );
        let lost = expected(4)
            .into_iter()
            .find(|r| !served.contains(r) && !at_risk.contains(&r.0));
        assert_eq!(lost, None, "{what} {at}");
    }
}

#[test]
fn damage_is_reported_to_readers_of_it_and_to_no_others() {
    let (rig, mut content) = written();
    let second = line_ends(&content)[0];
    content[second + 10] ^= 1; // The digit of offset 1.
    let damaged = with_segment(&rig, &content);
    assert_eq!(damaged.findings().len(), 1, "{:?}", damaged.findings());
    let damage = |from| {
        damaged
            .reader(0)
            .read(Offset(from), ALL)
            .unwrap()
            .damage
            .len()
    };
    assert_eq!([damage(0), damage(1), damage(2), damage(3)], [1, 1, 0, 0]);
}

#[test]
fn a_flipped_digit_of_an_offset_does_not_discredit_what_follows() {
    let mut rig = Rig::new();
    (0..20).for_each(|_| {
        rig.append(&["1"]);
    });
    let mut content = rig.disk.content(rig.segment()).unwrap();
    let second = line_ends(&content)[0];
    assert_eq!(content[second + 10], b'1');
    content[second + 10] = b'2';
    let mut damaged = with_segment(&rig, &content);
    assert_eq!(damaged.findings().len(), 1, "{:?}", damaged.findings());
    assert_eq!(damaged.contents(0).len(), 19);
    assert_eq!(damaged.append(&["2"]).first_offset, Offset(20));
}

#[test]
fn offsets_exceed_what_the_journals_speak_of() {
    let mut rig = Rig::new();
    rig.append(&["1", "2", "3"]);
    let journal = rig.new_group("g")[0];
    rig.journal(journal, crate::rig::finished(0, 3));
    let mut emptied = with_segment(&rig, b"");
    let missing = FindingKind::MissingRecords {
        from: Offset(0),
        until: Offset(3),
    };
    assert_eq!(kinds(emptied.findings()), [&missing]);
    assert_eq!(emptied.append(&["4"]).first_offset, Offset(3));
}

#[test]
fn offsets_passed_over_at_a_start_stay_passed_over_when_what_spoke_of_them_goes() {
    let mut rig = Rig::new();
    rig.append(&["1", "2", "3"]);
    let journal = rig.new_group("g")[0];
    rig.journal(journal, crate::rig::finished(0, 3));
    let mut emptied = with_segment(&rig, b"");
    assert_eq!(emptied.reader(0).high_watermark(), Offset(3));
    emptied
        .delete_group(&crate::rig::topic("t"), &crate::rig::group("g"))
        .unwrap();
    let mut next = emptied.reopen();
    assert_eq!(next.append(&["4"]).first_offset, Offset(3));
    let gaps = next.reader(0).read(Offset(0), ALL).unwrap().gaps;
    assert_eq!(gaps.len(), 1, "{gaps:?}");
}
