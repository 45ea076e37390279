//! What an operator is told when a broker starts, or why it does not.

use crate::broker;
use std::fs;
use weir_broker::settings::SETTINGS;
use weir_client::PublishOptions;
use weir_testkit::{BrokerSetup, read_data_dir};
use weir_types::TopicName;

#[tokio::test]
async fn a_second_broker_on_the_same_directory_is_refused() {
    let setup = broker();
    let first = setup.start().await;
    let second = setup.run().await;
    assert_eq!(second.status.code(), Some(1));
    let said = second.log.text();
    let directory = setup.data_dir().display().to_string();
    for part in ["another broker", &directory, &first.id().to_string()] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    first.client().ready().await.unwrap();
    first.kill_9();
    setup.start().await;
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let first = broker().start().await;
    let address = first.http_address();
    let second = broker().with_flags([format!("--http={address}").as_str()]);
    let second = second.run().await;
    assert_eq!(second.status.code(), Some(1));
    let failure = second.log.find("weir-broker failed").unwrap();
    let expected = format!("cannot listen on {address}: Address already in use");
    assert!(failure.field("error").starts_with(&expected), "{failure}");
}

#[tokio::test]
async fn nonsense_is_refused_with_every_problem_and_leaves_no_trace() {
    let setup = broker()
        .with_flags(["--http=here", "--max-topics=0", "--tcp=127.0.0.1:0"])
        .with_variable("WEIR_DURABILITY", "sometimes")
        .with_variable("WEIR_GRACE_PERIOD", "20");
    let refused = setup.run().await;
    assert_eq!(refused.status.code(), Some(2));
    let said = refused.log.text();
    for part in [
        "\n  - http: \"here\" (flag --http)",
        "\n  - max-topics: \"0\" (flag --max-topics)",
        "\n  - tcp: \"127.0.0.1:0\" (flag --tcp)",
        "\n  - durability: \"sometimes\" (environment variable WEIR_DURABILITY)",
        "\n  - grace-period: \"20\" (environment variable WEIR_GRACE_PERIOD)",
    ] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    assert!(!setup.data_dir().exists());
}

#[tokio::test]
async fn an_unknown_flag_and_a_bad_log_filter_are_refused_too() {
    for flag in ["--htpp=127.0.0.1:0", "--log-filter=weir=loud"] {
        let setup = broker().with_flags([flag]);
        let refused = setup.run().await;
        let said = refused.log.text();
        assert_eq!(refused.status.code(), Some(2), "{said}");
        let given = flag.split(['=']).next_back().unwrap_or(flag);
        assert!(said.contains(given) || said.contains("--http"), "{said}");
        assert!(!setup.data_dir().exists());
    }
}

#[tokio::test]
async fn a_variable_that_nobody_reads_is_warned_about() {
    let setup = broker().with_variable("WEIR_RETENTION_AEG", "24h");
    let running = setup.start().await;
    let warning = running.log().find_containing("WEIR_RETENTION_AEG").unwrap();
    assert_eq!(warning.level(), "WARN");
    assert!(
        warning.message().contains("WEIR_RETENTION_AGE"),
        "{warning}"
    );
}

#[tokio::test]
async fn a_newer_format_is_refused_and_left_as_it_is() {
    let setup = broker();
    setup.start().await.kill_9();
    let path = setup.data_dir().join("__weir").join("node.json");
    let newer = r#"{"format_version":2,"something":"new"}"#;
    fs::write(&path, newer).unwrap();
    let refused = setup.run().await;
    assert_eq!(refused.status.code(), Some(1));
    let said = refused.log.text();
    for part in [
        "node.json has format version 2",
        "up to 1",
        "use a newer one",
    ] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), newer);
}

#[tokio::test]
async fn help_mentions_every_setting() {
    let help = broker().with_flags(["--help"]).run().await;
    assert_eq!(help.status.code(), Some(0));
    for setting in SETTINGS {
        for part in [format!("--{}", setting.name), setting.env.to_owned()] {
            assert!(help.output.contains(&part), "{part} is missing");
        }
    }
}

#[tokio::test]
async fn only_beyond_loopback_it_warns_that_everyone_may_come() {
    const WARNING: &str = "listening beyond loopback without authentication";
    let open = broker().with_flags(["--http=0.0.0.0:0"]);
    let open = open.launch();
    let warning =
        weir_testkit::eventually("the warning", async || open.log().find_containing(WARNING));
    assert_eq!(warning.await.level(), "WARN");
    let closed = broker().start().await.restart().await;
    assert!(closed.log().find_containing(WARNING).is_none());
}

#[tokio::test]
async fn a_torn_tail_is_cut_and_reported_with_path_and_byte() {
    let setup = broker();
    let topic = publish_three(&setup).await;
    let log = segment(&setup, &topic);
    let whole = fs::read(&log).unwrap();
    let torn = [&whole[..], &whole[..whole.len() / 5]].concat();
    fs::write(&log, torn).unwrap();

    let running = setup.start().await;
    let finding = running.log().find("recovery").unwrap();
    let expected = format!(
        "{} at byte {}: cut {} bytes of an interrupted write",
        log.display(),
        whole.len(),
        whole.len() / 5
    );
    assert_eq!(finding.field("finding"), expected);
    assert_eq!(finding.level(), "WARN");
    assert_eq!(fs::read(&log).unwrap(), whole);
    assert_eq!(next_offset(&running.client(), &topic).await, 3);
}

#[tokio::test]
async fn a_damaged_line_is_reported_kept_and_never_served() {
    let setup = broker();
    let topic = publish_three(&setup).await;
    let log = segment(&setup, &topic);
    let text = fs::read_to_string(&log).unwrap();
    let damaged = text.replace(r#"{"number":1}"#, r#"{"number":7}"#);
    let second_line = text.find('\n').unwrap() + 1;
    fs::write(&log, &damaged).unwrap();
    // It would mend the line.
    let data_dir = log.ancestors().nth(3).unwrap();
    fs::remove_file(data_dir.join("__weir/commit-0")).unwrap();

    let running = setup.start().await;
    let finding = running.log().find("recovery").unwrap();
    let place = format!("{} at byte {second_line}: damaged line", log.display());
    assert!(finding.field("finding").starts_with(&place), "{finding}");
    let fetched = running.client().fetch(&topic, &Default::default()).await;
    let offsets: Vec<_> = fetched
        .unwrap()
        .messages
        .iter()
        .map(|m| m.offset.0)
        .collect();
    assert_eq!(offsets, [0, 2]);
    assert_eq!(fs::read_to_string(&log).unwrap(), damaged);
}

/// Publishes three messages, kills the broker and returns their topic.
async fn publish_three(setup: &BrokerSetup) -> TopicName {
    let topic = TopicName::parse("orders").unwrap();
    let running = setup.start().await;
    for number in 0..3 {
        assert_eq!(
            next_offset_of(&running.client(), &topic, number).await,
            number
        );
    }
    running.kill_9();
    assert_eq!(read_data_dir(&setup.data_dir()).len(), 3);
    topic
}

fn segment(setup: &BrokerSetup, topic: &TopicName) -> std::path::PathBuf {
    let partition = setup.data_dir().join(topic.as_str()).join("partition-0");
    partition.join("00000000000000000000.log")
}

async fn next_offset(client: &weir_client::Client, topic: &TopicName) -> u64 {
    next_offset_of(client, topic, 99).await
}

async fn next_offset_of(client: &weir_client::Client, topic: &TopicName, number: u64) -> u64 {
    let payload = format!(r#"{{"number":{number}}}"#);
    let options = PublishOptions::default();
    let published = client.publish(topic, payload.into(), &options).await;
    published.unwrap().offset.0
}
