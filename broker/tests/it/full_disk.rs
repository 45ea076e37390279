//! A disk that is almost full, and then has room again: on a real, small tmpfs.

use crate::broker;
use std::process::Command;
use weir_client::{ClientError, LeaseOptions, PublishOptions};
use weir_protocol::ErrorCode;
use weir_testkit::eventually;
use weir_types::{GroupName, TopicName};

/// Mounts a disk of 24 MiB in a mount namespace of its own, then becomes the broker. A second
/// process gets there through /proc/<pid>/root.
const ON_A_SMALL_DISK: &str = r#"mount -t tmpfs -o size=24m tmpfs "$1" && shift && exec "$@""#;

/// Why the test cannot be made here, if so.
fn obstacle() -> Option<String> {
    let tried = Command::new("unshare")
        .args(["--mount", "sh", "-c", "mount -t tmpfs tmpfs /mnt"])
        .output();
    match tried {
        Err(error) => Some(format!("unshare: {error}")),
        Ok(output) if !output.status.success() => {
            Some(String::from_utf8_lossy(&output.stderr).into_owned())
        }
        Ok(_) => None,
    }
}

fn code<T>(result: &Result<T, ClientError>) -> Option<ErrorCode> {
    match result {
        Err(ClientError::Refused { code, .. }) => Some(*code),
        _ => None,
    }
}

#[tokio::test]
async fn slow_below_the_least_free_space_only_publishes_stop_until_there_is_room() {
    if let Some(obstacle) = obstacle() {
        println!("skipped: no file system can be mounted here: {obstacle}");
        return;
    }
    let setup = broker().with_flags(["--min-free-bytes=8MiB", "--commit-log-bytes=2MiB"]);
    let disk = setup.scratch_dir().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let data_dir = format!("--data-dir={}", disk.join("data").display());
    let setup = setup.with_flags([data_dir.as_str()]).run_by([
        "unshare",
        "--mount",
        "sh",
        "-c",
        ON_A_SMALL_DISK,
        "sh",
        disk.to_str().unwrap(),
    ]);
    let broker = setup.start().await;
    let (client, topic) = (broker.client(), TopicName::parse("t").unwrap());
    let options = PublishOptions::default();
    client.publish(&topic, "1".into(), &options).await.unwrap();

    // Somebody else fills the disk.
    let root = format!("/proc/{}/root", broker.id());
    let ballast = format!("{root}{}", disk.join("ballast").display());
    std::fs::write(&ballast, vec![1; 14 << 20]).unwrap();
    let refused = eventually("a refused publish", async || {
        let published = client.publish(&topic, "2".into(), &options).await;
        code(&published)
    });
    assert_eq!(refused.await, ErrorCode::StorageFull);
    let problems = client.ready().await.unwrap_err().to_string();
    assert!(problems.contains("storage_full"), "{problems}");

    // Reads and acks go on.
    let group = GroupName::parse("g").unwrap();
    let leased = client.lease(&topic, &group, &LeaseOptions::default()).await;
    let receipts: Vec<_> = leased
        .unwrap()
        .messages
        .into_iter()
        .map(|m| m.receipt)
        .collect();
    assert!(!receipts.is_empty());
    client.ack(&topic, &group, receipts).await.unwrap();
    let fetched = client.fetch(&topic, &Default::default()).await.unwrap();
    assert!(!fetched.messages.is_empty());

    // Until there is room.
    std::fs::remove_file(&ballast).unwrap();
    eventually("a publish that is accepted again", async || {
        client.publish(&topic, "3".into(), &options).await.ok()
    })
    .await;
    eventually("/ready", async || client.ready().await.ok()).await;
}
