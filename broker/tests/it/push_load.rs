//! Four workers behind one queue: one is well, one fails, one is slow, one is killed and restarted;
//! and the broker is killed in between.

use crate::broker;
use crate::push_workers::{HttpWorker, TcpTask, TcpWorker, listen_again};
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use weir_client::{Client, DeadLetterOptions};
use weir_protocol::shapes::{BreakerState, BreakerTransition, NewWorker, WorkerId, WorkerInfo};
use weir_testkit::{BrokerProcess, eventually};
use weir_types::{GroupName, TopicName};

const TASKS: usize = 10_000;
/// Every so many is one that all workers refuse.
const POISON_EVERY: usize = 500;
const POISONED: usize = TASKS / POISON_EVERY;
const CONCURRENCY: u32 = 8;

/// How often each task was completed.
#[derive(Clone)]
struct Ledger(Arc<Mutex<Vec<u32>>>);

impl Ledger {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(vec![0; TASKS])))
    }

    fn complete(&self, task: usize) {
        self.0.lock().unwrap()[task] += 1;
    }

    fn completed(&self) -> usize {
        let ledger = self.0.lock().unwrap();
        ledger.iter().filter(|&&times| times > 0).count()
    }

    async fn reaches(&self, completed: usize) {
        eventually("tasks to be completed", async || {
            (self.completed() >= completed).then_some(())
        })
        .await;
    }
}

async fn work(task: TcpTask, ledger: &Ledger) {
    let number = usize::try_from(task.payload().as_u64().unwrap()).unwrap();
    if number.is_multiple_of(POISON_EVERY) {
        let refusal = json!({"dead_letter": true, "reason": "poison"});
        return task.nack(refusal).await;
    }
    ledger.complete(number);
    task.ack().await;
}

/// Works through whatever comes, one after the other, until it is stopped.
async fn works(mut worker: TcpWorker, ledger: Ledger, each_takes: Duration) {
    loop {
        let task = worker.next_ever().await;
        tokio::time::sleep(each_takes).await;
        work(task, &ledger).await;
    }
}

async fn fails(mut worker: HttpWorker) {
    loop {
        worker.next_ever().await.answer(500, "", "out of order\n");
    }
}

fn queue() -> TopicName {
    TopicName::parse("jobs").unwrap()
}

async fn register(client: &Client, target: String) -> WorkerId {
    let worker = NewWorker {
        concurrency: CONCURRENCY,
        ..NewWorker::of_topic(queue(), target)
    };
    client.register_worker(&worker).await.unwrap().id
}

async fn publish_all(client: &Client) {
    let settings = serde_json::from_value(json!({
        "retry_backoff": ["20ms", "100ms"], "max_deliveries": 1000,
    }));
    let group = GroupName::parse("workers").unwrap();
    client
        .put_group(&queue(), &group, settings.unwrap())
        .await
        .unwrap();
    for batch in 0..10 {
        let numbers = batch * TASKS / 10..(batch + 1) * TASKS / 10;
        let lines: String = numbers.map(|n| format!("{{\"payload\":{n}}}\n")).collect();
        client.publish_batch(&queue(), lines.into()).await.unwrap();
    }
}

async fn worker_when(
    client: &Client,
    id: WorkerId,
    is_so: impl Fn(&WorkerInfo) -> bool,
) -> WorkerInfo {
    eventually("a worker that looks so", async || {
        let worker = client.worker(id).await.unwrap();
        is_so(&worker).then_some(worker)
    })
    .await
}

/// Each change follows from the one before, and is one that breakers make.
fn check_transitions(newest_first: &[BreakerTransition]) {
    use BreakerState::{Closed, HalfOpen, Open};
    let allowed = [
        (Closed, Open),
        (Open, HalfOpen),
        (HalfOpen, Open),
        (HalfOpen, Closed),
    ];
    for change in newest_first {
        assert!(allowed.contains(&(change.from, change.to)), "{change:?}");
        assert!(!change.reason.is_empty());
    }
    for pair in newest_first.windows(2) {
        assert_eq!(pair[1].to, pair[0].from);
        assert!(pair[1].at <= pair[0].at);
    }
}

async fn lag(client: &Client) -> u64 {
    let groups = client.groups(&queue()).await.unwrap().groups;
    groups.iter().map(|group| group.lag_records).sum()
}

async fn check_dead_letters(running: &BrokerProcess) {
    let options = DeadLetterOptions {
        limit: Some(1000),
        ..DeadLetterOptions::default()
    };
    let listed = running
        .client()
        .dead_letters(&queue(), &options)
        .await
        .unwrap();
    let letters = listed.dead_letters;
    let mut numbers: Vec<u64> = letters
        .iter()
        .map(|letter| letter.payload.get().parse().unwrap())
        .collect();
    numbers.sort_unstable();
    let poison: Vec<u64> = (0..POISONED).map(|n| (n * POISON_EVERY) as u64).collect();
    assert_eq!(numbers, poison);
    for letter in letters {
        assert_eq!(letter.reason.as_deref(), Some("poison"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_every_task_is_completed_or_a_dead_letter_whatever_dies() {
    let setup = broker().with_flags(["--breaker-failures=3", "--breaker-reset=300ms"]);
    let running = setup.start().await;
    let client = running.client();
    let (ledger, mut workers) = (Ledger::new(), JoinSet::new());
    let (well, slow) = (TcpWorker::start().await, TcpWorker::start().await);
    let (failing, mortal) = (HttpWorker::start().await, TcpWorker::start().await);
    let (mortal_address, mortal_target) = (mortal.address(), mortal.target());
    publish_all(&client).await;
    let began = Instant::now();
    register(&client, well.target()).await;
    register(&client, slow.target()).await;
    let failing_id = register(&client, failing.target()).await;
    let mortal_id = register(&client, mortal_target).await;
    workers.spawn(works(well, ledger.clone(), Duration::ZERO));
    workers.spawn(works(slow, ledger.clone(), Duration::from_millis(20)));
    workers.spawn(fails(failing));

    let mut mortal_works = JoinSet::new();
    mortal_works.spawn(works(mortal, ledger.clone(), Duration::ZERO));
    ledger.reaches(TASKS / 10).await;
    mortal_works.shutdown().await;
    let is_open = |w: &WorkerInfo| w.breaker.opened > 0;
    let open = worker_when(&client, mortal_id, is_open).await;
    check_transitions(&open.breaker.transitions);
    let reborn = TcpWorker::on(listen_again(mortal_address));
    workers.spawn(works(reborn, ledger.clone(), Duration::ZERO));
    let is_back = |w: &WorkerInfo| w.breaker.state == BreakerState::Closed;
    let back = worker_when(&client, mortal_id, is_back).await;
    check_transitions(&back.breaker.transitions);
    let failing = worker_when(&client, failing_id, is_open).await;
    check_transitions(&failing.breaker.transitions);
    assert_eq!(failing.delivered, 0);
    let logged = running.log().find("a circuit breaker opened");
    assert_eq!(logged.expect("a line for each transition").level(), "WARN");
    assert!(
        lag(&client).await > 0,
        "the broker is killed with work left"
    );
    running.kill_9();

    let running = setup.start().await;
    let client = running.client();
    eventually("all tasks to be finished", async || {
        (lag(&client).await == 0).then_some(())
    })
    .await;
    let took = began.elapsed();
    assert_eq!(ledger.completed(), TASKS - POISONED);
    check_dead_letters(&running).await;
    let repeated = ledger.0.lock().unwrap().iter().filter(|&&n| n > 1).count();
    println!("{TASKS} tasks in {took:?}; {repeated} completed twice, around the kills");
    // What a worker or the broker had in hand when it was killed, and what was not durable yet.
    assert!(repeated <= 200, "{repeated}");
}
