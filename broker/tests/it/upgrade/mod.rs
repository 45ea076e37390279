//! Data that an earlier broker wrote: today's opens it, finds everything, and goes on.
//!
//! `tests/golden/<version>` has directories of released and of earlier brokers; its README says how they
//! were made. `WEIR_PREVIOUS_BROKER=<binary>` writes one anew with that broker, and today's opens it;
//! without the variable today's broker writes it, too. The engine's own formats, damage included, are
//! the subject of weir-commitlog's golden directories.

mod account;
mod api;
mod story;

use crate::grpc::register_queue;
use account::{account, expect_all_of, list};
use api::{Api, place};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use story::{Told, setup, tell};
use weir_testkit::{BrokerProcess, BrokerSetup, eventually};

const TODAYS: &str = env!("CARGO_BIN_EXE_weir-broker");

/// How the earlier broker ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    CleanStop,
    Killed,
}

const ENDS: [(&str, End); 2] = [("clean-stop", End::CleanStop), ("kill-9", End::Killed)];

#[tokio::test]
async fn slow_data_of_earlier_versions_is_all_there_and_goes_on() {
    let mut opened = 0;
    for version in fs::read_dir(golden_dir()).unwrap() {
        let version = version.unwrap().path();
        for (name, end) in ENDS.iter().filter(|_| version.is_dir()) {
            let told = fs::read(version.join(format!("{name}.json"))).unwrap();
            let told: Told = serde_json::from_slice(&told).unwrap();
            let setup = setup(TODAYS);
            unpack(&version.join(format!("{name}.tar.gz")), &setup);
            let running = setup.start().await;
            check(running, *end, &told).await;
            opened += 1;
        }
    }
    assert!(opened >= 2, "no golden directories in {:?}", golden_dir());
}

#[tokio::test]
async fn slow_data_of_the_previous_broker_is_all_there_and_goes_on() {
    let previous = std::env::var("WEIR_PREVIOUS_BROKER");
    let previous = previous.unwrap_or_else(|_| TODAYS.to_owned());
    println!("written by {previous}, opened by {TODAYS}");
    for (name, end) in ENDS {
        let before = setup(&previous);
        let told = live_and_end(&before, end).await;
        if let Some(version) = std::env::var_os("WEIR_WRITE_GOLDEN") {
            keep(&golden_dir().join(version), name, &before, &told);
        }
        let after = setup(TODAYS);
        fs::rename(before.data_dir(), after.data_dir()).unwrap();
        let running = after.start().await;
        expect_known_id(Api::of(&running)).await;
        check(running, end, &told).await;
    }
}

/// Twice, so that there is a life after a restart of the earlier broker's own.
async fn live_and_end(setup: &BrokerSetup, end: End) -> Told {
    let mut running = setup.start().await;
    let told = tell(&running).await;
    match end {
        End::CleanStop => {
            running.terminate();
            assert!(running.wait().await.success());
        }
        End::Killed => running.kill_9(),
    }
    told
}

/// An id that the earlier broker has seen is not stored again.
async fn expect_known_id(api: Api) {
    let target = "/v1/topics/orders/messages?key=k0&id=o-0";
    let answer = api.post(target, "\"again\"").await;
    assert_eq!(
        (&answer["duplicate"], &answer["offset"]),
        (&json!(true), &json!(0))
    );
}

async fn check(running: BrokerProcess, end: End, told: &Told) {
    expect_findings(&running, end);
    let api = Api::of(&running);
    expect_all_of(&told.account, &account(api).await, "");
    expect_deliveries(api, told).await;
    expect_dialects_to_go_on(api).await;
    expect_redrive(api).await;
    expect_queues_to_go_on(&running).await;
    expect_schedule_to_fire(api, told).await;
    let first_new = expect_next_offsets(api, told).await;
    let before = account(api).await;
    let running = running.restart().await;
    let api = Api::of(&running);
    expect_all_of(&before, &account(api).await, "after a restart");
    let readings = api.lease("readings", "late%2Fcomers", 10).await;
    assert_eq!(readings.iter().map(place).collect::<Vec<_>>(), [first_new]);
}

/// A killed process may leave a torn tail, but no damage.
fn expect_findings(running: &BrokerProcess, end: End) {
    let lines = running.log().lines();
    let findings = lines.iter().filter(|line| line.message() == "recovery");
    for finding in findings.map(|line| line.field("finding")) {
        let is_torn = finding.contains("interrupted write");
        assert!(end == End::Killed && is_torn, "{finding}");
    }
}

/// Each group gets what it had not finished, and nothing else.
async fn expect_deliveries(api: Api, told: &Told) {
    for (topic, groups) in &told.finished {
        let stored = list(&told.account["topics"][topic]["messages"]);
        let stored: BTreeSet<_> = stored.iter().map(place).collect();
        for (group, finished) in groups {
            let delivered = drain(api, topic, group).await;
            let places: BTreeSet<_> = delivered.iter().map(place).collect();
            let open: BTreeSet<_> = stored.difference(finished).cloned().collect();
            assert_eq!(places, open, "{group} of {topic}");
            assert_eq!(
                delivered.len(),
                open.len(),
                "{group} of {topic}: some came twice"
            );
            if group == "kitchen" {
                expect_attempts(&delivered, &told.given_back);
            }
        }
    }
}

/// A message that was given back has had its attempt; one that was out has not.
fn expect_attempts(delivered: &[Value], given_back: &BTreeSet<String>) {
    for message in delivered {
        let attempt = if given_back.contains(&place(message)) {
            2
        } else {
            1
        };
        assert_eq!(message["delivery_attempt"], attempt, "{message}");
    }
}

/// Leases and acks until nothing is left.
async fn drain(api: Api, topic: &str, group: &str) -> Vec<Value> {
    let mut delivered = Vec::new();
    loop {
        let leased = api.lease(topic, group, 1000).await;
        if leased.is_empty() {
            let said = api.get(&format!("/v1/topics/{topic}/groups/{group}")).await;
            assert_eq!(said["lag_records"], 0, "{said}");
            return delivered;
        }
        api.settle("ack", topic, group, &leased).await;
        delivered.extend(leased);
    }
}

async fn expect_dialects_to_go_on(api: Api) {
    let next = api.get("/consume?topic=demo&consumer_id=web-ui").await;
    assert_eq!(next["message"], "two");
    let next = api.get("/consume/news.mail?max_messages=9").await;
    assert_eq!(list(&next["messages"]).len(), 1);
    assert_eq!(next["messages"][0]["payload"]["item"], "milk");
    let next = api.call("POST", "/api/python/pull", "").await;
    assert_eq!(next.text(), "[key:node-value:2]");
}

/// The number of a queue lasts, and a new one takes the next.
async fn expect_queues_to_go_on(running: &BrokerProcess) {
    let address = running.grpc_addresses()[0];
    assert_eq!(register_queue(address, "resize").await, 1);
    assert_eq!(register_queue(address, "print").await, 2);
}

async fn expect_redrive(api: Api) {
    let redriven = api
        .post("/v1/topics/printing/groups/printer/redrive", "")
        .await;
    assert_eq!(redriven["redriven"], 1, "{redriven}");
    let again = drain(api, "printing", "printer").await;
    assert_eq!(again.len(), 1);
    assert_eq!(again[0]["payload"]["page"], 1);
}

async fn expect_schedule_to_fire(api: Api, told: &Told) {
    let target = format!("/v1/schedules/{}", told.schedule);
    api.patch(&target, json!({"delay": "0s"})).await;
    eventually("the scheduled message", async || {
        let stored = api.messages("orders").await;
        let fired = stored
            .iter()
            .filter(|message| message["id"] == "in-2035")
            .count();
        assert!(fired <= 1, "delivered {fired} times");
        (fired == 1).then_some(())
    })
    .await;
}

/// New messages follow the old ones; returns the place of one.
async fn expect_next_offsets(api: Api, told: &Told) -> String {
    for topic in ["readings", "scratch", "reborn", "purged"] {
        let stored = list(&told.account["topics"][topic]["messages"]);
        let last = stored.last().unwrap()["offset"].as_u64().unwrap();
        let target = format!("/v1/topics/{topic}/messages");
        let published = api.post(&target, "\"new\"").await;
        assert_eq!(published["offset"], last + 1, "{topic}");
    }
    let readings = api.messages("readings").await;
    place(readings.last().unwrap())
}

fn golden_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn keep(version: &Path, name: &str, setup: &BrokerSetup, told: &Told) {
    fs::create_dir_all(version).unwrap();
    let told = serde_json::to_vec(told).unwrap();
    fs::write(version.join(format!("{name}.json")), told).unwrap();
    let archive = version.join(format!("{name}.tar.gz"));
    let parent = setup.scratch_dir();
    tar(&[
        "-czf",
        text(&archive),
        "-C",
        text(parent),
        "--owner=0",
        "--group=0",
        "data",
    ]);
}

fn unpack(archive: &Path, setup: &BrokerSetup) {
    let to = setup.scratch_dir();
    tar(&["-xzf", text(archive), "-C", text(to), "--no-same-owner"]);
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn tar(arguments: &[&str]) {
    let status = Command::new("tar").args(arguments).status().unwrap();
    assert!(status.success(), "tar {arguments:?}");
}
