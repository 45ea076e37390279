//! A broker's life: open, listen, serve, drain, close.

use crate::broker::{Broker, Closing};
use crate::http::{self, HttpState};
use crate::metrics::Exporter;
use crate::settings::Settings;
use anyhow::{Context, anyhow, bail};
use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_commitlog::Disk;
use weir_service::clock::Clock;
use weir_service::descriptors;
use weir_service::http::{DrainOutcome, InFlight};
use weir_service::shutdown::Signals;
use weir_service::telemetry;

/// Runs the broker as a process: until SIGTERM or SIGINT, then drains and closes. Calls `ready` once
/// it serves.
///
/// # Errors
/// It could not start, or did not end within the grace period.
pub fn process(settings: &Settings, ready: impl FnOnce(&Running)) -> anyhow::Result<()> {
    telemetry::init(settings.log_format, &settings.log_filter)?;
    settings
        .warnings
        .iter()
        .for_each(|warning| tracing::warn!("{warning}"));
    let metrics = Exporter::install()?;
    runtime(settings)?.block_on(async {
        let mut signals = Signals::listen().context("cannot listen for signals")?;
        let running = Running::start(settings, metrics).await?;
        ready(&running);
        let signal = signals.next().await;
        tracing::info!(?signal, "stopping");
        tokio::select! {
            stopped = running.stop() => stopped,
            again = signals.next() => Err(anyhow!("second signal ({again:?}): not everything was closed")),
        }
    })
}

fn runtime(settings: &Settings) -> anyhow::Result<tokio::runtime::Runtime> {
    let threads = settings.worker_threads.unwrap_or_else(default_workers);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("weir")
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// One processor is left to the committer's thread, which is as busy as a worker: with a worker more
/// the two only take the processor from each other.
fn default_workers() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    (processors - 1).max(1)
}

/// Connections, segments and journals, and what else is open.
fn needed_descriptors(settings: &Settings) -> u64 {
    let others = 100;
    (settings.http_limits.max_connections + settings.broker.max_open_files + others) as u64
}

/// A broker that serves.
#[derive(Debug)]
pub struct Running {
    broker: Broker,
    closing: Closing,
    listeners: JoinSet<DrainOutcome>,
    upkeep: JoinSet<()>,
    http: Option<SocketAddr>,
    stop: CancellationToken,
    settings: Settings,
}

impl Running {
    /// Opens the data directory, binds the listeners and begins to serve.
    ///
    /// # Errors
    /// What keeps it from starting, for the operator.
    pub async fn start(settings: &Settings, metrics: Exporter) -> anyhow::Result<Self> {
        descriptors::raise_limit(needed_descriptors(settings));
        let (broker, closing) =
            Broker::open(settings.broker.clone(), Arc::new(Disk), Clock::system())?;
        let stop = CancellationToken::new();
        let mut upkeep = JoinSet::new();
        upkeep.spawn(metrics.clone().keep_up(stop.clone()));
        let mut running = Self {
            broker,
            closing,
            listeners: JoinSet::new(),
            upkeep,
            http: None,
            stop,
            settings: settings.clone(),
        };
        if let Some(address) = settings.http {
            running.listen_http(address, metrics).await?;
        }
        running.greet();
        Ok(running)
    }

    async fn listen_http(&mut self, address: SocketAddr, metrics: Exporter) -> anyhow::Result<()> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
        self.http = Some(listener.local_addr()?);
        let state = HttpState {
            broker: self.broker.clone(),
            body_limits: self.settings.body_limits.clone(),
            in_flight: InFlight::new(self.settings.max_bytes_in_flight),
            metrics,
        };
        let service = http::service(&Arc::new(state));
        let limits = self.settings.http_limits.clone();
        let connections = crate::metrics::connections();
        let stop = self.stop.clone();
        self.listeners.spawn(weir_service::http::serve(
            listener,
            service,
            limits,
            connections,
            stop,
        ));
        Ok(())
    }

    fn greet(&self) {
        let identity = self.broker.identity();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            data_dir = %self.settings.broker.data_dir.display(),
            http = self.http.map_or_else(|| "off".to_owned(), |address| address.to_string()),
            durability = %self.settings.broker.topic_defaults.durability,
            topics = self.broker.list_topics().len(),
            start = identity.broker_start.0,
            "weir-broker is ready"
        );
        if self.http.is_some_and(|address| !address.ip().is_loopback()) {
            tracing::warn!(
                "listening beyond loopback without authentication: whoever reaches the port may read and write everything"
            );
        }
    }

    /// Where HTTP listens, with the port that the system chose.
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http
    }

    /// The broker's core.
    #[must_use]
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Drains and closes, in this order: `/ready` turns 503, long polls and streams end; listeners
    /// stop; requests finish; groups end; the last round is committed; files are closed.
    ///
    /// # Errors
    /// Something still ran after the grace period, or a file could not be synced.
    pub async fn stop(self) -> anyhow::Result<()> {
        let grace_period = self.settings.grace_period;
        match tokio::time::timeout(grace_period, self.stop_in_order()).await {
            Ok(stopped) => stopped,
            Err(_) => bail!("still not closed after the grace period of {grace_period:?}"),
        }
    }

    async fn stop_in_order(mut self) -> anyhow::Result<()> {
        self.broker.drain();
        self.stop.cancel();
        let mut cut = 0;
        while let Some(outcome) = self.listeners.join_next().await {
            if let DrainOutcome::TimedOut { connections } = outcome? {
                cut += connections;
            }
        }
        self.closing.close().await?;
        self.upkeep.join_all().await;
        if cut > 0 {
            bail!(
                "{cut} connections still had requests running after the drain timeout and were cut"
            );
        }
        tracing::info!("stopped");
        Ok(())
    }
}
