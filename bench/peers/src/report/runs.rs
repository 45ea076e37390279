//! Repeats of one measurement, side by side.

use super::Outcome;
use serde::Deserialize;

/// What is compared: everything that was asked for but the system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Setup {
    pub scenario: String,
    pub size: usize,
    pub publishers: usize,
    pub consumers: usize,
    pub batch: usize,
}

#[derive(Deserialize)]
pub struct Line {
    label: String,
    #[serde(flatten)]
    setup: Setup,
    #[serde(flatten)]
    outcome: Outcome,
}

/// All repeats of one system in one setup.
pub struct Repeats {
    pub label: String,
    pub setup: Setup,
    outcomes: Vec<Outcome>,
}

/// The middle and the ends of one figure over the repeats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Spread {
    pub fn of(value: f64) -> Self {
        Self {
            median: value,
            low: value,
            high: value,
        }
    }

    pub fn times(self, factor: f64) -> Self {
        Self {
            median: self.median * factor,
            low: self.low * factor,
            high: self.high * factor,
        }
    }

    pub fn text(self) -> String {
        let Self { median, low, high } = self;
        format!("{} ({}–{})", number(median), number(low), number(high))
    }
}

/// Three digits that say something.
pub fn number(value: f64) -> String {
    match value.abs() {
        a if a >= 100.0 => format!("{value:.0}"),
        a if a >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

impl Repeats {
    pub fn count(&self) -> usize {
        self.outcomes.len()
    }

    pub fn spread(&self, figure: impl Fn(&Outcome) -> f64) -> Spread {
        let mut values: Vec<f64> = self.outcomes.iter().map(figure).collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        Spread {
            median: at(values.len() / 2),
            low: at(0),
            high: at(values.len().saturating_sub(1)),
        }
    }

    pub fn payload_mb(&self, outcome: &Outcome) -> f64 {
        outcome.messages as f64 * self.setup.size as f64 / 1e6
    }

    /// Messages that a consumer missed or got twice, in all repeats.
    pub fn wrong(&self) -> u64 {
        let wrong = |outcome: &Outcome| outcome.missing + outcome.duplicates;
        self.outcomes.iter().map(wrong).sum()
    }
}

/// By setup; within it, systems in the order in which they were measured.
pub struct Runs(pub Vec<Repeats>);

impl Runs {
    pub fn new(lines: Vec<Line>) -> Self {
        let mut all: Vec<Repeats> = Vec::new();
        for Line {
            label,
            setup,
            outcome,
        } in lines
        {
            let known = |known: &&mut Repeats| known.label == label && known.setup == setup;
            match all.iter_mut().find(known) {
                Some(repeats) => repeats.outcomes.push(outcome),
                None => all.push(Repeats {
                    label,
                    setup,
                    outcomes: vec![outcome],
                }),
            }
        }
        all.sort_by(|a, b| a.setup.cmp(&b.setup));
        Self(all)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A run of `scenario` with as many clients of each kind, `rate` messages in a second.
    pub fn line(label: &str, scenario: &str, clients: usize, batch: usize, rate: u64) -> Line {
        let outcome = Outcome {
            messages: rate,
            seconds: 1.0,
            ..Outcome::default()
        };
        let setup = Setup {
            scenario: scenario.into(),
            size: 200,
            publishers: clients,
            consumers: clients,
            batch,
        };
        Line {
            label: label.into(),
            setup,
            outcome,
        }
    }

    #[test]
    fn repeats_are_gathered_and_their_middle_found() {
        let rates = [30, 10, 20];
        let runs = Runs::new(rates.map(|rate| line("a", "publish", 1, 1, rate)).into());
        let [repeats] = &runs.0[..] else {
            panic!("one setup of one system")
        };
        let expected = Spread {
            median: 20.0,
            low: 10.0,
            high: 30.0,
        };
        assert_eq!(repeats.spread(Outcome::rate), expected);
    }
}
