//! Python programs that use the broker as anybody's would: with requests, and with grpcio and stubs
//! made from our .proto files.

use crate::broker;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// No program may take longer.
const LIMIT_SECONDS: &str = "120";
/// From the broker's folder.
const PROTO: &str = "../crates/protocol/proto";

/// Where the Python packages and the programs are.
pub(crate) struct Python {
    path: String,
    scripts: PathBuf,
}

impl Python {
    /// With `requests` and grpcio.
    pub(crate) fn new() -> Self {
        let packages = packages();
        assert!(
            packages.join("installed.txt").exists(),
            "the Python packages are missing: run `cargo xtask python`"
        );
        Self {
            path: packages.display().to_string(),
            scripts: root().join("tests/python"),
        }
    }

    /// Also with `message_pb2`, `message_pb2_grpc`, `broker_pb2` and `broker_pb2_grpc`, which
    /// `protoc` writes into `stubs`.
    pub(crate) fn with_stubs(stubs: &Path) -> Self {
        let mut python = Self::new();
        let stubs = stubs.display();
        let mut protoc = python.command(&["-m", "grpc_tools.protoc"]);
        protoc.arg(format!("-I{}", root().join(PROTO).display()));
        protoc.arg(format!("--python_out={stubs}"));
        protoc.arg(format!("--grpc_python_out={stubs}"));
        succeed(protoc.args(["message.proto", "broker.proto"]));
        python.path = format!("{}:{stubs}", python.path);
        python
    }

    /// Runs a program of `tests/python` to its end; what it printed. Blocks: for brokers that are
    /// processes of their own.
    ///
    /// # Panics
    /// It failed; shows what it said.
    pub(crate) fn run(&self, name: &str, arguments: &[&str]) -> String {
        let script = self.scripts.join(name).display().to_string();
        succeed(self.command(&[&script]).args(arguments))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.args([LIMIT_SECONDS, "python3", "-B", "-W", "error"]);
        command.args(arguments);
        command.env("PYTHONPATH", &self.path);
        // A proxy of the machine's has no business on loopback.
        command.env("NO_PROXY", "*").env("no_proxy", "*");
        command.stdin(Stdio::null());
        command
    }
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().expect("timeout and python3 are there");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{:?} ended with {}\n{printed}\n{errors}",
        command.get_args(),
        output.status
    );
    printed
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// As `cargo xtask python` installs them.
fn packages() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    target.expect("tmp lies in target").join("tools/python")
}

#[tokio::test]
async fn slow_requests_publish_lease_and_ack() {
    let running = broker().start().await;
    let printed = Python::new().run("native_http.py", &[&running.url()]);
    assert_eq!(printed, "acked True\n");
}
