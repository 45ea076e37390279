//! The three parts in one process: started in order, stopped in reverse.

use super::settings::UpSettings;
use anyhow::{Context, anyhow};
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_broker::metrics::Exporter;

/// What runs.
pub(super) struct Together {
    broker: weir_broker::Running,
    ui: Option<weir_ui::Running>,
    agent: JoinSet<anyhow::Result<()>>,
    stop_agent: CancellationToken,
    data_dir: PathBuf,
}

/// What runs where.
pub(super) struct Places {
    pub(super) broker: Option<SocketAddr>,
    pub(super) ui: Option<SocketAddr>,
    pub(super) agent: bool,
    pub(super) data_dir: PathBuf,
}

impl Together {
    /// Starts the broker, then what talks to it.
    ///
    /// # Errors
    /// What keeps one of them from starting; those that run are dropped, which a crash-safe broker
    /// does not mind.
    pub(super) async fn start(settings: &UpSettings, metrics: Exporter) -> anyhow::Result<Self> {
        let recorder = metrics.recorder();
        let broker = weir_broker::Running::start(&settings.broker, metrics).await?;
        let mut together = Self {
            broker,
            ui: None,
            agent: JoinSet::new(),
            stop_agent: CancellationToken::new(),
            data_dir: settings.broker.broker.data_dir.clone(),
        };
        if let Some(address) = settings.ui {
            let grace_period = settings.broker.grace_period;
            let ui = weir_ui::Settings::embedded(together.broker_url()?, address, grace_period);
            let metrics = weir_ui::metrics::Exporter::sharing(recorder);
            together.ui = Some(weir_ui::Running::start(&ui, metrics).await?);
        }
        if settings.agent {
            together.start_agent()?;
        }
        Ok(together)
    }

    fn start_agent(&mut self) -> anyhow::Result<()> {
        let flags = ["weir-agent", "--broker", &self.broker_url()?];
        let matches = weir_agent::settings::command().try_get_matches_from(flags)?;
        let settings = weir_agent::Settings::read(&matches, &|name| std::env::var(name).ok())?;
        let stop = self.stop_agent.clone();
        self.agent
            .spawn(async move { weir_agent::run::run(&settings, stop.cancelled()).await });
        Ok(())
    }

    /// Where the parts reach the broker: on this machine, whatever it listens on.
    fn broker_url(&self) -> anyhow::Result<String> {
        let address = self
            .broker
            .http_address()
            .context("the broker does not listen on HTTP")?;
        let host = match address.ip() {
            ip if ip.is_unspecified() => SocketAddr::from(([127, 0, 0, 1], address.port())),
            _ => address,
        };
        Ok(format!("http://{host}"))
    }

    pub(super) fn places(&self) -> Places {
        Places {
            broker: self.broker.http_address(),
            ui: self.ui.as_ref().map(weir_ui::Running::http_address),
            agent: !self.agent.is_empty(),
            data_dir: self.data_dir.clone(),
        }
    }

    /// Stops in this order, so that each still has what it talks to: the agent sends what waits, the
    /// dashboard ends, the broker drains and closes. All are stopped whatever happens to one.
    ///
    /// # Errors
    /// The first part that did not end well.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        self.stop_agent.cancel();
        let mut agent = Ok(());
        while let Some(ended) = self.agent.join_next().await {
            agent = agent.and(
                ended
                    .map_err(|e| anyhow!("the agent failed: {e}"))
                    .flatten(),
            );
        }
        let ui = match self.ui {
            Some(ui) => ui.stop().await.context("the dashboard"),
            None => Ok(()),
        };
        let broker = self.broker.stop().await.context("the broker");
        agent.and(ui).and(broker)
    }
}
