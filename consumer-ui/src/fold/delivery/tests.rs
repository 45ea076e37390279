use super::*;
use crate::fold::TopicsView;
use crate::fold::shapes::BreakerRow;
use crate::fold::{TopicReading, shapes::GroupRow};

const NOW: u64 = 1_700_000_000_000;

fn breaker(state: BreakerState) -> BreakerRow {
    let is_closed = state == BreakerState::Closed;
    BreakerRow {
        state,
        since: (!is_closed).then_some(NOW - 12_000),
        next_trial_at: (state == BreakerState::Open).then_some(NOW + 18_000),
        consecutive_failures: if is_closed { 0 } else { 5 },
        opened: u64::from(!is_closed),
    }
}

fn target(target: &str, state: BreakerState) -> TargetRow {
    TargetRow {
        target: target.to_owned(),
        breaker: breaker(state),
        in_flight: 1,
        delivered: 40,
        failed: 2,
        last_error: Some("connection refused".to_owned()),
    }
}

fn worker(id: u64, topic: &str, state: BreakerState) -> WorkerRow {
    WorkerRow {
        id,
        topic: topic.to_owned(),
        group: "workers".to_owned(),
        queue: None,
        concurrency: 4,
        paused: false,
        target: target("tcp://10.0.0.1:9000", state),
    }
}

fn gateway() -> GatewayRow {
    GatewayRow {
        topic: "queue".to_owned(),
        consumers: 3,
        producers: 2,
        partitions: 16,
        brokers: 1,
        messages_in_queue: 120,
        sent: 5_000,
        received: 4_880,
    }
}

fn reading(workers: Vec<WorkerRow>) -> DeliveryReading {
    DeliveryReading {
        workers: Ok(workers),
        backends: Ok(Vec::new()),
        gateway: Ok(None),
    }
}

fn ids(tables: &Delivery) -> Vec<u64> {
    tables.workers.rows.iter().map(|row| row.id).collect()
}

#[test]
fn open_breakers_come_first_then_half_open_then_by_name() {
    let tables = reading(vec![
        worker(1, "b", BreakerState::Closed),
        worker(2, "a", BreakerState::Closed),
        worker(3, "z", BreakerState::HalfOpen),
        worker(4, "z", BreakerState::Open),
        worker(5, "a", BreakerState::Closed),
        worker(6, "c", BreakerState::Open),
    ])
    .tables();
    assert_eq!(ids(&tables), [6, 4, 3, 2, 5, 1]);
    assert_eq!((tables.workers.total, tables.workers.open), (6, 2));
}

#[test]
fn of_very_many_the_open_ones_are_kept_and_all_are_counted() {
    let many = (1..=MAX_ROWS as u64 + 50).map(|id| worker(id, "a", BreakerState::Closed));
    let last = worker(9_999, "z", BreakerState::Open);
    let tables = reading(many.chain([last]).collect()).tables();
    assert_eq!(tables.workers.rows.len(), MAX_ROWS);
    assert_eq!(tables.workers.rows[0].id, 9_999);
    assert_eq!(tables.workers.total, MAX_ROWS + 51);
}

#[test]
fn a_part_that_fails_takes_nothing_else_with_it() {
    let tables = DeliveryReading {
        workers: Err("storage failed".to_owned()),
        backends: Ok(vec![target("backend://h:1", BreakerState::Closed)]),
        gateway: Ok(Some(gateway())),
    }
    .tables();
    assert!(tables.workers.rows.is_empty());
    assert_eq!(tables.backends.total, 1);
    assert!(tables.gateway.is_some());
    let missing = Missing {
        part: "workers",
        reason: "storage failed".to_owned(),
    };
    assert_eq!(tables.missing, [missing]);
}

#[test]
fn backends_keep_the_order_of_the_settings() {
    let backends = ["backend://z:1", "backend://a:1"].map(|at| target(at, BreakerState::Closed));
    let mut reading = reading(Vec::new());
    reading.backends = Ok(backends.to_vec());
    let tables = reading.tables();
    let shown = tables.backends.rows.iter().map(|row| row.target.as_str());
    assert_eq!(
        shown.collect::<Vec<_>>(),
        ["backend://z:1", "backend://a:1"]
    );
}

#[test]
fn a_long_error_is_cut_between_characters() {
    let mut long = worker(1, "a", BreakerState::Closed);
    long.target.last_error = Some("ä".repeat(MAX_ERROR + 1));
    let tables = reading(vec![long]).tables();
    let shown = tables.workers.rows[0].target.last_error.as_deref();
    assert_eq!(shown, Some(format!("{}…", "ä".repeat(MAX_ERROR)).as_str()));
}

/// One of everything, as the page gets it; the page's own tests read the same file.
#[test]
fn the_topics_page_is_the_golden_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/topics.json");
    let page = page_with_everything();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    assert!(
        page == golden,
        "the page changed; UPDATE_GOLDEN=1 renews it:\n{page}"
    );
}

fn page_with_everything() -> String {
    let mut paused = worker(2, "emails", BreakerState::HalfOpen);
    paused.paused = true;
    paused.queue = Some(7);
    let mut delivery = reading(vec![paused, worker(1, "orders", BreakerState::Open)]);
    let mut backend = target("backend://10.0.0.2:50051", BreakerState::Closed);
    backend.last_error = None;
    delivery.backends = Ok(vec![backend]);
    delivery.gateway = Ok(Some(gateway()));
    let mut view = TopicsView::default();
    view.apply(vec![orders(10)], reading(Vec::new()), NOW - 2_000);
    view.apply(vec![orders(30)], delivery, NOW);
    let mut page = serde_json::to_string_pretty(view.page()).unwrap();
    page.push('\n');
    page
}

fn orders(published: u64) -> TopicReading {
    TopicReading {
        topic: "orders".to_owned(),
        incarnation: "a".to_owned(),
        partitions: 8,
        records: published,
        bytes: 100 * published,
        published,
        groups: vec![GroupRow {
            group: "workers".to_owned(),
            lag_records: 3,
            lag_seconds: 1.5,
            in_flight: 2,
            redelivered: 1,
        }],
    }
}
