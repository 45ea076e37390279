//! Rendered pods, run for real: each container with exactly the command, arguments, variables, mounts, user
//! and rights that Helm renders, by the runtime that clusters use, on a node of namespaces.
//!
//! What a kubelet and the API server do is done here ([`pod`], [`cluster`], [`volumes`]): names, labels and
//! addresses, the downward API, files of ConfigMaps, claims, probes, preStop, SIGTERM. Beyond it are
//! control groups (`resources`), seccomp, and the images' files: their configuration comes from the
//! Dockerfile, and their binary is this build's, with its libraries.
//!
//! Root is needed, since pods have other users.

mod cluster;
mod container;
mod image;
mod node;
mod pod;
mod spec;
mod volumes;

use cluster::Cluster;
use image::Image;
use pod::{Answer, Pod};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use weir_chart::{Object, Request, cases, render};

const REPLACEMENTS: u32 = 3;

fn install(request: &Request) -> Cluster {
    let mut release = render(request).unwrap();
    release.objects.push(authorities());
    Cluster::start(release)
}

/// What the case `air-gapped` expects to find in its namespace.
fn authorities() -> Object {
    let certificates = fs::read_to_string("/etc/ssl/certs/ca-certificates.crt").unwrap();
    let name = json!({"name": "company-authorities"});
    let data = json!({"ca-bundle.crt": certificates});
    Object::new(json!({"kind": "ConfigMap", "metadata": name, "data": data}))
}

#[test]
fn slow_what_is_installed_by_default_works() {
    let mut cluster = install(&Request::default_values());
    let components: Vec<_> = cluster.pods.iter().map(Pod::component).collect();
    assert_eq!(components, ["agent", "broker", "ui"]);
    for pod in &cluster.pods {
        expect_all_probes_to_pass(pod);
        expect_no_rights(pod);
    }
    let said = cluster.helm_test();
    println!("{said}");
    // From the last to use the broker to the broker itself.
    for component in ["ui", "agent", "broker"] {
        let pods = cluster.pods.iter_mut();
        pods.filter(|pod| pod.component() == component)
            .for_each(expect_polite_end);
    }
}

#[test]
fn slow_every_case_starts_and_passes_its_test() {
    for case in cases() {
        let mut cluster = install(&Request::case(&case));
        let pods: Vec<_> = cluster.pods.iter().map(Pod::name).collect();
        println!("{case}: {pods:?}");
        cluster.pods.iter().for_each(expect_all_probes_to_pass);
        cluster.pods.iter().for_each(expect_no_rights);
        println!("{}", cluster.helm_test());
    }
}

#[test]
fn slow_several_brokers_know_each_other() {
    let mut cluster = install(&Request::case("several-brokers"));
    let brokers: Vec<_> = cluster
        .pods
        .iter()
        .filter(|pod| pod.component() == "broker")
        .collect();
    assert_eq!(brokers.len(), 3);
    // Partition 1 is broker 1's, whomever one asks.
    for broker in &brokers {
        let target = "/produce?topic=events&partition=1";
        let produced = broker
            .http("http", target, &["--data", broker.name()])
            .unwrap();
        assert_eq!(produced.status, 200, "{}: {produced:?}", broker.name());
    }
    let topics = brokers
        .iter()
        .map(|broker| json_of(broker, "/v1/topics")["topics"].clone());
    let has_events = |topics: Value| {
        let topics = topics.as_array().cloned().unwrap();
        topics.iter().any(|topic| topic["topic"] == "events")
    };
    let with_events: Vec<_> = topics.map(has_events).collect();
    assert_eq!(with_events, [false, true, false]);
    let messages = json_of(brokers[1], "/v1/topics/events/messages?from=earliest");
    let payloads = messages["messages"].as_array().unwrap().iter();
    let payloads: Vec<_> = payloads.map(|message| message["payload"].clone()).collect();
    assert_eq!(
        payloads,
        ["weir-broker-0", "weir-broker-1", "weir-broker-2"]
    );
    println!("{}", cluster.helm_test());
}

#[test]
fn slow_agents_see_of_the_node_what_their_access_allows() {
    for (access, has_network, has_filesystems) in [
        ("minimal", false, false),
        ("standard", true, false),
        ("filesystems", true, true),
    ] {
        let values = json!({"agent": {"access": access}, "ui": {"enabled": false}});
        let cluster = install(&Request::default_values().with(values));
        expect_all_probes_to_pass(cluster.pod("agent"));
        expect_no_rights(cluster.pod("agent"));
        let cpu = sample(&cluster, "host.cpu");
        assert!(cpu.is_object(), "{access}: {cpu}");
        // The first batch has a sample of every topic: what is not there by now never comes.
        let topics = json_of(cluster.pod("broker"), "/v1/topics");
        let mut topics = topics["topics"].as_array().unwrap().iter();
        let has_topic = topics.any(|topic| topic["topic"] == "host.network");
        assert_eq!(
            has_topic, has_network,
            "{access}: the pod's own is no host's"
        );
        if has_network {
            let network = sample(&cluster, "host.network");
            let mut interfaces = network["interfaces"].as_array().unwrap().iter();
            let sees_the_node = interfaces.any(|each| each["device"] == "pods");
            assert!(sees_the_node, "{access}: {network}");
        }
        let disk = sample(&cluster, "host.disk");
        let filesystems = disk["filesystems"].as_array().cloned().unwrap();
        let has_none = filesystems.is_empty();
        assert_eq!(has_none, access == "minimal", "{access}: {disk}");
        let mut roots = filesystems.into_iter();
        // "standard" knows that it is mounted, but may not ask how full it is.
        let sees_root =
            roots.any(|each| each["mountpoint"] == "/" && each["size_bytes"].is_number());
        assert_eq!(sees_root, has_filesystems, "{access}: {disk}");
    }
}

#[test]
fn slow_a_broker_that_is_replaced_costs_no_sample() {
    let values = json!({"broker": {"drainSeconds": 1}});
    let mut cluster = install(&Request::default_values().with(values));
    for _ in 0..REPLACEMENTS {
        further_samples(&cluster);
        let broker = cluster.pod_mut("broker");
        expect_polite_end(broker);
        broker.start_again();
    }
    further_samples(&cluster);
    let numbers = sample_numbers(&cluster);
    let first = numbers[0];
    let expected: Vec<_> = (first..).take(numbers.len()).collect();
    assert_eq!(numbers, expected, "a gap, or a sample that came twice");
    expect_all_probes_to_pass(cluster.pod("ui"));
    println!("{} samples\n{}", numbers.len(), cluster.helm_test());
}

/// Waits until the agent has sent some more.
fn further_samples(cluster: &Cluster) {
    let before = sample_numbers(cluster).len();
    eventually("further samples", || {
        (sample_numbers(cluster).len() >= before + 2).then_some(())
    });
}

/// The numbers of the samples of host.cpu, in the order in which they are stored.
fn sample_numbers(cluster: &Cluster) -> Vec<u64> {
    let broker = cluster.pod("broker");
    let target = "/v1/topics/host.cpu/messages?from=earliest&limit=1000";
    let answer = broker.http("http", target, &[]);
    let Some(answer) = answer.filter(|answer| answer.status == 200) else {
        return Vec::new();
    };
    let stored: Value = serde_json::from_str(&answer.body).unwrap();
    let stored = stored["messages"].as_array().unwrap().iter();
    let numbers = stored.map(|message| message["payload"]["seq"].as_u64().unwrap());
    numbers.collect()
}

#[test]
fn slow_flags_win_over_the_images_variables_and_those_over_the_file() {
    let values = json!({
        "broker": {
            "ports": {"http": 5055},
            "settings": {"log_format": "json"},
        },
        "agent": {"enabled": false},
        "ui": {"settings": {"log_format": "json"}, "extraEnv": [
            {"name": "WEIR_LOG_FORMAT", "value": "text"},
        ]},
    });
    let cluster = install(&Request::default_values().with(values));
    let broker = cluster.pod("broker");
    let image = Image::named(&broker.container.image);
    assert_eq!(image.variables["WEIR_HTTP"], "0.0.0.0:5000");
    assert_eq!(broker.http("http", "/ready", &[]).unwrap().status, 200);
    assert_eq!(broker.container.port("http"), 5055);
    assert!(broker.log().starts_with('{'), "{}", broker.log());
    let ui = cluster.pod("ui");
    assert!(!ui.log().starts_with('{'), "{}", ui.log());
}

fn expect_all_probes_to_pass(pod: &Pod) {
    for (what, probe) in pod.container.probes() {
        let probe = probe
            .as_ref()
            .unwrap_or_else(|| panic!("{}: no {what} probe", pod.name()));
        let answer = pod.probe(probe).unwrap();
        assert_eq!(answer.status, 200, "{} {what}: {answer:?}", pod.name());
    }
}

/// As the kernel sees it: the rendered user, no capability, and none to be had.
fn expect_no_rights(pod: &Pod) {
    let status = pod.kernel_status();
    let field = |name: &str| -> Vec<&str> {
        let mut lines = status.lines().filter_map(|line| line.strip_prefix(name));
        lines.next().unwrap().split_whitespace().collect()
    };
    let security = &pod.spec.security_context;
    let (user, group) = (security.run_as_user, security.run_as_group);
    assert_eq!(field("Uid:"), vec![user.to_string(); 4]);
    assert_eq!(field("Gid:"), vec![group.to_string(); 4]);
    let image = Image::named(&pod.container.image);
    let known = image.user == format!("{user}:{group}");
    assert!(known || user == spec::ASSIGNED_USER, "its files are theirs");
    for capabilities in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(capabilities), ["0000000000000000"], "{capabilities}");
    }
    assert_eq!(field("NoNewPrivs:"), ["1"]);
}

/// preStop, during which it is not ready but answers, then SIGTERM; all within the grace period.
fn expect_polite_end(pod: &mut Pod) {
    let began = Instant::now();
    let stop = pod.container.lifecycle.as_ref();
    if let Some(stop) = stop.map(|lifecycle| lifecycle.pre_stop.exec.command.clone()) {
        let ready = pod.container.readiness_probe.clone().unwrap();
        let alive = pod.container.liveness_probe.clone().unwrap();
        let mut stopping = pod.exec(&stop).spawn().unwrap();
        let draining = eventually("the readiness probe's failure", || {
            pod.probe(&ready).filter(|answer| answer.status != 200)
        });
        assert_eq!(draining.status, 503, "{draining:?}");
        assert_eq!(pod.probe(&alive).unwrap().status, 200);
        let still_draining = stopping.try_wait().unwrap().is_none();
        assert!(still_draining, "{stop:?} does not wait");
        let ended = eventually("the end of preStop", || stopping.try_wait().unwrap());
        assert!(ended.success(), "{stop:?}: {ended}");
    }
    let (ended, took) = pod.terminate();
    assert_eq!(ended.code(), Some(0), "{}", pod.log());
    let limit = Duration::from_secs(pod.spec.termination_grace_period_seconds);
    assert!(
        began.elapsed() < limit,
        "{} took {:?}",
        pod.name(),
        began.elapsed()
    );
    println!("{}: {took:?} after SIGTERM", pod.name());
}

/// The first sample of a topic that the agent sends to the broker.
fn sample(cluster: &Cluster, topic: &str) -> Value {
    let target = format!("/v1/topics/{topic}/messages?from=earliest&limit=1");
    eventually(topic, || {
        let answer = cluster.pod("broker").http("http", &target, &[])?;
        let messages: Value = serde_json::from_str(&answer.body).unwrap();
        messages.pointer("/messages/0/payload").cloned()
    })
}

fn json_of(pod: &Pod, target: &str) -> Value {
    let Answer { status, body } = pod.http("http", target, &[]).unwrap();
    assert_eq!(status, 200, "{target}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// Where this build's binaries are.
fn binaries() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    // target/debug/deps/it-…
    test.ancestors().nth(2).unwrap().to_owned()
}

/// Looks ten times a second for a minute, which is several times of what anything here takes.
fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "within a minute there was no {what}"
        );
        pause();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "other processes do not tell us when they change"
)]
fn pause() {
    std::thread::sleep(Duration::from_millis(100));
}
