use crate::support::once;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// As a container's runtime does it: own mounts, processes and network; an unprivileged user without
/// capabilities; the host's /proc, /sys and / mounted read-only somewhere else.
const CONTAINER: &str = r#"
set -e
cd "$1"
mkdir -p host/proc host/sys host/root
mount --make-rprivate /
mount --bind / host/root
mount --rbind /proc host/proc
mount --rbind /sys host/sys
for place in root proc sys; do mount -o remount,ro,bind "host/$place"; done
shift
exec unshare --pid --net --fork --mount-proc \
  setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all --inh-caps -all \
  --no-new-privs "$@"
"#;

/// Why the test cannot be made here, if so.
fn obstacle() -> Option<String> {
    let tried = Command::new("unshare")
        .args([
            "--mount",
            "--pid",
            "--net",
            "--fork",
            "setpriv",
            "--version",
        ])
        .output();
    match tried {
        Err(error) => Some(format!("unshare: {error}")),
        Ok(output) if !output.status.success() => {
            Some(String::from_utf8_lossy(&output.stderr).into_owned())
        }
        Ok(_) => None,
    }
}

fn in_a_container(flags: &[&str]) -> (Value, String) {
    let place = tempfile::tempdir().unwrap();
    let everyone = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(place.path(), everyone.clone()).unwrap();
    // Where the tests were built, the user of the container may not look.
    let agent = place.path().join("weir-agent");
    std::fs::copy(env!("CARGO_BIN_EXE_weir-agent"), &agent).unwrap();
    std::fs::set_permissions(&agent, everyone).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", CONTAINER, "sh"]);
    command
        .arg(place.path())
        .arg(&agent)
        .args(["--once", "--node=host-9"]);
    let host = place.path().join("host");
    for flag in flags {
        command.arg(flag.replace("HOST", host.to_str().unwrap()));
    }
    once(&mut command)
}

fn names(list: &Value, field: &str) -> Vec<String> {
    let list = list.as_array().unwrap().iter();
    list.map(|item| item[field].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn in_a_container_the_figures_are_the_hosts() {
    if let Some(obstacle) = obstacle() {
        println!("skipped: namespaces cannot be made here: {obstacle}");
        return;
    }
    let (seen, log) = in_a_container(&[
        "--path.procfs=HOST/proc",
        "--path.sysfs=HOST/sys",
        "--path.rootfs=HOST/root",
    ]);
    let outside = std::env::temp_dir();
    let (expected, _) = once(
        Command::new(env!("CARGO_BIN_EXE_weir-agent"))
            .env_clear()
            .current_dir(outside)
            .args(["--once", "--node=host-9"]),
    );

    let interfaces = |samples: &Value| names(&samples["host.network"]["interfaces"], "device");
    assert_eq!(interfaces(&seen), interfaces(&expected));
    let received = |samples: &Value| -> u64 {
        let interfaces = samples["host.network"]["interfaces"].as_array().unwrap();
        interfaces
            .iter()
            .map(|i| i["receive_bytes"].as_u64().unwrap())
            .sum()
    };
    assert!(
        received(&seen) > 0,
        "the container's own interfaces have no traffic"
    );

    let filesystem = |samples: &Value| {
        let filesystems = samples["host.disk"]["filesystems"]
            .as_array()
            .unwrap()
            .clone();
        let root = filesystems.into_iter().find(|f| f["mountpoint"] == "/");
        root.map(|f| {
            (
                f["device"].clone(),
                f["size_bytes"].clone(),
                f["readonly"].clone(),
            )
        })
    };
    assert!(filesystem(&expected).is_some());
    assert_eq!(filesystem(&seen), filesystem(&expected), "{log}");
    assert_eq!(
        names(&seen["host.disk"]["filesystems"], "mountpoint"),
        names(&expected["host.disk"]["filesystems"], "mountpoint")
    );
    assert_eq!(
        names(&seen["host.disk"]["disks"], "device"),
        names(&expected["host.disk"]["disks"], "device")
    );
    for (topic, path) in [
        ("host.memory", "/bytes/MemTotal"),
        ("host.system", "/boot_time_seconds"),
        ("host.system", "/collectors"),
        ("host.cpu", "/boot_id"),
        ("host.info", "/os"),
        ("host.info", "/cores"),
    ] {
        assert_eq!(
            seen[topic].pointer(path),
            expected[topic].pointer(path),
            "{topic}{path}"
        );
    }
    assert_eq!(seen["host.info"]["uname"]["nodename"], "host-9");
}

/// What the test above would see if the roots were not used.
#[test]
fn without_roots_a_container_sees_its_own_network() {
    if let Some(obstacle) = obstacle() {
        println!("skipped: namespaces cannot be made here: {obstacle}");
        return;
    }
    let (seen, _) = in_a_container(&[]);
    let interfaces = seen["host.network"]["interfaces"].as_array().unwrap();
    assert!(
        interfaces.iter().all(|i| i["receive_bytes"] == 0),
        "{interfaces:?}"
    );
}
