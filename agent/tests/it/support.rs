//! An agent's process, and a server that answers what it was told and remembers what it was asked.

use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Child;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// No test waits longer for what must happen.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    let patient = tokio::time::timeout(PATIENCE, what).await;
    patient.expect("it happens in time")
}

pub(crate) const TAKEN: Answer = Answer(201, "", r#"{"count":1,"partitions":[]}"#);
pub(crate) const OVERLOADED: Answer = Answer(
    503,
    "",
    r#"{"error":{"code":"overloaded","message":"later"}}"#,
);
pub(crate) const LATER: Answer = Answer(
    503,
    "retry-after: 600\r\n",
    r#"{"error":{"code":"overloaded","message":"much later"}}"#,
);
pub(crate) const REFUSED: Answer = Answer(
    404,
    "",
    r#"{"error":{"code":"not_found","message":"no such topic"}}"#,
);

/// Status, header lines each ending in CR LF, body.
#[derive(Clone, Copy)]
pub(crate) struct Answer(
    pub(crate) u16,
    pub(crate) &'static str,
    pub(crate) &'static str,
);

#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Method and path.
    pub(crate) line: String,
    pub(crate) head: String,
    pub(crate) body: String,
    pub(crate) status: u16,
}

impl Asked {
    /// The lines of a batch.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let lines = self.body.lines();
        lines.map(|l| serde_json::from_str(l).unwrap()).collect()
    }
}

/// Answers requests in turn; the last answer repeats.
pub(crate) struct Server {
    pub(crate) url: String,
    answers: Arc<Mutex<Vec<Answer>>>,
    asked: watch::Receiver<Vec<Asked>>,
    _task: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(answers: &[Answer]) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), answers).await
    }

    pub(crate) async fn start_at(address: SocketAddr, answers: &[Answer]) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answers = Arc::new(Mutex::new(answers.iter().rev().copied().collect()));
        let (sender, asked) = watch::channel(Vec::new());
        let mut task = JoinSet::new();
        task.spawn(serve(listener, Arc::clone(&answers), sender));
        Self {
            url,
            answers,
            asked,
            _task: task,
        }
    }

    /// Answers this way from now on.
    pub(crate) fn answer(&self, answer: Answer) {
        *self.answers.lock().unwrap() = vec![answer];
    }

    /// Everything asked, once it fulfils `enough`.
    pub(crate) async fn asked(&self, enough: impl Fn(&[Asked]) -> bool) -> Vec<Asked> {
        let mut asked = self.asked.clone();
        let found = soon(asked.wait_for(|asked| enough(asked))).await;
        found.unwrap().clone()
    }

    pub(crate) fn asked_so_far(&self) -> Vec<Asked> {
        self.asked.borrow().clone()
    }
}

async fn serve(
    listener: TcpListener,
    answers: Arc<Mutex<Vec<Answer>>>,
    sender: watch::Sender<Vec<Asked>>,
) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let mut socket = BufReader::new(socket);
        while let Some(mut asked) = read_request(&mut socket).await {
            let answer = next_answer(&answers);
            let Answer(status, headers, body) = answer;
            asked.status = status;
            sender.send_modify(|all| all.push(asked));
            let length = body.len();
            let text =
                format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\n\r\n{body}");
            if socket.write_all(text.as_bytes()).await.is_err() {
                break;
            }
        }
    }
}

fn next_answer(answers: &Mutex<Vec<Answer>>) -> Answer {
    let mut answers = answers.lock().unwrap();
    if answers.len() > 1 {
        return answers.pop().unwrap();
    }
    answers[0]
}

async fn read_request(socket: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if socket.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let length = head
        .lines()
        .find_map(|l| l.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |l| l.parse().unwrap())];
    socket.read_exact(&mut body).await.ok()?;
    Some(Asked {
        line: head.lines().next()?.replace(" HTTP/1.1", ""),
        body: String::from_utf8(body).unwrap(),
        head,
        status: 0,
    })
}

pub(crate) fn fixture(machine: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(machine)
}

/// The agent's binary with flags, without the variables of whoever runs the tests.
pub(crate) fn command(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir-agent"));
    command.env_clear().args(flags);
    command
}

/// Flags that make the agent look at a recorded machine.
pub(crate) fn looking_at(machine: &Path) -> Vec<String> {
    ["procfs", "sysfs", "rootfs"]
        .iter()
        .zip(["proc", "sys", "root"])
        .map(|(flag, folder)| {
            // Not every machine has all three folders.
            let folder = machine.join(folder);
            let folder = if folder.is_dir() {
                folder
            } else {
                machine.to_owned()
            };
            format!("--path.{flag}={}", folder.display())
        })
        .collect()
}

/// Runs `--once` and gives what it printed, and its log.
pub(crate) fn once(command: &mut Command) -> (Value, String) {
    let output = command.output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{}: {log}", output.status);
    (serde_json::from_slice(&output.stdout).unwrap(), log)
}

/// An agent that runs until it is told to stop; killed if the test fails before.
pub(crate) struct Agent(Child);

impl Agent {
    pub(crate) fn start(flags: &[&str]) -> Self {
        let mut command = tokio::process::Command::from(command(flags));
        command.stdin(Stdio::null()).kill_on_drop(true);
        command.stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// Waits until it has logged something with this in it, and gives the line.
    pub(crate) async fn logs(&mut self, part: &str) -> String {
        let log = self.0.stderr.as_mut().unwrap();
        let mut lines = BufReader::new(log).lines();
        let says = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.contains(part) {
                    return line;
                }
            }
            panic!("it ended without saying {part:?}");
        };
        soon(says).await
    }

    /// The address in the line that has this in it, `… http=127.0.0.1:40123`.
    pub(crate) async fn logged_address(&mut self, part: &str) -> SocketAddr {
        let line = self.logs(part).await;
        let (_, address) = line.rsplit_once("http=").expect("an address");
        address.trim().parse().unwrap()
    }

    /// Sends SIGTERM and asserts that it ends well.
    pub(crate) async fn stop(mut self) {
        let id = i32::try_from(self.0.id().unwrap()).unwrap();
        let id = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let status = soon(self.0.wait()).await.unwrap();
        assert!(status.success(), "{status}");
    }
}
