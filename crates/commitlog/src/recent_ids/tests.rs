use super::*;
use proptest::prelude::*;

const WINDOW: Duration = Duration::from_millis(100);

fn hash(id: u64) -> IdHash {
    IdHasher::new(7).hash(&id.to_le_bytes())
}

fn at(offset: u64, millis: u64) -> First {
    First {
        offset: Offset(offset),
        timestamp: Timestamp(millis),
    }
}

#[test]
fn hashes_depend_on_the_key_and_on_every_byte() {
    let hash = |key, id: &[u8]| IdHasher::new(key).hash(id);
    assert_eq!(hash(1, b"a"), hash(1, b"a"));
    assert_ne!(hash(1, b"a"), hash(2, b"a"));
    assert_ne!(hash(1, b"a"), hash(1, b"b"));
    let [one, other] = hash(1, b"a");
    assert_ne!(one, other);
}

#[test]
fn an_id_is_known_for_the_length_of_the_window() {
    let mut ids = RecentIds::new(WINDOW);
    ids.insert(hash(1), at(5, 1_000));
    ids.forget_old(Timestamp(1_099));
    assert_eq!(ids.find(&hash(1)), Some(at(5, 1_000)));
    assert_eq!(ids.find(&hash(2)), None);
    ids.forget_old(Timestamp(1_100));
    assert_eq!(ids.find(&hash(1)), None);
    assert_eq!(ids.heap_bytes(), 0);
}

#[test]
fn what_did_not_become_durable_is_forgotten() {
    let mut ids = RecentIds::new(WINDOW);
    for n in 0..10 {
        ids.insert(hash(n), at(n, 0));
    }
    ids.forget_from(Offset(4));
    let known = (0..10).filter(|&n| ids.find(&hash(n)).is_some());
    assert_eq!(known.collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn places_far_apart_are_told_exactly() {
    let mut ids = RecentIds::new(Duration::from_secs(3_600));
    let far = u64::from(u32::MAX) - 1;
    ids.insert(hash(1), at(7, 1_000));
    ids.insert(hash(2), at(8 + far / 2, 2_000));
    ids.insert(hash(3), at(6 + far, 3_000));
    ids.forget_first();
    ids.insert(hash(4), at(9 + far, 3_000));
    assert_eq!(ids.find(&hash(2)), Some(at(8 + far / 2, 2_000)));
    assert_eq!(ids.find(&hash(4)), Some(at(9 + far, 3_000)));
    // Too far for all of them to matter.
    ids.insert(hash(5), at(9 + 10 * far, 4_000));
    assert_eq!(ids.find(&hash(5)), Some(at(9 + 10 * far, 4_000)));
}

/// Full and at every size on the way, an id takes at most 42 bytes.
#[test]
fn an_id_takes_few_bytes_and_the_oldest_makes_room() {
    let mut ids = RecentIds::new(WINDOW);
    let mut worst: f64 = 0.0;
    for n in 0..MAX_IDS as u64 {
        assert!(!ids.insert(hash(n), at(n, 0)));
        if n > 1_000 {
            worst = worst.max(ids.heap_bytes() as f64 / ids.len() as f64);
        }
    }
    let full = ids.heap_bytes() as f64 / ids.len() as f64;
    println!("{full:.1} bytes an id when full, {worst:.1} at worst");
    assert!(full <= 40.0 && worst <= 42.0, "{full} {worst}");
    assert!(ids.insert(hash(u64::MAX), at(MAX_IDS as u64, 0)));
    assert_eq!((ids.find(&hash(0)), ids.len()), (None, MAX_IDS));
    assert_eq!(ids.find(&hash(1)), Some(at(1, 0)));
    ids.forget_from(Offset(10));
    ids.shrink();
    assert!(ids.heap_bytes() < 1_000, "{}", ids.heap_bytes());
    assert_eq!(ids.find(&hash(1)), Some(at(1, 0)));
}

#[derive(Clone, Debug)]
enum Step {
    Insert { id: u64, later_millis: u64 },
    ForgetOld { later_millis: u64 },
    ForgetFrom { back: usize },
    Shrink,
}

fn step() -> impl Strategy<Value = Step> {
    let later = 0..30_u64;
    prop_oneof![
        6 => (0..20_u64, later.clone())
            .prop_map(|(id, later_millis)| Step::Insert { id, later_millis }),
        2 => later.prop_map(|later_millis| Step::ForgetOld { later_millis }),
        1 => (0..5_usize).prop_map(|back| Step::ForgetFrom { back }),
        1 => Just(Step::Shrink),
    ]
}

proptest! {
    #[test]
    fn it_knows_what_a_list_knows(steps in prop::collection::vec(step(), 0..80)) {
        let (mut ids, mut list) = (RecentIds::new(WINDOW), Vec::<(u64, First)>::new());
        // Close to where numbers begin again.
        ids.first_number = u32::MAX - 10;
        let (mut now, mut next) = (u64::from(u32::MAX) * 3, 1 << 40);
        for step in steps {
            match step {
                Step::Insert { id, later_millis } => {
                    now += later_millis;
                    ids.insert(hash(id), at(next, now));
                    list.push((id, at(next, now)));
                    next += 1 + later_millis * 1_000;
                }
                Step::ForgetOld { later_millis } => {
                    now += later_millis;
                    ids.forget_old(Timestamp(now));
                    list.retain(|(_, first)| now - first.timestamp.0 < 100);
                }
                Step::ForgetFrom { back } => {
                    let from = list.len().saturating_sub(back);
                    let from = list.get(from).map_or(next, |(_, first)| first.offset.0);
                    ids.forget_from(Offset(from));
                    next = from;
                    let newer = list.clone();
                    list.retain(|(_, first)| first.offset.0 < from);
                    // One that was noted twice within the window is never taken back by half.
                    let again = |id| newer.iter().filter(|(other, _)| *other == id).count() > 1;
                    if list.iter().any(|(id, _)| again(*id)) {
                        return Ok(());
                    }
                }
                Step::Shrink => ids.shrink(),
            }
            for id in 0..20 {
                let newest = list.iter().rev().find(|(known, _)| *known == id);
                prop_assert_eq!(ids.find(&hash(id)), newest.map(|(_, first)| *first));
            }
        }
    }
}
