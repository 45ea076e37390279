//! A pod on a node, and what a kubelet does with it.

use super::container::{self, Files, Identity};
use super::image::Image;
use super::node::{Node, successful};
use super::spec::{Container, PodSpec, Probe};
use super::volumes::Volumes;
use super::{binaries, eventually};
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};
use weir_chart::Rendered;

/// What curl ends with when nobody listens, nobody answers in time, or the connection breaks.
const NO_ANSWER: [i32; 4] = [7, 28, 52, 56];

/// A pod that is to run.
pub(super) struct Plan {
    pub(super) identity: Identity,
    pub(super) spec: PodSpec,
    /// Its place in the node's network.
    pub(super) number: usize,
}

/// A pod whose container was started.
pub(super) struct Pod {
    pub(super) identity: Identity,
    pub(super) spec: PodSpec,
    pub(super) container: Container,
    node: Rc<Node>,
    bundle: PathBuf,
    process: Child,
}

/// An answer over HTTP.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Pod {
    /// Prepares everything as a kubelet does, and starts the container.
    pub(super) fn start(node: &Rc<Node>, release: &Rendered, plan: Plan, hosts: &str) -> Self {
        let Plan {
            identity,
            spec,
            number,
        } = plan;
        let container = spec.container();
        let bundle = node.disk().join(&identity.name);
        let root = bundle.join("root");
        fs::create_dir_all(&root).unwrap();
        node.mount_empty_root(&root);
        fs::write(bundle.join("hosts"), hosts).unwrap();
        let volumes = Volumes {
            release,
            spec: &spec,
            pod: &identity.name,
            disk: &node.disk().join("volumes"),
        };
        let mounts = container.volume_mounts.iter();
        let files = Files {
            read_only: image_files(&container, &bundle),
            volumes: mounts.map(|mount| volumes.mount(mount)).collect(),
        };
        let network = node.plug_in(&identity.name, &identity.address, number);
        let config = container::config(&identity, &spec, &container, &files, &network);
        fs::write(bundle.join("config.json"), config.to_string()).unwrap();
        let process = launch(node, &bundle, &identity.name);
        Self {
            identity,
            spec,
            container,
            node: Rc::clone(node),
            bundle,
            process,
        }
    }

    /// Starts another container in the place of one that has ended. It has the same address, which stands
    /// for the Service's.
    pub(super) fn start_again(&mut self) {
        self.process = launch(&self.node, &self.bundle, &self.identity.name);
        self.wait_until_ready();
    }

    pub(super) fn name(&self) -> &str {
        &self.identity.name
    }

    /// What it has said so far.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.bundle.join("log")).unwrap_or_default()
    }

    /// Asks one of its probes, as the kubelet does: from the node, at the pod's address.
    pub(super) fn probe(&self, probe: &Probe) -> Option<Answer> {
        let port = self.container.port(&probe.http_get.port);
        let limit = Duration::from_secs(probe.timeout_seconds);
        self.ask(port, &probe.http_get.path, limit, &[])
    }

    /// Asks it over HTTP from the node, with further arguments for curl; `None` where nobody answers.
    pub(super) fn http(&self, port: &str, path: &str, arguments: &[&str]) -> Option<Answer> {
        let port = self.container.port(port);
        self.ask(port, path, Duration::from_secs(10), arguments)
    }

    fn ask(&self, port: u16, path: &str, limit: Duration, arguments: &[&str]) -> Option<Answer> {
        let url = format!("http://{}:{port}{path}", self.identity.address);
        let mut curl = self.node.command("curl");
        curl.args(["--silent", "--show-error", "--write-out", "\n%{http_code}"])
            .args(["--max-time", &limit.as_secs().to_string()])
            .args(arguments)
            .arg(url);
        let output = curl.output().unwrap();
        if NO_ANSWER.map(Some).contains(&output.status.code()) {
            return None;
        }
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{curl:?}: {said}");
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        Some(Answer {
            status: status.parse().unwrap(),
            body: body.to_owned(),
        })
    }

    /// Waits until the container has started and takes work.
    pub(super) fn wait_until_ready(&mut self) {
        let name = self.name().to_owned();
        let probes = self.container.probes().map(|(_, probe)| probe.clone());
        for probe in probes.into_iter().flatten() {
            eventually(&format!("{probe:?} of {name}"), || {
                let ended = self.process.try_wait().unwrap();
                assert!(ended.is_none(), "{name}: {ended:?}");
                let answer = self.probe(&probe)?;
                (answer.status == 200).then_some(())
            });
        }
    }

    /// A command of the pod's, in its container.
    pub(super) fn exec(&self, command: &[String]) -> Command {
        let image = Image::named(&self.container.image);
        let variables = container::variables(&self.identity, &image, &self.container.env);
        let process = container::process(&self.spec, &self.container, command, &variables);
        let file = self.bundle.join("exec.json");
        fs::write(&file, process.to_string()).unwrap();
        let mut exec = self.node.runtime("exec");
        exec.arg("--process").arg(file).arg(self.name());
        exec
    }

    /// Field after field, what the kernel says of its first process.
    pub(super) fn kernel_status(&self) -> String {
        let state = successful(self.node.runtime("state").arg(self.name()));
        let state: Value = serde_json::from_slice(&state.stdout).unwrap();
        let path = format!("/proc/{}/status", state["pid"]);
        let status = successful(self.node.command("cat").arg(path));
        String::from_utf8(status.stdout).unwrap()
    }

    /// Ends it as a kubelet does after preStop; returns how it ended, and how long it took.
    pub(super) fn terminate(&mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        let signal = Image::named(&self.container.image).stop_signal;
        successful(self.node.runtime("kill").arg(self.name()).arg(signal));
        (self.wait(), began.elapsed())
    }

    /// Waits for its end.
    pub(super) fn wait(&mut self) -> ExitStatus {
        let process = &mut self.process;
        eventually("the container's end", || process.try_wait().unwrap())
    }
}

/// In a failing test a pod shows what it said.
impl Drop for Pod {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.name(), self.log());
        }
    }
}

fn launch(node: &Node, bundle: &Path, name: &str) -> Child {
    let path = bundle.join("log");
    let log = File::options().create(true).append(true).open(path);
    let log = log.unwrap();
    let mut run = node.runtime("run");
    run.arg("--bundle").arg(bundle).arg(name);
    let output = log.try_clone().unwrap();
    run.stdin(Stdio::null()).stdout(output).stderr(log);
    run.spawn().unwrap()
}

/// What is in its image, and the list of hosts that a kubelet writes. The images' binaries are static; those
/// of this build are not, and get their libraries.
fn image_files(container: &Container, bundle: &Path) -> Vec<(String, String)> {
    let entrypoint = Image::named(&container.image).entrypoint[0].clone();
    let name = entrypoint.trim_start_matches('/');
    let binary = binaries().join(name);
    assert!(
        binary.exists(),
        "build it first: cargo build -p weir-broker -p weir-agent -p weir-ui -p weir-cli"
    );
    let libraries = successful(Command::new("ldd").arg(&binary));
    let libraries = String::from_utf8(libraries.stdout).unwrap();
    let words = libraries.split_whitespace();
    let paths = words.filter(|word| word.starts_with('/'));
    let mut files: Vec<_> = paths
        .map(|path| (path.to_owned(), path.to_owned()))
        .collect();
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    files.push((text(binary), entrypoint));
    files.push((text(bundle.join("hosts")), "/etc/hosts".to_owned()));
    files
}
