use crate::{BrokerLog, eventually};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use weir_client::{Client, ClientOptions};

/// How to start a broker, again and again, on one data directory that lasts as long as this does.
///
/// The process sees no `WEIR_` variables but those given here, listens on loopback at a port that
/// the system chooses, and logs JSON.
#[derive(Clone, Debug)]
pub struct BrokerSetup {
    binary: PathBuf,
    dir: Arc<TempDir>,
    /// A program that runs the broker, with its arguments; empty for none.
    wrapper: Vec<String>,
    flags: Vec<String>,
    variables: Vec<(String, String)>,
    starts: Arc<AtomicU32>,
}

/// A broker that ended by itself, with what it said.
#[derive(Clone, Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub log: BrokerLog,
}

/// A broker that was started. Dropped, it is killed and waited for; in a failing test it shows its
/// log then.
#[derive(Debug)]
pub struct BrokerProcess {
    setup: BrokerSetup,
    child: Child,
    log: BrokerLog,
    output: PathBuf,
    /// Every address, in the order of the settings; empty if nobody waited for them.
    http: Vec<SocketAddr>,
    grpc: Vec<SocketAddr>,
}

impl BrokerSetup {
    /// `binary` is `env!("CARGO_BIN_EXE_weir-broker")`, which only the broker's own tests know.
    #[must_use]
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        Self {
            binary: binary.into(),
            dir: Arc::new(tempfile::tempdir().expect("a temporary directory")),
            wrapper: Vec::new(),
            flags: ["--http=127.0.0.1:0", "--grpc=off", "--log-format=json"]
                .map(str::to_owned)
                .into(),
            variables: Vec::new(),
            starts: Arc::default(),
        }
    }

    /// Adds flags, such as `--grace-period=2s`. One that is there already is replaced.
    #[must_use]
    pub fn with_flags<'a>(mut self, flags: impl IntoIterator<Item = &'a str>) -> Self {
        for flag in flags {
            let name = |flag: &str| flag.split('=').next().map(str::to_owned);
            self.flags.retain(|known| name(known) != name(flag));
            self.flags.push(flag.to_owned());
        }
        self
    }

    /// Runs the broker by another program, such as a tracer: its command line gets the broker's
    /// appended. The broker must stay the direct child, so that signals reach it.
    #[must_use]
    pub fn run_by<'a>(mut self, wrapper: impl IntoIterator<Item = &'a str>) -> Self {
        self.wrapper = wrapper.into_iter().map(str::to_owned).collect();
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Where the brokers of this setup keep their data; made by the first of them.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A place for other files, which goes away with the data.
    #[must_use]
    pub fn scratch_dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts a broker and waits until it is ready.
    ///
    /// # Panics
    /// It does not get ready; shows its log.
    pub async fn start(&self) -> BrokerProcess {
        let mut process = self.launch();
        process.learn_address().await;
        process.wait_until_ready().await;
        process
    }

    /// Starts a broker and does not wait for anything.
    ///
    /// # Panics
    /// The binary is not there.
    #[must_use]
    pub fn launch(&self) -> BrokerProcess {
        let start = self.starts.fetch_add(1, Ordering::Relaxed);
        let place = |name: &str| self.dir.path().join(format!("{name}-{start}"));
        let (log, output) = (place("log"), place("output"));
        let file = |path: &Path| File::create(path).expect("a file for the broker's output");
        let child = self
            .command()
            .stdin(Stdio::null())
            .stdout(file(&output))
            .stderr(file(&log))
            .spawn();
        BrokerProcess {
            setup: self.clone(),
            child: child.unwrap_or_else(|e| panic!("{}: {e}", self.binary.display())),
            log: BrokerLog::at(log),
            output,
            http: Vec::new(),
            grpc: Vec::new(),
        }
    }

    /// Starts a broker that is expected to end by itself, such as one that is refused.
    ///
    /// # Panics
    /// It does not end.
    pub async fn run(&self) -> Ended {
        let mut process = self.launch();
        let status = process.wait().await;
        Ended {
            status,
            output: fs::read_to_string(&process.output).unwrap_or_default(),
            log: process.log.clone(),
        }
    }

    fn command(&self) -> Command {
        let mut command = match self.wrapper.split_first() {
            None => Command::new(&self.binary),
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(&self.binary);
                command
            }
        };
        let foreign = std::env::vars_os().map(|(name, _)| name);
        for name in foreign.filter(|name| name.to_string_lossy().starts_with("WEIR_")) {
            command.env_remove(name);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let data_dir = format!("--data-dir={}", self.data_dir().display());
        if !self
            .flags
            .iter()
            .any(|flag| flag.starts_with("--data-dir="))
        {
            command.arg(data_dir);
        }
        command.args(&self.flags);
        command
    }
}

/// As the log shows them.
fn addresses(shown: &str) -> Vec<SocketAddr> {
    let each = shown.split(',').filter(|address| *address != "off");
    each.map(|address| address.parse().expect("an address"))
        .collect()
}

impl BrokerProcess {
    /// Where it serves HTTP, first.
    ///
    /// # Panics
    /// It was launched without waiting for it.
    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        self.http_addresses()[0]
    }

    /// Everywhere that it serves HTTP.
    #[must_use]
    pub fn http_addresses(&self) -> &[SocketAddr] {
        &self.http
    }

    /// Everywhere that it serves gRPC; nowhere unless a flag says so.
    #[must_use]
    pub fn grpc_addresses(&self) -> &[SocketAddr] {
        &self.grpc
    }

    /// Its URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.http_address())
    }

    /// A client with connections of its own.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(&self.url(), ClientOptions::default()).expect("a client")
    }

    /// What it has said so far.
    #[must_use]
    pub fn log(&self) -> &BrokerLog {
        &self.log
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it started and can be started again.
    #[must_use]
    pub fn setup(&self) -> &BrokerSetup {
        &self.setup
    }

    /// Ends it as a crash does, and waits until it is gone.
    pub fn kill_9(mut self) {
        self.reap();
    }

    /// What a pod's preStop does: tells it to drain, and waits for `period`. Until it gets SIGTERM it
    /// is not ready, and goes on working.
    ///
    /// # Panics
    /// It does not do so.
    pub async fn drain(&self, period: Duration) {
        let period = format!("--drain={}ms", period.as_millis());
        let address = format!("--http={}", self.http_address());
        let mut pre_stop = Command::new(&self.setup.binary)
            .args([address, period])
            .env_clear()
            .stdin(Stdio::null())
            .spawn()
            .expect("the binary is there");
        let ended = eventually("the end of --drain", async || {
            pre_stop.try_wait().expect("the child is ours")
        });
        let ended = ended.await;
        assert!(ended.success(), "--drain: {ended}");
        let ready = self.client().ready().await;
        assert!(ready.is_err(), "it is still ready: {ready:?}");
    }

    /// Sends SIGTERM and does not wait.
    ///
    /// # Panics
    /// It is gone already.
    pub fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("a running broker");
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// It does not end.
    pub async fn wait(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the broker's end", async || {
            child.try_wait().expect("the child is ours")
        })
        .await
    }

    /// Sends SIGTERM, waits for a clean end and starts it again.
    ///
    /// # Panics
    /// It does not end with 0, or does not get ready again.
    pub async fn restart(mut self) -> Self {
        self.terminate();
        let status = self.wait().await;
        assert!(status.success(), "{status}");
        self.setup.start().await
    }

    async fn learn_address(&mut self) {
        let (child, log) = (&mut self.child, &self.log);
        let found = eventually("the broker's addresses in its log", async || {
            let ended = child.try_wait().expect("the child is ours");
            if let Some(line) = log.find("weir-broker is ready") {
                return Some((addresses(line.field("http")), addresses(line.field("grpc"))));
            }
            assert!(ended.is_none(), "the broker ended instead: {ended:?}");
            None
        });
        (self.http, self.grpc) = found.await;
    }

    async fn wait_until_ready(&self) {
        let client = self.client();
        eventually("/ready", async || client.ready().await.ok()).await;
    }

    fn reap(&mut self) {
        // Both fail only on a child that has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        self.reap();
        if std::thread::panicking() {
            eprintln!("log of broker {}:\n{}", self.id(), self.log.text());
        }
    }
}
