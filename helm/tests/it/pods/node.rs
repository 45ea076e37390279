//! A node: a small machine of namespaces on this one, with its own processes, mounts and network.
//!
//! All that is started on it ends with it, whatever becomes of the test: its first process reads from a
//! pipe of the test's, and takes all others with it when that pipe ends.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

pub(super) const NAME: &str = "node-1";
/// The node in the network of its pods, which nobody else sees.
const ADDRESS: &str = "10.244.0.1/24";
const BRIDGE: &str = "pods";

/// The first process. crun is told to leave control groups alone, and does not care to look at them where
/// it finds nothing.
const BOOT: &str = "
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /sys/fs/cgroup
ip link set lo up
ip link add $BRIDGE type bridge
ip address add $ADDRESS dev $BRIDGE
ip link set $BRIDGE up
echo booted
exec cat
";

/// Gives a pod's network namespace its place in the node's network.
const PLUG_IN: &str = "
set -e
ip netns add $POD
ip link add on-node-$NUMBER type veth peer name eth0 netns $POD
ip link set on-node-$NUMBER master $BRIDGE up
ip -n $POD link set lo up
ip -n $POD address add $ADDRESS/24 dev eth0
ip -n $POD link set eth0 up
";

pub(super) struct Node {
    first_process: Child,
    disk: TempDir,
}

impl Node {
    pub(super) fn boot() -> Self {
        let disk = tempfile::tempdir().unwrap();
        // Containers have other users.
        fs::set_permissions(disk.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut first_process = Command::new("unshare")
            .args(["--mount", "--net", "--pid", "--fork", "--mount-proc"])
            .args(["--kill-child", "sh", "-c", BOOT])
            .envs([("BRIDGE", BRIDGE), ("ADDRESS", ADDRESS)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare, of the package util-linux");
        let said = first_process.stdout.take().unwrap();
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line).unwrap();
        assert_eq!(
            line, "booted\n",
            "no namespaces can be made here: these tests need root, and the packages iproute2, \
             util-linux and crun (`cargo xtask test` installs them)"
        );
        Self {
            first_process,
            disk,
        }
    }

    /// Its disk, where containers and volumes lie.
    pub(super) fn disk(&self) -> &Path {
        self.disk.path()
    }

    /// A program on the node.
    pub(super) fn command(&self, program: &str) -> Command {
        let namespace = |kind: &str, file: &str| {
            let process = self.first_process.id();
            format!("--{kind}=/proc/{process}/ns/{file}")
        };
        let mut command = Command::new("nsenter");
        command
            .arg(namespace("mount", "mnt"))
            .arg(namespace("net", "net"))
            // Of the processes that it starts: it is outside itself.
            .arg(namespace("pid", "pid_for_children"))
            .arg(program)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// Makes the network namespace of a pod and returns its path on the node.
    pub(super) fn plug_in(&self, pod: &str, address: &str, number: usize) -> PathBuf {
        let mut plug_in = self.command("sh");
        let number = number.to_string();
        let variables = [
            ("POD", pod),
            ("ADDRESS", address),
            ("NUMBER", &number),
            ("BRIDGE", BRIDGE),
        ];
        successful(plug_in.args(["-c", PLUG_IN]).envs(variables));
        Path::new("/run/netns").join(pod)
    }

    /// What a container's root is made on: as in a cluster, no file system of a disk.
    pub(super) fn mount_empty_root(&self, place: &Path) {
        let mut mount = self.command("mount");
        successful(
            mount
                .args(["-t", "tmpfs", "-o", "mode=755", "root"])
                .arg(place),
        );
    }

    /// The runtime, told to do something.
    pub(super) fn runtime(&self, action: &str) -> Command {
        let mut crun = self.command("crun");
        crun.args(["--root=/run/crun", "--cgroup-manager=disabled", action]);
        crun
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It ends when nothing is to be read any more, and only after all others.
        drop(self.first_process.stdin.take());
        let _ended = self.first_process.wait();
    }
}

/// Runs what must succeed.
pub(super) fn successful(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output
}
