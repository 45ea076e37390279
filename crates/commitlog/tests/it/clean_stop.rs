//! After a clean stop nothing is checked; after anything else, everything.

use crate::rig::{Rig, finished, pairs, settings};
use weir_commitlog::faulty::Call;
use weir_types::Offset;

fn stopped() -> Rig {
    let mut rig = Rig::with(settings(3, 120));
    for payload in ["1", "2", "3"] {
        rig.append(&[payload]);
    }
    let journal = rig.new_group("g")[0];
    rig.journal(journal, finished(0, 2));
    Rig::on(rig.close())
}

fn touched_segments(rig: &Rig) -> usize {
    let events = rig.disk.events().into_iter();
    let of_segments = events.filter(|event| event.path.to_string_lossy().ends_with(".log"));
    of_segments.count()
}

#[test]
fn the_start_after_it_opens_no_segment() {
    let mut rig = stopped();
    assert!(rig.opened.after_clean_stop);
    assert_eq!(touched_segments(&rig), 0);
    assert_eq!(rig.reader(0).high_watermark(), Offset(3));
    assert_eq!(rig.progress("g")[0].committed, Offset(2));
    let bytes = rig.reader(0).bytes();
    assert_eq!(rig.append(&["4"]).first_offset, Offset(3));
    assert!(rig.reader(0).bytes() > bytes);
    let all = pairs(&[(0, "1"), (1, "2"), (2, "3"), (3, "4")]);
    assert_eq!(rig.contents(0), all);
    assert_eq!(rig.reopen().contents(0), all);
}

#[test]
fn it_counts_for_one_start_only() {
    let rig = stopped();
    let after_crash = rig.reopen();
    assert!(!after_crash.opened.after_clean_stop);
    assert!(touched_segments(&after_crash) > 0);
    assert_eq!(after_crash.contents(0).len(), 3);
}

#[test]
fn a_segment_that_changed_since_is_checked() {
    let rig = stopped();
    let path = rig.segment();
    let disk = rig.close();
    let mut content = disk.content(&path).unwrap();
    content.truncate(content.len() - 7);
    disk.set_content(&path, &content).unwrap();
    let mut reopened = Rig::on(disk);
    assert!(reopened.opened.after_clean_stop);
    assert_eq!(reopened.findings().len(), 1, "{:?}", reopened.findings());
    assert_eq!(reopened.append(&["9"]).first_offset, Offset(2));
}

#[test]
fn any_damage_to_what_it_left_makes_the_start_check_everything() {
    let disk = stopped().close();
    let path = "data/__weir/clean-stop.jsonl";
    let content = disk.content(path).unwrap();
    assert!(Rig::on(disk.kill()).opened.after_clean_stop);
    for (what, at, damaged) in crate::damage::damages(&content) {
        let found = disk.kill();
        found.set_content(path, &damaged).unwrap();
        let reopened = Rig::on(found);
        assert!(!reopened.opened.after_clean_stop, "{what} {at}");
        assert_eq!(reopened.contents(0).len(), 3, "{what} {at}");
        assert_eq!(reopened.progress("g")[0].committed, Offset(2));
    }
}

#[test]
fn a_stop_that_could_not_sync_everything_is_not_a_clean_one() {
    let mut rig = Rig::new();
    rig.append(&["1"]);
    let disk = rig.disk.clone();
    disk.fail(weir_commitlog::faulty::Fault::on(Call::Sync).path(".log"));
    rig.opened.store.close().unwrap_err();
    disk.heal();
    let reopened = Rig::on(disk.cut_power(&mut fastrand::Rng::with_seed(3)));
    assert!(!reopened.opened.after_clean_stop);
    assert_eq!(reopened.contents(0), pairs(&[(0, "1")]));
}
