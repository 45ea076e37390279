//! A circuit breaker: decides whether a target is tried, from what became of earlier tries.
//!
//! | state | admits | leaves for |
//! |---|---|---|
//! | `CLOSED` | everything | `OPEN` after `max_failures` failures in a row |
//! | `OPEN` | nothing | `HALF_OPEN` when `reset` has passed |
//! | `HALF_OPEN` | one trial at a time | `CLOSED` when a trial succeeds, `OPEN` when it fails |
//!
//! What became of a delivery that was admitted before the breaker opened last changes nothing: it
//! says how the target was then. Time is an argument.

use super::options::BreakerOptions;
use super::rest::Rest;
use std::collections::VecDeque;
use std::time::Duration;
use weir_protocol::shapes::BreakerState;
pub use weir_protocol::shapes::BreakerTransition as Transition;
use weir_types::Timestamp;

/// Transitions that a breaker remembers.
const MAX_TRANSITIONS: usize = 16;

/// The right to one delivery. Exactly one of [`Breaker::succeeded`], [`Breaker::failed`] and
/// [`Breaker::abandoned`] takes it back.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a trial that is never taken back lets no other through"]
pub struct Admission {
    /// How often the breaker had opened.
    opened: u64,
    is_trial: bool,
}

impl Admission {
    /// Whether the target's recovery depends on it.
    #[must_use]
    pub const fn is_trial(&self) -> bool {
        self.is_trial
    }

    const fn take_back(self) -> (u64, bool) {
        (self.opened, self.is_trial)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open { since: Timestamp },
    HalfOpen { trial_is_out: bool },
}

/// The circuit breaker of one target.
#[derive(Debug)]
pub struct Breaker {
    options: BreakerOptions,
    state: State,
    /// How often it opened.
    opened: u64,
    /// Failures since the last success.
    consecutive_failures: u32,
    /// Nothing is admitted before it ends.
    rest: Rest,
    /// Newest first.
    transitions: VecDeque<Transition>,
}

impl Breaker {
    /// A closed one.
    #[must_use]
    pub fn new(options: BreakerOptions) -> Self {
        Self {
            options,
            state: State::Closed,
            opened: 0,
            consecutive_failures: 0,
            rest: Rest::default(),
            transitions: VecDeque::new(),
        }
    }

    /// The state at `now`: `OPEN` turns `HALF_OPEN` when its reset time has come.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> BreakerState {
        match self.state {
            State::Closed => BreakerState::Closed,
            State::Open { since } if now < self.half_open_at(since, now) => BreakerState::Open,
            State::Open { .. } | State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Whether a target's recovery is being tried just now.
    #[must_use]
    pub const fn trial_is_out(&self) -> bool {
        matches!(self.state, State::HalfOpen { trial_is_out: true })
    }

    /// Lets a delivery through, or not now.
    pub fn admit(&mut self, now: Timestamp) -> Option<Admission> {
        self.turn_half_open(now);
        if self.rest.end(now).is_some() {
            return None;
        }
        let is_trial = match &mut self.state {
            State::Closed => false,
            State::HalfOpen { trial_is_out } if !*trial_is_out => {
                *trial_is_out = true;
                true
            }
            State::HalfOpen { .. } | State::Open { .. } => return None,
        };
        Some(Admission {
            opened: self.opened,
            is_trial,
        })
    }

    /// Turns `HALF_OPEN` if the reset time has come. [`Breaker::admit`] does so, too, but does not
    /// tell: ask here first in order to log it.
    pub fn turn_half_open(&mut self, now: Timestamp) -> Option<Transition> {
        self.rest.notice(now);
        let State::Open { since } = self.state else {
            return None;
        };
        // The clock was set back: the wait begins anew rather than lasting as long as the jump.
        let since = since.min(now);
        self.state = State::Open { since };
        let at = self.half_open_at(since, now);
        if now < at {
            return None;
        }
        let state = State::HalfOpen {
            trial_is_out: false,
        };
        Some(self.turn(state, at, "the reset time has passed".to_owned()))
    }

    /// The delivery was answered: the target is healthy. A trial's success closes the breaker.
    pub fn succeeded(&mut self, admission: Admission, now: Timestamp) -> Option<Transition> {
        let (opened, is_trial) = admission.take_back();
        if opened != self.opened {
            return None;
        }
        self.consecutive_failures = 0;
        is_trial.then(|| self.turn(State::Closed, now, "a trial succeeded".to_owned()))
    }

    /// The delivery failed, by the target's fault.
    pub fn failed(
        &mut self,
        admission: Admission,
        reason: &str,
        now: Timestamp,
    ) -> Option<Transition> {
        let (opened, is_trial) = admission.take_back();
        if opened != self.opened {
            return None;
        }
        self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        if is_trial {
            return Some(self.open(now, format!("the trial failed: {reason}")));
        }
        let failures = self.consecutive_failures;
        if failures < self.options.max_failures {
            return None;
        }
        let reason = format!("{failures} failures in a row, the last: {reason}");
        Some(self.open(now, reason))
    }

    /// There is no verdict: the delivery was given up before the target could answer.
    pub fn abandoned(&mut self, admission: Admission) {
        let (opened, is_trial) = admission.take_back();
        if let State::HalfOpen { trial_is_out } = &mut self.state
            && is_trial
            && opened == self.opened
        {
            *trial_is_out = false;
        }
    }

    /// The target asked to be left alone for so long (`Retry-After`): nothing is admitted before,
    /// whatever the state.
    pub fn rest(&mut self, now: Timestamp, length: Duration) {
        self.rest = self.rest.or_longer(Rest::begin(now, length));
    }

    /// When it is worth asking again; `None`: now, or when a delivery ends.
    #[must_use]
    pub fn next_admission(&self, now: Timestamp) -> Option<Timestamp> {
        let opens = match self.state {
            State::Open { since } => Some(self.half_open_at(since, now)),
            State::Closed | State::HalfOpen { .. } => None,
        };
        opens.filter(|at| *at > now).max(self.rest.end(now))
    }

    /// Failures since the last success.
    #[must_use]
    pub const fn consecutive_failures(&self) -> u32 {
        self.consecutive_failures
    }

    /// How often it opened.
    #[must_use]
    pub const fn opened(&self) -> u64 {
        self.opened
    }

    /// The last transitions, newest first, at most 16.
    pub fn transitions(&self) -> impl Iterator<Item = &Transition> {
        self.transitions.iter()
    }

    fn half_open_at(&self, since: Timestamp, now: Timestamp) -> Timestamp {
        since.min(now).plus(self.options.reset)
    }

    fn open(&mut self, now: Timestamp, reason: String) -> Transition {
        self.opened += 1;
        self.turn(State::Open { since: now }, now, reason)
    }

    fn turn(&mut self, state: State, at: Timestamp, reason: String) -> Transition {
        let from = self.state.name();
        self.state = state;
        let to = self.state.name();
        let transition = Transition {
            at,
            from,
            to,
            reason,
        };
        self.transitions.truncate(MAX_TRANSITIONS - 1);
        self.transitions.push_front(transition.clone());
        transition
    }
}

impl State {
    const fn name(self) -> BreakerState {
        match self {
            Self::Closed => BreakerState::Closed,
            Self::Open { .. } => BreakerState::Open,
            Self::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }
}

#[cfg(test)]
mod tests;
