//! An agent's life: look, send, sleep until the next slot; at the end send what waits.

use crate::broker_connection::BrokerConnection;
use crate::buffer::Buffer;
use crate::collectors::{Collectors, Identity};
use crate::encode::AnySample;
use crate::http::{self, Pages};
use crate::publisher::{Publisher, PublisherState};
use crate::pulse::Pulse;
use crate::sample::Topic;
use crate::sampler::Sampler;
use crate::schedule::Schedule;
use crate::settings::Settings;
use anyhow::Context;
use bytes::Bytes;
use serde::{Serialize, Serializer};
use std::future::Future;
use std::io::Write;
use std::pin::pin;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use weir_service::clock::Clock;
use weir_service::settings::Listen;
use weir_service::shutdown::Signals;
use weir_service::telemetry;

/// The publisher takes samples at all times, so this only bridges its wake-up.
const TICKS_BETWEEN_TASKS: usize = 4;
/// sysinfo needs this long between two looks at the CPUs.
const FIRST_CPU_LOOK: Duration = Duration::from_millis(300);
/// `--once` waits for slow filesystems as long as it makes sense.
const ONCE_PATIENCE: Duration = Duration::from_secs(5);

/// Runs the agent as a process: until SIGTERM or SIGINT, then sends what waits.
///
/// # Errors
/// It could not start.
pub fn process(settings: &Settings) -> anyhow::Result<()> {
    runtime(settings)?.block_on(async {
        let mut signals = Signals::listen().context("cannot listen for signals")?;
        let stop = async {
            let signal = signals.next().await;
            tracing::info!(%signal, "stopping");
        };
        run(settings, stop).await
    })
}

/// Prints one sample of everything as one JSON object.
///
/// # Errors
/// It could not start, or standard output is closed.
pub fn print_once(settings: &Settings) -> anyhow::Result<()> {
    let samples = runtime(settings)?.block_on(once(settings));
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &samples)?;
    writeln!(out)?;
    Ok(())
}

/// What both need: logs, and a runtime.
fn runtime(settings: &Settings) -> anyhow::Result<tokio::runtime::Runtime> {
    telemetry::init(settings.log_format, &settings.log_filter)?;
    let warnings = settings.warnings.iter();
    warnings.for_each(|warning| tracing::warn!("{warning}"));
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// Sends samples until `stop` is over, then what waits. Ends within about 10 seconds after that.
///
/// # Errors
/// The broker's URL cannot be used.
pub async fn run(settings: &Settings, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let connection = BrokerConnection::new(&settings.broker, settings.dialect)?;
    let state = PublisherState::default();
    let (sender, samples) = mpsc::channel(TICKS_BETWEEN_TASKS);
    let buffer = Buffer::new(settings.buffer_bytes);
    let publisher = Publisher::new(connection, buffer, state.clone(), samples);
    let pulse = Pulse::default();
    let stop_listening = CancellationToken::new();
    let collectors = collectors(settings);
    let pages = Pages {
        pulse: pulse.clone(),
        publisher: state.clone(),
        collectors: collectors.health(),
    };
    let listening = listen(settings.http, pages, stop_listening.clone()).await?;
    let sampler = sampler(settings, collectors, state);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        node = settings.node,
        broker = settings.broker,
        procfs = %settings.roots.procfs.display(),
        rootfs = %settings.roots.rootfs.display(),
        "weir-agent is running"
    );
    let sampling = async {
        sample_until(stop, sampler, settings, &pulse, sender).await;
        stop_listening.cancel();
    };
    tokio::join!(sampling, publisher.run(), listening);
    tracing::info!("stopped");
    Ok(())
}

/// Binds the listener for probes, if there is to be one; what comes back serves it until `stop`.
async fn listen(
    listen: Listen,
    pages: Pages,
    stop: CancellationToken,
) -> anyhow::Result<impl Future<Output = ()> + Send> {
    let listener = match listen.address() {
        None => None,
        Some(address) => {
            let bound = TcpListener::bind(address).await;
            Some(bound.with_context(|| format!("cannot listen on {address}"))?)
        }
    };
    if let Some(listener) = &listener {
        tracing::info!(http = %listener.local_addr()?, "answering probes");
    }
    Ok(async move {
        if let Some(listener) = listener {
            let connections = metrics::Gauge::noop();
            weir_service::http::serve(listener, pages, http::limits(), connections, stop).await;
        }
    })
}

fn collectors(settings: &Settings) -> Collectors {
    let collectors = Collectors::new(settings.roots.clone());
    match settings.filesystems {
        true => collectors,
        false => collectors.without_filesystems(),
    }
}

fn sampler(settings: &Settings, collectors: Collectors, state: PublisherState) -> Sampler {
    let identity = Identity {
        node: settings.node.clone(),
        labels: settings.labels.clone(),
    };
    Sampler::new(collectors, identity, Clock::system(), state)
}

/// Samples in every slot. Drops `sender` at the end, which ends the publisher.
async fn sample_until(
    stop: impl Future<Output = ()>,
    mut sampler: Sampler,
    settings: &Settings,
    pulse: &Pulse,
    sender: mpsc::Sender<Vec<Bytes>>,
) {
    let mut stop = pin!(stop);
    let mut schedule = Schedule::new(settings.interval_seconds, &settings.topics);
    let mut lines = sampler.introduction(settings.dialect);
    loop {
        let due = schedule.due(since_boot());
        lines.extend(sampler.encoded(&due, settings.dialect).await);
        if !lines.is_empty() && sender.send(std::mem::take(&mut lines)).await.is_err() {
            return;
        }
        let now = since_boot();
        let pause = schedule.pause(now);
        pulse.beat(now + pause);
        tokio::select! {
            () = &mut stop => return,
            () = sleep(pause) => {}
        }
    }
}

/// Time since boot, time asleep included.
pub(crate) fn since_boot() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(now).unwrap_or_default()
}

/// One sample of everything. What cannot be read is missing.
async fn once(settings: &Settings) -> ByTopic {
    let collectors = collectors(settings);
    let mut sampler = sampler(settings, collectors, PublisherState::default());
    let mut schedule = Schedule::new(settings.interval_seconds, &settings.topics);
    let due = schedule.due(since_boot());
    if let Some(cpu) = due.iter().find(|due| due.topic == Topic::Cpu) {
        // A share of time needs a time: this look only begins it.
        sampler.sample(*cpu, ONCE_PATIENCE).await;
        sleep(FIRST_CPU_LOOK).await;
    }
    let mut samples = Vec::with_capacity(due.len());
    for due in due {
        samples.extend(sampler.sample(due, ONCE_PATIENCE).await);
    }
    ByTopic(samples)
}

/// Samples as one object, in order.
struct ByTopic(Vec<AnySample>);

impl Serialize for ByTopic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let named = self.0.iter().map(|sample| (sample.topic().name(), sample));
        serializer.collect_map(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `weir up` runs the agent as a task beside others.
    #[test]
    fn a_running_agent_may_move_between_threads() {
        fn is_send(_: &impl Send) {}
        let matches = crate::settings::command().get_matches_from(["weir-agent", "--node=n"]);
        let settings = Settings::read(&matches, &|_| None).unwrap();
        is_send(&run(&settings, std::future::ready(())));
    }
}
