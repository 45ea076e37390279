//! The partitioned queue under its own clients, as its users wrote them in Python, while the broker is
//! killed.

use crate::broker;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use weir_testkit::{BrokerProcess, BrokerSetup, eventually};
use weir_types::{GroupName, TopicName};

const PARTITIONS: [&str; 2] = ["0", "1"];
/// How long the producers run; `PARTITIONED_SECONDS` says how long instead.
const SECONDS: u64 = 9;

/// A client that is killed when it is dropped.
pub(crate) struct Client {
    child: Child,
    output: PathBuf,
}

impl Client {
    /// Runs a script, `arguments` behind the file with the broker's address.
    pub(crate) fn start(setup: &BrokerSetup, script: &str, arguments: &[&str]) -> Self {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
        let name = format!("{script}-{}", arguments.join("-"));
        let place = |kind: &str| setup.scratch_dir().join(format!("{name}.{kind}"));
        let output = place("out");
        let child = Command::new("python3")
            .arg(scripts.join(script))
            .arg(url_file(setup))
            .args(arguments)
            // A proxy of the machine's has no business on loopback.
            .env("NO_PROXY", "*")
            .env("no_proxy", "*")
            .stdin(Stdio::null())
            .stdout(File::create(&output).unwrap())
            .stderr(File::create(place("err")).unwrap())
            .spawn();
        Self {
            child: child.unwrap(),
            output,
        }
    }

    pub(crate) fn consumer(
        setup: &BrokerSetup,
        partition: &str,
        group: &str,
        manner: &str,
    ) -> Self {
        let arguments = ["load", partition, group, manner];
        Self::start(setup, "partitioned_consumer.py", &arguments)
    }

    /// The whole lines that it has printed.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.output).unwrap();
        let whole = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        whole.map(|line| line.trim_end().to_owned()).collect()
    }

    /// Ends it; whether it had ended by itself.
    pub(crate) fn end(&mut self) -> bool {
        let had_ended = self.child.try_wait().unwrap().is_some();
        let _gone = self.child.kill();
        let _gone = self.child.wait();
        had_ended
    }

    /// Waits for its end; it must be a good one.
    async fn succeeded(&mut self) {
        let child = &mut self.child;
        let ended = eventually("the client's end", async || child.try_wait().unwrap()).await;
        let said = fs::read_to_string(self.output.with_extension("err")).unwrap();
        assert!(ended.success(), "{said}");
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.end();
    }
}

fn url_file(setup: &BrokerSetup) -> PathBuf {
    setup.scratch_dir().join("url")
}

/// Starts the broker and tells its clients where it is.
pub(crate) async fn start(setup: &BrokerSetup) -> BrokerProcess {
    let running = setup.start().await;
    let beside = setup.scratch_dir().join("url.new");
    fs::write(&beside, running.url()).unwrap();
    fs::rename(beside, url_file(setup)).unwrap();
    running
}

/// What a consumer was told of each message, in order; after an ack nothing may come.
pub(crate) fn received(lines: &[String]) -> BTreeSet<String> {
    let mut is_acked = BTreeMap::new();
    for line in lines {
        let (what, id) = line.split_once(' ').unwrap();
        let acked = is_acked.insert(id.to_owned(), what == "acked");
        assert_ne!(acked, Some(true), "{id} came back after its ack");
    }
    is_acked.into_keys().collect()
}

/// Waits until a group is done with everything.
pub(crate) async fn is_done(running: &BrokerProcess, group: &str) {
    let topic = TopicName::parse("load").unwrap();
    let group = GroupName::parse(group).unwrap();
    let client = running.client();
    eventually("everything is acked", async || {
        let state = client.group(&topic, &group).await.ok()?;
        assert_eq!(state.dead_lettered, 0, "{state:?}");
        (state.lag_records == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_every_message_is_consumed_and_acked_across_two_kills() {
    let given = std::env::var("PARTITIONED_SECONDS").ok();
    let seconds = given.map_or(SECONDS, |text| text.parse().unwrap());
    let setup = broker().with_variable("TOPICS", "load:2");
    let mut running = start(&setup).await;
    let length = seconds.to_string();
    let producer = |partition| {
        let arguments = ["load", partition, length.as_str()];
        Client::start(&setup, "partitioned_producer.py", &arguments)
    };
    let mut producers = PARTITIONS.map(producer);
    let consumers = PARTITIONS.map(|partition| Client::consumer(&setup, partition, "one", "ack"));
    for _kill in 0..2 {
        let silent = Client::consumer(&setup, "0", "one", "silent");
        tokio::time::sleep(Duration::from_secs(seconds) / 3).await;
        eventually("the silent one has messages", async || {
            (!silent.lines().is_empty()).then_some(())
        })
        .await;
        drop(silent);
        running.kill_9();
        running = start(&setup).await;
    }
    for producer in &mut producers {
        producer.succeeded().await;
    }
    is_done(&running, "one").await;
    let others = PARTITIONS.map(|partition| Client::consumer(&setup, partition, "two", "ack"));
    eventually("a second group has begun", async || {
        let began = others.iter().all(|other| !other.lines().is_empty());
        began.then_some(())
    })
    .await;
    is_done(&running, "two").await;

    let mut total = 0;
    for (at, producer) in producers.iter().enumerate() {
        let produced: BTreeSet<_> = producer.lines().into_iter().collect();
        assert!(produced.len() > 100, "{} in {seconds} s", produced.len());
        for consumer in [&consumers[at], &others[at]] {
            let received = received(&consumer.lines());
            let lost: Vec<_> = produced.difference(&received).collect();
            assert!(lost.is_empty(), "{lost:?} never came");
        }
        total += produced.len();
    }
    println!("{total} messages in {seconds} s, across two kills");
}
