//! A broker's life: open, listen, serve, drain, close.

use crate::broker::{Broker, Closing};
use crate::grpc::{self, GrpcState};
use crate::http::{self, HttpState};
use crate::metrics::Exporter;
use crate::push::refuse_own_addresses;
use crate::settings::{self, GrpcListen, Settings};
use ::http::{Request, Response};
use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use warp::hyper::body::{Body, Incoming};
use weir_commitlog::Disk;
use weir_service::clock::Clock;
use weir_service::descriptors;
use weir_service::http::{DrainOutcome, InFlight};
use weir_service::presence::Presence;
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

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.with_context(|| format!("cannot listen on {address}"))
}

async fn grpc_listeners(listen: &GrpcListen) -> anyhow::Result<Vec<TcpListener>> {
    let addresses = match listen {
        GrpcListen::Off => return Ok(Vec::new()),
        GrpcListen::IfFree => match TcpListener::bind(settings::default_grpc()).await {
            Ok(listener) => return Ok(vec![listener]),
            Err(error) => {
                let address = settings::default_grpc();
                tracing::warn!(%address, %error, "no gRPC listener; --grpc says where else to listen, or \"off\"");
                return Ok(Vec::new());
            }
        },
        GrpcListen::On(addresses) => addresses,
    };
    let mut listeners = Vec::new();
    for &address in addresses {
        listeners.push(bind(address).await?);
    }
    Ok(listeners)
}

/// Where it is to listen, as far as the ports are known.
fn listen_addresses(settings: &Settings) -> Vec<SocketAddr> {
    let grpc = match &settings.grpc {
        GrpcListen::Off => Vec::new(),
        GrpcListen::IfFree => vec![settings::default_grpc()],
        GrpcListen::On(addresses) => addresses.clone(),
    };
    [settings.http.clone(), grpc].concat()
}

fn shown(addresses: &[SocketAddr]) -> String {
    match addresses.is_empty() {
        true => "off".to_owned(),
        false => {
            let shown: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            shown.join(",")
        }
    }
}

/// Waits for all listeners; returns how many connections were cut.
async fn listeners_ended(listeners: &mut JoinSet<DrainOutcome>) -> anyhow::Result<usize> {
    let mut cut = 0;
    while let Some(outcome) = listeners.join_next().await {
        if let DrainOutcome::TimedOut { connections } = outcome? {
            cut += connections;
        }
    }
    Ok(cut)
}

/// A broker that serves.
#[derive(Debug)]
pub struct Running {
    broker: Broker,
    closing: Closing,
    listeners: JoinSet<DrainOutcome>,
    upkeep: JoinSet<()>,
    /// Where HTTP listens, with the ports that the system chose.
    http: Vec<SocketAddr>,
    grpc: Vec<SocketAddr>,
    presence: Presence,
    stop: CancellationToken,
    settings: Arc<Settings>,
}

impl Running {
    /// Opens the data directory, binds the listeners and begins to serve.
    ///
    /// # Errors
    /// What keeps it from starting, for the operator.
    pub async fn start(settings: &Settings, metrics: Exporter) -> anyhow::Result<Self> {
        descriptors::raise_limit(needed_descriptors(settings));
        let own = listen_addresses(settings);
        let backends = &settings.broker.push.backends;
        let others = refuse_own_addresses(backends, &own).await;
        others.map_err(anyhow::Error::msg)?;
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
            http: Vec::new(),
            grpc: Vec::new(),
            presence: Presence::default(),
            stop,
            settings: Arc::new(settings.clone()),
        };
        let in_flight = InFlight::new(running.settings.max_bytes_in_flight);
        running.listen_http(metrics, in_flight.clone()).await?;
        running.listen_grpc(in_flight).await?;
        running.presence.set_started();
        running.greet();
        Ok(running)
    }

    async fn listen_http(&mut self, metrics: Exporter, in_flight: InFlight) -> anyhow::Result<()> {
        let state = HttpState {
            broker: self.broker.clone(),
            body_limits: self.settings.body_limits.clone(),
            in_flight,
            metrics,
            presence: self.presence.clone(),
        };
        let service = http::service(&Arc::new(state));
        for address in self.settings.http.clone() {
            let listener = bind(address).await?;
            self.http.push(listener.local_addr()?);
            self.serve(listener, service.clone());
        }
        Ok(())
    }

    async fn listen_grpc(&mut self, in_flight: InFlight) -> anyhow::Result<()> {
        let service = grpc::service(&GrpcState {
            broker: self.broker.clone(),
            body_limits: self.settings.body_limits.clone(),
            in_flight,
        })?;
        for listener in grpc_listeners(&self.settings.grpc).await? {
            self.grpc.push(listener.local_addr()?);
            self.serve(listener, service.clone());
        }
        Ok(())
    }

    fn serve<S, B>(&mut self, listener: TcpListener, service: S)
    where
        S: tower_service::Service<
                Request<Incoming>,
                Response = Response<B>,
                Error = Infallible,
                Future: Send,
            > + Clone
            + Send
            + 'static,
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        self.listeners.spawn(weir_service::http::serve(
            listener,
            service,
            self.settings.http_limits.clone(),
            crate::metrics::connections(),
            self.stop.clone(),
        ));
    }

    fn greet(&self) {
        let identity = self.broker.identity();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            data_dir = %self.settings.broker.data_dir.display(),
            http = shown(&self.http),
            grpc = shown(&self.grpc),
            durability = %self.settings.broker.topic_defaults.durability,
            topics = self.broker.list_topics().len(),
            start = identity.broker_start.0,
            "weir-broker is ready"
        );
        let mut everywhere = self.http.iter().chain(&self.grpc);
        if everywhere.any(|address| !address.ip().is_loopback()) {
            tracing::warn!(
                "listening beyond loopback without authentication: whoever reaches the port may read and write everything"
            );
        }
    }

    /// Where HTTP listens first, with the port that the system chose.
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.first().copied()
    }

    /// Everywhere that HTTP listens.
    #[must_use]
    pub fn http_addresses(&self) -> &[SocketAddr] {
        &self.http
    }

    /// Everywhere that gRPC listens.
    #[must_use]
    pub fn grpc_addresses(&self) -> &[SocketAddr] {
        &self.grpc
    }

    /// The broker's core.
    #[must_use]
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Drains and closes, in this order: `/ready` turns 503, long polls and streams end; listeners
    /// stop; requests and pushed messages finish; groups end; the last round is committed; files are closed.
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
        let drain_timeout = self.settings.http_limits.drain_timeout;
        let pushes = tokio::time::timeout(drain_timeout, self.broker.pushes_finished());
        let (cut, pushes) = tokio::join!(listeners_ended(&mut self.listeners), pushes);
        if pushes.is_err() {
            tracing::warn!("workers did not finish in time: what they have is delivered again");
        }
        let cut = cut?;
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
