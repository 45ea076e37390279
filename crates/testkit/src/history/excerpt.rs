//! The few lines of a history that show a violation.

use super::event::{Call, Claim, Delivery, Event, Message, Op, Outcome, Verb, What};
use super::recorder::History;
use super::violation::Violation;
use std::collections::{HashMap, HashSet};
use weir_types::Timestamp;

/// Lines of an excerpt.
const SHOWN_LINES: usize = 40;

/// What happened to the messages that a violation is about: one line an event, times in seconds
/// from the beginning of the history.
#[must_use]
pub fn excerpt(history: &History, violation: &Violation) -> String {
    let start = history.events().first().map_or(Timestamp(0), |e| e.at);
    let mut lens = Lens {
        start,
        violation,
        ids: violation.ids.iter().map(String::as_str).collect(),
        calls: HashMap::new(),
    };
    lens.learn_ids(history);
    let mut lines = Vec::new();
    for event in history.events() {
        if let Some(said) = lens.look(&event.what) {
            lines.push((event.at.since(start), said));
        }
    }
    let told = |(_, said): &(_, Said)| matches!(said, Said::Told(_));
    let first = lines.iter().position(told).unwrap_or(0);
    let end = lines.iter().rposition(told).map_or(0, |last| last + 1);
    let lines = lines[first..end.max(first)].iter().map(|(at, said)| {
        let (Said::Told(said) | Said::Background(said)) = said;
        format!("  {:9.3} {said}\n", at.as_secs_f64())
    });
    format!("{violation}\n{}", without_the_middle(lines.collect()))
}

/// A long history says most at its beginning and at its end.
fn without_the_middle(mut lines: Vec<String>) -> String {
    if lines.len() > SHOWN_LINES {
        let half = SHOWN_LINES / 2;
        lines.splice(half..lines.len() - half, ["            …\n".to_owned()]);
    }
    lines.concat()
}

enum Said {
    Told(String),
    /// Shown only between what is told.
    Background(String),
}

/// Sees only what concerns a violation.
struct Lens<'a> {
    start: Timestamp,
    violation: &'a Violation,
    ids: HashSet<&'a str>,
    /// Which parts of the calls under way concern it.
    calls: HashMap<Op, (&'a str, &'a Call, Vec<usize>)>,
}

impl<'a> Lens<'a> {
    /// Violations of deliveries know the places, the history of publishing has the ids.
    fn learn_ids(&mut self, history: &'a History) {
        for Event { what, .. } in history.events() {
            if let What::Delivered { delivery, .. } = what
                && self.violation.positions.contains(&delivery.position)
            {
                self.ids.insert(&delivery.id);
            }
        }
    }

    fn look(&mut self, what: &'a What) -> Option<Said> {
        match what {
            What::Started(life) => {
                Some(Said::Background(format!("-- broker started ({})", life.0)))
            }
            What::Killed(life) => Some(Said::Background(format!("-- broker killed ({})", life.0))),
            What::Invoked {
                op, client, call, ..
            } => {
                let parts = self.parts(call);
                let asks = !matches!(call, Call::Lease { .. } | Call::Stream { .. });
                let said = format!("{client} #{}: {}", op.0, describe_call(call, &parts));
                let concerns = asks && !parts.is_empty();
                self.calls.insert(*op, (client, call, parts));
                concerns.then_some(Said::Told(said))
            }
            What::Delivered { op, delivery } => {
                let concerns = self.concerns(delivery);
                let (client, call, _) = self.calls.get(op)?;
                let said = format!(
                    "{client} #{}: {}",
                    op.0,
                    self.describe_delivery(delivery, call)
                );
                concerns.then_some(Said::Told(said))
            }
            What::Completed { op, outcome } => {
                let (client, _, parts) = self.calls.remove(op)?;
                let said = format!("{client} #{}: {}", op.0, describe_outcome(outcome, &parts));
                (!parts.is_empty()).then_some(Said::Told(said))
            }
        }
    }

    fn describe_delivery(&self, delivery: &Delivery, call: &Call) -> String {
        let (how, visibility_timeout) = match call {
            Call::Stream { visibility_timeout } => ("streamed", visibility_timeout),
            Call::Lease { visibility_timeout } => ("leased", visibility_timeout),
            Call::Publish(_) | Call::Settle { .. } => return String::new(),
        };
        let Delivery {
            position,
            id,
            attempt,
            ..
        } = delivery;
        let key = delivery.key.as_deref().unwrap_or("-");
        let until = delivery.lease_expires_at.since(self.start).as_secs_f64();
        format!(
            "{how} {position} = {id} (key {key}), attempt {attempt}, for {visibility_timeout:?} until \
         {until:.3}"
        )
    }

    fn concerns(&self, delivery: &Delivery) -> bool {
        self.violation.positions.contains(&delivery.position)
    }

    fn parts(&self, call: &Call) -> Vec<usize> {
        let message = |message: &Message| self.ids.contains(message.id.as_str());
        let claim = |claim: &Claim| self.violation.positions.contains(&claim.position);
        match call {
            Call::Publish(messages) => indexes(messages.iter().map(message)),
            Call::Settle { claims, .. } => indexes(claims.iter().map(claim)),
            Call::Lease { .. } | Call::Stream { .. } => Vec::new(),
        }
    }
}

fn indexes(concerned: impl Iterator<Item = bool>) -> Vec<usize> {
    let concerned = concerned.enumerate().filter(|(_, concerned)| *concerned);
    concerned.map(|(index, _)| index).collect()
}

fn describe_call(call: &Call, parts: &[usize]) -> String {
    match call {
        Call::Publish(messages) => {
            let of = |&part: &usize| {
                let Message {
                    id, key, partition, ..
                } = &messages[part];
                let key = key.as_deref().unwrap_or("-");
                format!(" {id} (key {key}, partition {partition})")
            };
            let published: String = parts.iter().map(of).collect();
            format!("publish {} messages:{published}", messages.len())
        }
        Call::Settle { verb, claims } => {
            let of = |&part: &usize| {
                let Claim {
                    position, attempt, ..
                } = &claims[part];
                format!(" {position} (attempt {attempt})")
            };
            let settled: String = parts.iter().map(of).collect();
            format!("{}{settled}", describe_verb(*verb))
        }
        Call::Lease { .. } | Call::Stream { .. } => String::new(),
    }
}

fn describe_verb(verb: Verb) -> String {
    match verb {
        Verb::Ack => "ack".to_owned(),
        Verb::Nack { delay: None } => "nack".to_owned(),
        Verb::Nack { delay: Some(delay) } => format!("nack for {delay:?}"),
        Verb::Extend { visibility_timeout } => format!("extend by {visibility_timeout:?}"),
    }
}

fn describe_outcome(outcome: &Outcome, parts: &[usize]) -> String {
    match outcome {
        Outcome::Published(offsets) => {
            let of = |&part: &usize| {
                let offset = offsets.get(part).copied().flatten();
                offset.map_or(" somewhere".to_owned(), |offset| format!(" @{offset}"))
            };
            let places: String = parts.iter().map(of).collect();
            format!("published{places}")
        }
        Outcome::Settled(statuses) => {
            let of = |&part: &usize| statuses.get(part).map(|status| format!("{status:?}"));
            parts.iter().filter_map(of).collect::<Vec<_>>().join(", ")
        }
        Outcome::Refused(text) => format!("refused: {text}"),
        Outcome::Unknown => "nobody knows".to_owned(),
        Outcome::Leased | Outcome::Closed => "ended".to_owned(),
    }
}
