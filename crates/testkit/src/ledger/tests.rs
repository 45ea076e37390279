use super::*;

fn topic() -> TopicName {
    TopicName::parse("orders").unwrap()
}

fn group() -> GroupName {
    GroupName::parse("workers").unwrap()
}

fn place(offset: u64) -> Place {
    Place::new(&topic(), PartitionId(0), Offset(offset))
}

fn sent(number: u64) -> Sent {
    Sent {
        producer: 1,
        number,
        topic: topic(),
        partition: PartitionId(0),
        payload: number.to_string(),
    }
}

fn found(number: u64, offset: u64) -> Found {
    Found {
        place: place(offset),
        id: sent(number).id(),
        payload: number.to_string(),
    }
}

/// Messages 0 to 3 were sent; 0 to 2 were acknowledged at the offsets 0 to 2.
fn ledger() -> Ledger {
    let mut ledger = Ledger::default();
    (0..4).for_each(|number| ledger.sent(sent(number)));
    (0..3).for_each(|number| ledger.acknowledged(&sent(number).id(), Offset(number)));
    ledger
}

fn check(log: &[Found]) -> Vec<Violation> {
    ledger().check_log(log).0
}

fn intact() -> Vec<Found> {
    (0..3).map(|number| found(number, number)).collect()
}

#[test]
fn what_was_not_acknowledged_may_be_there_or_not() {
    assert_eq!(check(&intact()), []);
    let all: Vec<_> = (0..4).map(|number| found(number, number)).collect();
    assert_eq!(check(&all), []);
    let mut gap = intact();
    gap.push(found(3, 9));
    assert_eq!(check(&gap), []);
}

#[test]
fn a_lost_message_is_noticed() {
    let lost = Violation::Lost {
        id: sent(1).id(),
        place: place(1),
    };
    assert!(check(&[]).contains(&lost));
    assert_eq!(check(&[found(0, 0), found(2, 2)]), [lost]);
    assert_eq!(
        ledger().check_log(&[found(0, 0), found(2, 2)]).to_string(),
        "1 broken promises\n  1-1 was acknowledged at orders/0@1 and is lost"
    );
}

#[test]
fn a_duplicated_message_is_noticed() {
    let mut log = intact();
    log.push(found(1, 3));
    assert!(matches!(check(&log)[..], [Violation::Duplicated { .. }]));
    let mut unacknowledged = intact();
    unacknowledged.extend([found(3, 3), found(3, 4)]);
    assert!(matches!(
        check(&unacknowledged)[..],
        [Violation::Duplicated { .. }]
    ));
}

#[test]
fn a_moved_message_is_noticed() {
    let log = [found(0, 0), found(1, 1), found(2, 5)];
    assert!(matches!(check(&log)[..], [Violation::Moved { .. }]));
    let mut elsewhere = intact();
    elsewhere.push(found(3, 3));
    elsewhere[3].place.partition = PartitionId(1);
    assert!(matches!(check(&elsewhere)[..], [Violation::Moved { .. }]));
}

#[test]
fn reordered_messages_are_noticed() {
    let mut ledger = Ledger::default();
    (0..2).for_each(|number| ledger.sent(sent(number)));
    let violations = ledger.check_log(&[found(1, 0), found(0, 1)]).0;
    assert!(matches!(violations[..], [Violation::Reordered { .. }]));
}

#[test]
fn offsets_that_do_not_rise_are_noticed() {
    let log = [found(0, 0), found(2, 2), found(1, 1)];
    let violations = check(&log);
    assert!(matches!(
        violations[..],
        [
            Violation::OffsetNotRising { .. },
            Violation::Reordered { .. }
        ]
    ));
}

#[test]
fn an_alien_message_is_noticed() {
    let mut log = intact();
    log.push(found(17, 3));
    assert!(matches!(check(&log)[..], [Violation::Alien { .. }]));
}

#[test]
fn an_altered_message_is_noticed() {
    let mut log = intact();
    log[1].payload = "[]".into();
    assert!(matches!(check(&log)[..], [Violation::Altered { .. }]));
}

#[test]
fn a_delivery_after_the_ack_is_noticed_also_after_a_restart() {
    let mut ledger = ledger();
    assert_eq!(ledger.delivered(&group(), &found(0, 0), 1), Ok(()));
    ledger.ack_sent(&group(), &place(0));
    ledger.acked(&group(), &place(0));
    ledger.restarted();
    assert!(matches!(
        ledger.delivered(&group(), &found(0, 0), 1),
        Err(Violation::DeliveredAfterAck { .. })
    ));
    assert_eq!(ledger.acked_count(&group()), 1);
}

#[test]
fn an_ack_without_an_answer_may_count_or_not() {
    let mut ledger = ledger();
    ledger.delivered(&group(), &found(0, 0), 1).unwrap();
    ledger.ack_sent(&group(), &place(0));
    ledger.restarted();
    let drained = ledger.check_drained(&group(), &topic(), &[found(0, 0)]);
    assert!(drained.is_empty());
    assert_eq!(ledger.delivered(&group(), &found(0, 0), 1), Ok(()));
}

#[test]
fn two_holders_at_one_time_are_noticed() {
    let mut ledger = ledger();
    ledger.delivered(&group(), &found(0, 0), 1).unwrap();
    assert!(matches!(
        ledger.delivered(&group(), &found(0, 0), 2),
        Err(Violation::HeldTwice { .. })
    ));
    ledger.nack_sent(&group(), &place(0));
    assert_eq!(ledger.delivered(&group(), &found(0, 0), 2), Ok(()));
    let other = GroupName::parse("others").unwrap();
    assert_eq!(ledger.delivered(&other, &found(0, 0), 1), Ok(()));
}

#[test]
fn a_forgotten_nack_is_noticed() {
    let mut ledger = ledger();
    ledger.delivered(&group(), &found(0, 0), 1).unwrap();
    ledger.nack_sent(&group(), &place(0));
    ledger.nacked(&group(), &place(0), 1);
    ledger.restarted();
    assert!(matches!(
        ledger.delivered(&group(), &found(0, 0), 1),
        Err(Violation::NackForgotten { .. })
    ));
}

#[test]
fn what_is_not_delivered_again_is_noticed() {
    let mut ledger = ledger();
    ledger.delivered(&group(), &found(0, 0), 1).unwrap();
    ledger.restarted();
    ledger.delivered(&group(), &found(1, 1), 1).unwrap();
    let open = ledger.check_drained(&group(), &topic(), &intact());
    let open: Vec<_> = open.0.iter().map(ToString::to_string).collect();
    assert_eq!(
        open,
        [
            "workers never acked orders/0@0 and did not get it again",
            "workers never acked orders/0@2 and did not get it again"
        ]
    );
}

#[test]
fn a_delivery_of_something_else_is_noticed() {
    let mut ledger = ledger();
    let mut altered = found(0, 0);
    altered.payload = "7".into();
    assert!(matches!(
        ledger.delivered(&group(), &altered, 1),
        Err(Violation::Altered { .. })
    ));
    assert!(matches!(
        ledger.delivered(&group(), &found(9, 0), 1),
        Err(Violation::Alien { .. })
    ));
}
