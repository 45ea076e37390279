//! What Weir wants to reach, as ratios to other systems in the same run.

use super::Outcome;
use super::runs::{Repeats, Runs, Spread, number};

const OURS: &str = "weir";
/// Iggy has no package, so its medians are known from another machine. Redis with an AOF that is
/// always synced acknowledged this many messages a second there, to 64 publishers; what it does
/// here says how much faster or slower this machine is.
const REDIS_ALWAYS_THERE: f64 = 68_000.0;

#[derive(Clone, Copy)]
enum Metric {
    Rate,
    P50Us,
    P99Us,
    CpuUsPerMessage,
    PeakRssMb,
}

#[derive(Clone, Copy)]
enum Load {
    Publish {
        clients: usize,
    },
    Batches {
        clients: usize,
        batch: usize,
        size: usize,
    },
    Fetch {
        readers: usize,
    },
    Consume {
        consumers: usize,
    },
    /// At 1,000 messages a second, to one consumer.
    EndToEnd,
}

/// Who we compare with.
#[derive(Clone, Copy)]
enum Peer {
    Measured(&'static str),
    /// The label, and what it reached on the other machine: scaled if it is a rate.
    MeasuredOr(&'static str, f64),
}

struct Target {
    load: Load,
    metric: Metric,
    peer: Peer,
    /// The peer's load where it is another one.
    peer_load: Option<Load>,
    bounds: &'static [Bound],
}

/// Ours in relation to theirs.
#[derive(Clone, Copy)]
enum Bound {
    Minimum(f64),
    Goal(f64),
    /// Where less is better.
    AtMost(f64),
    GoalAtMost(f64),
    /// Only to be seen.
    Nothing,
}

use Bound::{AtMost, Goal, GoalAtMost, Minimum, Nothing};
use Load::{Batches, Consume, EndToEnd, Fetch, Publish};
use Metric::{CpuUsPerMessage, P50Us, P99Us, PeakRssMb, Rate};
use Peer::{Measured, MeasuredOr};

const REDIS_ALWAYS: Peer = Measured("redis-always");
const REDIS_EVERYSEC: Peer = Measured("redis-everysec");
const NATS: Peer = Measured("nats");
const RABBIT_QUORUM: Peer = Measured("rabbit-quorum");
const OURSELVES: Peer = Measured(OURS);
const WARP: Peer = Measured("warp");
const fn iggy_fsync(known: f64) -> Peer {
    MeasuredOr("iggy-fsync", known)
}
/// One reader of Iggy.
const IGGY_FETCH: Peer = MeasuredOr("iggy", 1_000_000.0);
const BATCHES_1X1000: Load = Batches {
    clients: 1,
    batch: 1000,
    size: 200,
};
const BATCHES_4X256: Load = Batches {
    clients: 4,
    batch: 256,
    size: 200,
};
const BATCHES_4X256_1KIB: Load = Batches {
    clients: 4,
    batch: 256,
    size: 1024,
};

const TARGETS: [Target; 24] = [
    target(Publish { clients: 1 }, P50Us, REDIS_ALWAYS, &[AtMost(1.0)]),
    target(
        Publish { clients: 16 },
        Rate,
        REDIS_ALWAYS,
        &[Minimum(1.0), Goal(1.5)],
    ),
    target(Publish { clients: 16 }, Rate, NATS, &[Goal(0.8)]),
    target(
        Publish { clients: 64 },
        Rate,
        REDIS_ALWAYS,
        &[Minimum(1.0), Goal(1.3)],
    ),
    target(Publish { clients: 64 }, Rate, NATS, &[Goal(1.0)]),
    target(Publish { clients: 64 }, Rate, WARP, &[Goal(0.7)]),
    target(
        Publish { clients: 64 },
        Rate,
        iggy_fsync(2_900.0),
        &[Goal(30.0)],
    ),
    target(
        BATCHES_1X1000,
        Rate,
        iggy_fsync(671_000.0),
        &[Minimum(1.0), Goal(1.5)],
    ),
    target(BATCHES_4X256, Rate, iggy_fsync(473_000.0), &[Goal(1.8)]),
    target(
        BATCHES_4X256_1KIB,
        Rate,
        iggy_fsync(223_000.0),
        &[Goal(1.2)],
    ),
    target(Fetch { readers: 1 }, Rate, REDIS_EVERYSEC, &[Minimum(3.0)]),
    target(Fetch { readers: 1 }, Rate, IGGY_FETCH, &[Goal(1.0)]),
    target(Fetch { readers: 4 }, Rate, REDIS_EVERYSEC, &[Minimum(3.0)]),
    target(Fetch { readers: 4 }, Rate, IGGY_FETCH, &[Goal(1.0)]).against(Fetch { readers: 1 }),
    target(
        Consume { consumers: 1 },
        Rate,
        NATS,
        &[Minimum(1.5), Goal(2.0)],
    ),
    target(
        Consume { consumers: 4 },
        Rate,
        NATS,
        &[Minimum(2.0), Goal(3.0)],
    ),
    target(Consume { consumers: 1 }, Rate, REDIS_EVERYSEC, &[Nothing]),
    target(Consume { consumers: 4 }, Rate, REDIS_EVERYSEC, &[Nothing]),
    target(Consume { consumers: 4 }, Rate, OURSELVES, &[Minimum(0.5)])
        .against(Fetch { readers: 4 }),
    target(
        EndToEnd,
        P50Us,
        REDIS_ALWAYS,
        &[AtMost(0.8), GoalAtMost(0.6)],
    ),
    target(
        EndToEnd,
        P99Us,
        RABBIT_QUORUM,
        &[AtMost(1.0), GoalAtMost(0.8)],
    ),
    target(
        Publish { clients: 16 },
        CpuUsPerMessage,
        NATS,
        &[AtMost(1.2), GoalAtMost(1.0)],
    ),
    target(
        BATCHES_4X256,
        CpuUsPerMessage,
        iggy_fsync(1.25),
        &[AtMost(1.0)],
    ),
    target(Publish { clients: 64 }, PeakRssMb, NATS, &[AtMost(0.75)]),
];

const fn target(load: Load, metric: Metric, peer: Peer, bounds: &'static [Bound]) -> Target {
    Target {
        load,
        metric,
        peer,
        peer_load: None,
        bounds,
    }
}

impl Target {
    const fn against(mut self, load: Load) -> Self {
        self.peer_load = Some(load);
        self
    }
}

/// A line for each bound of each target.
pub fn render(runs: &Runs) -> String {
    let mut text = String::from(
        "| target | weir | other | theirs | ratio | wanted | verdict |\n|---|--:|---|--:|--:|---|---|",
    );
    for target in &TARGETS {
        for bound in target.bounds {
            text += &format!("\n{}", line(runs, target, *bound));
        }
    }
    text
}

fn line(runs: &Runs, target: &Target, bound: Bound) -> String {
    let ours = spread(runs, OURS, target.load, target.metric);
    let (peer, theirs) = theirs(runs, target);
    let what = format!("{}, {}", target.load.text(), target.metric.text());
    let show = |spread: Option<Spread>| spread.map_or_else(|| "–".to_owned(), |s| number(s.median));
    let (ratio, verdict) = match ours.zip(theirs) {
        None => ("–".to_owned(), "not measured".to_owned()),
        Some((ours, theirs)) => {
            let ratio = ratio(ours, theirs);
            (ratio.text(), bound.verdict(ratio))
        }
    };
    let (ours, theirs, bound) = (show(ours), show(theirs), bound.text());
    format!("| {what} | {ours} | {peer} | {theirs} | {ratio} | {bound} | {verdict} |")
}

/// The median of the medians' ratio, and how far the repeats let it lie to either side.
fn ratio(ours: Spread, theirs: Spread) -> Spread {
    Spread {
        median: ours.median / theirs.median,
        low: ours.low / theirs.high,
        high: ours.high / theirs.low,
    }
}

/// The peer as the table names it, and its figures.
fn theirs(runs: &Runs, target: &Target) -> (String, Option<Spread>) {
    let load = target.peer_load.unwrap_or(target.load);
    let name = |label: &str| match target.peer_load {
        Some(other) => format!("{label}, {}", other.text()),
        None => label.to_owned(),
    };
    match target.peer {
        Measured(label) => (name(label), spread(runs, label, load, target.metric)),
        MeasuredOr(label, known) => match spread(runs, label, load, target.metric) {
            Some(measured) => (name(label), Some(measured)),
            None => known_elsewhere(runs, label, known, target.metric),
        },
    }
}

fn known_elsewhere(
    runs: &Runs,
    label: &str,
    known: f64,
    metric: Metric,
) -> (String, Option<Spread>) {
    if !matches!(metric, Rate) {
        return (format!("{label}, elsewhere"), Some(Spread::of(known)));
    }
    let here = spread(runs, "redis-always", Publish { clients: 64 }, Rate);
    let scaled = here.map(|here| here.times(known / REDIS_ALWAYS_THERE));
    (format!("{label}, elsewhere, scaled"), scaled)
}

fn spread(runs: &Runs, label: &str, load: Load, metric: Metric) -> Option<Spread> {
    let matching = |repeats: &&Repeats| repeats.label == label && load.is(repeats);
    let repeats = runs.0.iter().find(matching)?;
    Some(repeats.spread(|outcome| metric.of(outcome)))
}

impl Load {
    fn is(self, repeats: &Repeats) -> bool {
        let setup = &repeats.setup;
        let (scenario, size) = (setup.scenario.as_str(), setup.size);
        match self {
            Publish { clients } => (scenario, setup.publishers, size) == ("publish", clients, 200),
            Batches {
                clients,
                batch,
                size: wanted,
            } => {
                let is_such = (scenario, size) == ("publish-batch", wanted);
                is_such && (setup.publishers, setup.batch) == (clients, batch)
            }
            Fetch { readers } => (scenario, setup.consumers, size) == ("fetch", readers, 200),
            Consume { consumers } => {
                (scenario, setup.consumers, size) == ("consume", consumers, 200)
            }
            EndToEnd => (scenario, setup.consumers, size) == ("e2e", 1, 200),
        }
    }

    fn text(self) -> String {
        match self {
            Publish { clients } => format!("publish, {clients} clients"),
            Batches {
                clients,
                batch,
                size,
            } => {
                format!("publish-batch, {clients} × {batch}, {size} B")
            }
            Fetch { readers } => format!("fetch, {readers} readers"),
            Consume { consumers } => format!("consume, {consumers} consumers"),
            EndToEnd => "e2e, 1,000 msg/s".to_owned(),
        }
    }
}

impl Metric {
    fn of(self, outcome: &Outcome) -> f64 {
        match self {
            Rate => outcome.rate(),
            P50Us => outcome.p50_us,
            P99Us => outcome.p99_us,
            CpuUsPerMessage => outcome.cpu_us_per_message(),
            PeakRssMb => outcome.peak_rss_mb,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Rate => "msg/s",
            P50Us => "p50 us",
            P99Us => "p99 us",
            CpuUsPerMessage => "broker us CPU/msg",
            PeakRssMb => "peak RSS MB",
        }
    }
}

impl Bound {
    fn is_met(self, ratio: f64) -> bool {
        match self {
            Minimum(least) | Goal(least) => ratio >= least,
            AtMost(most) | GoalAtMost(most) => ratio <= most,
            Nothing => true,
        }
    }

    /// With a question mark where a point of the ratio's range says otherwise.
    fn verdict(self, ratio: Spread) -> String {
        let is_met = self.is_met(ratio.median);
        let is_sure = [ratio.low, ratio.high].map(|end| self.is_met(end)) == [is_met; 2];
        let word = match self {
            Nothing => return "–".to_owned(),
            _ if is_met => "met",
            _ => "missed",
        };
        format!("{word}{}", if is_sure { "" } else { "?" })
    }

    fn text(self) -> String {
        match self {
            Minimum(least) => format!("≥ {least}"),
            Goal(least) => format!("goal ≥ {least}"),
            AtMost(most) => format!("≤ {most}"),
            GoalAtMost(most) => format!("goal ≤ {most}"),
            Nothing => "–".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::runs::tests::line as run;
    use super::*;

    fn text_of(lines: Vec<super::super::runs::Line>) -> String {
        render(&Runs::new(lines))
    }

    #[test]
    fn a_target_is_met_or_missed_by_its_ratio() {
        let text = text_of(vec![
            run("redis-always", "publish", 16, 256, 100),
            run("weir", "publish", 16, 256, 120),
        ]);
        let start = "| publish, 16 clients, msg/s | 120 | redis-always | 100 | 1.20 (1.20–1.20) |";
        assert!(text.contains(&format!("{start} ≥ 1 | met |")), "{text}");
        assert!(
            text.contains(&format!("{start} goal ≥ 1.5 | missed |")),
            "{text}"
        );
    }

    #[test]
    fn a_verdict_that_the_spread_could_overturn_is_marked() {
        let rates = [90, 100, 110];
        let mut lines = Vec::from(rates.map(|rate| run("redis-always", "publish", 16, 256, rate)));
        lines.push(run("weir", "publish", 16, 256, 105));
        let text = text_of(lines);
        assert!(text.contains("| 1.05 (0.95–1.17) | ≥ 1 | met? |"), "{text}");
        assert!(text.contains("| goal ≥ 1.5 | missed |"), "{text}");
    }

    #[test]
    fn rates_from_elsewhere_are_scaled_until_the_peer_is_measured_here() {
        let half = (REDIS_ALWAYS_THERE / 2.0) as u64;
        let mut lines = vec![run("redis-always", "publish", 64, 256, half)];
        let scaled = "| iggy-fsync, elsewhere, scaled | 335500 |";
        assert!(text_of(lines).contains(scaled));
        lines = vec![run("iggy-fsync", "publish-batch", 1, 1000, 7)];
        assert!(text_of(lines).contains("| iggy-fsync | 7.00 |"));
    }

    #[test]
    fn a_load_can_be_compared_with_another_of_ours() {
        let text = text_of(vec![
            run("weir", "consume", 4, 256, 60),
            run("weir", "fetch", 4, 256, 100),
            run("redis-everysec", "consume", 4, 256, 50),
        ]);
        let start = "| consume, 4 consumers, msg/s | 60.0 |";
        let ours =
            format!("{start} weir, fetch, 4 readers | 100 | 0.60 (0.60–0.60) | ≥ 0.5 | met |");
        assert!(text.contains(&ours), "{text}");
        let shown = format!("{start} redis-everysec | 50.0 | 1.20 (1.20–1.20) | – | – |");
        assert!(text.contains(&shown), "{text}");
    }

    #[test]
    fn what_was_not_measured_is_neither_met_nor_missed() {
        let text = text_of(Vec::new());
        assert!(
            !text.contains("| met") && !text.contains("| missed"),
            "{text}"
        );
    }
}
