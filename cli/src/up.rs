//! `weir up`: broker, agent and dashboard in one process on one machine.
//!
//! Takes the settings of `weir-broker`, from the same table, and a few of its own. The three talk to
//! each other over HTTP, as they would on three machines.

mod banner;
mod settings;
mod together;

use crate::failure::Failure;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use settings::UpSettings;
use std::io::{Write, stdout};
use together::Together;
use weir_broker::metrics::Exporter;
use weir_service::shutdown::Signals;
use weir_service::telemetry;

/// The settings as given; read when the command runs.
#[derive(Clone, Debug)]
pub(crate) struct Up {
    matches: ArgMatches,
}

const EXAMPLES: &str = "\
Examples:
  weir up
  weir up --data-dir /tmp/weir --http 127.0.0.1:5005 --ui 127.0.0.1:8085
  weir up --agent off --ui off                    just the broker";

impl Args for Up {
    fn augment_args(command: Command) -> Command {
        command
            .about("Run broker, agent and dashboard here")
            .long_about(
                "Run broker, agent and dashboard here, in this process, until Ctrl-C. \
                 Takes every setting of weir-broker.",
            )
            .after_help(EXAMPLES)
            .args(settings::arguments())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Up {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self {
            matches: matches.clone(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.matches = matches.clone();
        Ok(())
    }
}

/// Runs everything until it is told to stop.
pub(crate) fn up(up: &Up) -> Result<(), Failure> {
    let settings = UpSettings::read(&up.matches).map_err(Failure::Usage)?;
    let failed = |error: anyhow::Error| Failure::Failed(format!("{error:#}"));
    run(&settings).map_err(failed)
}

fn run(settings: &UpSettings) -> anyhow::Result<()> {
    telemetry::init(settings.broker.log_format, &settings.broker.log_filter)?;
    settings
        .broker
        .warnings
        .iter()
        .for_each(|warning| tracing::warn!("{warning}"));
    let metrics = Exporter::install()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let together = Together::start(settings, metrics).await?;
        // Nobody may be reading; that must not stop anything.
        let _unread = writeln!(stdout(), "{}", banner::banner(&together.places()));
        let signal = signals.next().await;
        tracing::info!(?signal, "stopping");
        tokio::select! {
            stopped = together.stop() => stopped,
            again = signals.next() => Err(anyhow::anyhow!("second signal ({again:?}): not everything was closed")),
        }
    })
}
