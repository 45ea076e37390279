//! The dashboard's life: follow, listen, serve, drain.

use crate::follow::Follower;
use crate::http::{self, HttpState};
use crate::metrics::{self, Exporter, FollowMetrics};
use crate::sample::HostTopic;
use crate::settings::Settings;
use crate::view::{self, ViewClient};
use anyhow::{Context, anyhow, bail};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_client::{Client, ClientOptions};
use weir_service::clock::Clock;
use weir_service::http::DrainOutcome;
use weir_service::presence::Presence;
use weir_service::shutdown::Signals;
use weir_service::telemetry;

/// A broker that hangs is to be seen before a person gives up.
const BROKER_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs the dashboard as a process: until SIGTERM or SIGINT, then drains. Calls `ready` once it
/// serves.
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
    runtime()?.block_on(async {
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

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .thread_name("weir-ui")
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// A dashboard that serves.
#[derive(Debug)]
pub struct Running {
    http: SocketAddr,
    listener: JoinSet<DrainOutcome>,
    /// The view's owner and what feeds it.
    tasks: JoinSet<()>,
    presence: Presence,
    stop_serving: CancellationToken,
    stop_tasks: CancellationToken,
    grace_period: Duration,
}

impl Running {
    /// Binds the listener, begins to follow the broker and to serve. The broker need not be there.
    ///
    /// # Errors
    /// What keeps it from starting, for the operator.
    pub async fn start(settings: &Settings, metrics: Exporter) -> anyhow::Result<Self> {
        let client = Client::new(&settings.broker_url, client_options())?;
        let listener = TcpListener::bind(settings.http)
            .await
            .with_context(|| format!("cannot listen on {}", settings.http))?;
        let mut running = Self {
            http: listener.local_addr()?,
            listener: JoinSet::new(),
            tasks: JoinSet::new(),
            presence: Presence::default(),
            stop_serving: CancellationToken::new(),
            stop_tasks: CancellationToken::new(),
            grace_period: settings.grace_period,
        };
        let view = running.follow(client, &settings.broker_url);
        let upkeep = metrics.clone().keep_up(running.stop_tasks.clone());
        running.tasks.spawn(upkeep);
        running.serve(listener, settings, view, metrics);
        running.presence.set_started();
        running.greet(settings);
        Ok(running)
    }

    fn follow(&mut self, client: Client, broker_url: &str) -> ViewClient {
        let clock = Clock::system();
        let (view, owner) = view::open(broker_url, clock.clone(), self.stop_tasks.clone());
        self.tasks.spawn(owner);
        let follower = Follower {
            client,
            view: view.clone(),
            clock,
            metrics: FollowMetrics::new(),
        };
        for topic in HostTopic::ALL {
            let following = follower.clone().follow(topic, self.stop_tasks.clone());
            self.tasks.spawn(following);
        }
        self.tasks
            .spawn(follower.watch_topics(self.stop_tasks.clone()));
        view
    }

    fn serve(
        &mut self,
        listener: TcpListener,
        settings: &Settings,
        view: ViewClient,
        metrics: Exporter,
    ) {
        let state = HttpState {
            view,
            metrics,
            address: self.http,
            presence: self.presence.clone(),
            stop: self.stop_serving.clone(),
        };
        self.listener.spawn(weir_service::http::serve(
            listener,
            http::service(&Arc::new(state)),
            settings.http_limits.clone(),
            metrics::connections(),
            self.stop_serving.clone(),
        ));
    }

    fn greet(&self, settings: &Settings) {
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            http = %self.http,
            broker = %settings.broker_url,
            "weir-ui is ready"
        );
        if !self.http.ip().is_loopback() {
            tracing::warn!(
                "listening beyond loopback without authentication: whoever reaches the port sees every host"
            );
        }
    }

    /// Where HTTP listens, with the port that the system chose.
    #[must_use]
    pub const fn http_address(&self) -> SocketAddr {
        self.http
    }

    /// Drains and ends, in this order: `/ready` turns 503 and event streams end; the listener
    /// stops; requests finish; then nobody needs the view any more, and it and its streams end.
    ///
    /// # Errors
    /// Something still ran after the grace period.
    pub async fn stop(self) -> anyhow::Result<()> {
        let grace_period = self.grace_period;
        match tokio::time::timeout(grace_period, self.stop_in_order()).await {
            Ok(stopped) => stopped,
            Err(_) => bail!("still not closed after the grace period of {grace_period:?}"),
        }
    }

    async fn stop_in_order(mut self) -> anyhow::Result<()> {
        self.stop_serving.cancel();
        let mut cut = 0;
        while let Some(outcome) = self.listener.join_next().await {
            if let DrainOutcome::TimedOut { connections } = outcome? {
                cut += connections;
            }
        }
        self.stop_tasks.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended?;
        }
        if cut > 0 {
            bail!(
                "{cut} connections still had requests running after the drain timeout and were cut"
            );
        }
        tracing::info!("weir-ui stopped");
        Ok(())
    }
}

fn client_options() -> ClientOptions {
    ClientOptions {
        request_timeout: BROKER_TIMEOUT,
        ..ClientOptions::default()
    }
}
