//! The way to a target, shared by all its registrations: its circuit breaker, its short pauses, and
//! what became of what was sent there.
//!
//! While the breaker is `CLOSED`, a target that could not be reached is left alone for a short while
//! that doubles, so that a worker that restarts does not open its breaker within a millisecond.
//! Failures to reach it that end within such a pause belong to the one that began it, and do not count
//! again. `GateState` decides, with time as an argument; [`Gate`] shares it, logs, and wakes whoever
//! waits for it.

use super::breaker::{Admission, Breaker, Transition};
use super::options::BreakerOptions;
use super::rest::Rest;
use super::tally::Tally;
use super::target::Target;
use super::task::Outcome;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use weir_protocol::shapes::{BackendInfo, BreakerInfo, BreakerState};
use weir_types::Timestamp;

/// The first pause after a target could not be reached, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How much a target takes at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// Whatever there is.
    Unlimited,
    /// One message, as a trial.
    Trial,
    /// Nothing.
    Nothing,
}

/// What a delivery says of its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict<'a> {
    /// It answered.
    Healthy,
    /// It failed, and perhaps asked to be left alone for so long.
    Failed(&'a str, Option<Duration>),
    /// Nothing could be sent.
    Unreachable(&'a str),
    /// The delivery was given up.
    None,
}

impl<'a> Verdict<'a> {
    fn of(outcome: &'a Outcome) -> Self {
        match outcome {
            Outcome::Done | Outcome::Returned { .. } | Outcome::Refused { .. } => Self::Healthy,
            Outcome::Failed {
                reason,
                retry_after,
            } => Self::Failed(reason, *retry_after),
            Outcome::Unreachable { reason } => Self::Unreachable(reason),
        }
    }
}

/// The state of a gate; decides, and does nothing.
#[derive(Debug)]
pub(crate) struct GateState {
    breaker: Breaker,
    /// After it could not be reached.
    pause: Rest,
}

impl GateState {
    pub(crate) fn new(options: BreakerOptions) -> Self {
        Self {
            breaker: Breaker::new(options),
            pause: Rest::default(),
        }
    }

    /// What the time alone changes; to be told before anything is asked.
    fn notice(&mut self, now: Timestamp) -> Option<Transition> {
        self.pause.notice(now);
        self.breaker.turn_half_open(now)
    }

    pub(crate) fn room(&self, now: Timestamp) -> Room {
        if self.next_admission(now).is_some() {
            return Room::Nothing;
        }
        match self.breaker.state(now) {
            BreakerState::Closed => Room::Unlimited,
            BreakerState::HalfOpen if !self.breaker.trial_is_out() => Room::Trial,
            BreakerState::HalfOpen | BreakerState::Open => Room::Nothing,
        }
    }

    /// When to ask again; `None`: now, or when a delivery ends.
    pub(crate) fn next_admission(&self, now: Timestamp) -> Option<Timestamp> {
        self.breaker.next_admission(now).max(self.pause.end(now))
    }

    fn admit(&mut self, now: Timestamp) -> Option<Admission> {
        if self.room(now) == Room::Nothing {
            return None;
        }
        self.breaker.admit(now)
    }

    fn ended(
        &mut self,
        admission: Admission,
        verdict: Verdict<'_>,
        now: Timestamp,
    ) -> Option<Transition> {
        match verdict {
            Verdict::Healthy => {
                self.pause = Rest::default();
                self.breaker.succeeded(admission, now)
            }
            Verdict::Failed(reason, rest) => {
                if let Some(rest) = rest {
                    self.breaker.rest(now, rest);
                }
                self.breaker.failed(admission, reason, now)
            }
            Verdict::Unreachable(reason) => self.unreachable(admission, reason, now),
            Verdict::None => {
                self.breaker.abandoned(admission);
                None
            }
        }
    }

    fn unreachable(
        &mut self,
        admission: Admission,
        reason: &str,
        now: Timestamp,
    ) -> Option<Transition> {
        if self.pause.end(now).is_some() {
            self.breaker.abandoned(admission);
            return None;
        }
        let transition = self.breaker.failed(admission, reason, now);
        match self.breaker.state(now) {
            BreakerState::Closed => self.pause = longer(self.pause, now),
            // It has times of its own.
            BreakerState::Open | BreakerState::HalfOpen => self.pause = Rest::default(),
        }
        transition
    }

    /// With at most so many `transitions`.
    fn describe(&self, now: Timestamp, transitions: usize) -> BreakerInfo {
        let state = self.breaker.state(now);
        let next_trial_at = self.breaker.next_admission(now);
        let newest = self.breaker.transitions().take(transitions);
        BreakerInfo {
            state,
            consecutive_failures: self.breaker.consecutive_failures(),
            opened: self.breaker.opened(),
            next_trial_at: next_trial_at.filter(|_| state != BreakerState::Closed),
            transitions: newest.cloned().collect(),
        }
    }
}

/// The pause after `pause`, which did not help.
fn longer(pause: Rest, now: Timestamp) -> Rest {
    let length = (2 * pause.length()).clamp(FIRST_PAUSE, LONGEST_PAUSE);
    Rest::begin(now, length)
}

/// The gate of one target.
#[derive(Debug)]
pub(crate) struct Gate {
    target: Target,
    state: Mutex<GateState>,
    /// Of all deliveries there, whoever asked for them.
    tally: Tally,
    /// Dispatchers that have workers behind it.
    dispatchers: Mutex<Vec<Weak<Notify>>>,
}

impl Gate {
    pub(crate) fn new(target: Target, options: BreakerOptions) -> Self {
        Self {
            target,
            state: Mutex::new(GateState::new(options)),
            tally: Tally::default(),
            dispatchers: Mutex::default(),
        }
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Wakes `dispatcher`, as long as it lives, whenever the gate's room may have grown.
    pub(crate) fn wake_also(&self, dispatcher: &Arc<Notify>) {
        let mut dispatchers = lock(&self.dispatchers);
        let weak = Arc::downgrade(dispatcher);
        dispatchers.retain(|known| known.strong_count() > 0 && !known.ptr_eq(&weak));
        dispatchers.push(weak);
    }

    /// How much goes through now.
    pub(crate) fn room(&self, now: Timestamp) -> Room {
        let mut state = lock(&self.state);
        let turned = state.notice(now);
        let room = state.room(now);
        drop(state);
        self.log(turned.as_ref());
        room
    }

    pub(crate) fn next_admission(&self, now: Timestamp) -> Option<Timestamp> {
        lock(&self.state).next_admission(now)
    }

    /// Its breaker, with at most so many `transitions`, the newest first.
    pub(crate) fn describe(&self, now: Timestamp, transitions: usize) -> BreakerInfo {
        let mut state = lock(&self.state);
        let turned = state.notice(now);
        let described = state.describe(now, transitions);
        drop(state);
        self.log(turned.as_ref());
        described
    }

    /// Its breaker, and what became of all that was sent there.
    pub(crate) fn describe_all(&self, now: Timestamp, transitions: usize) -> BackendInfo {
        BackendInfo {
            target: self.target.to_string(),
            breaker: self.describe(now, transitions),
            in_flight: self.tally.in_flight(),
            delivered: self.tally.delivered(),
            failed: self.tally.failed(),
            last_error: self.tally.last_error(),
        }
    }

    /// Lets a delivery through, or not now. It is counted here, and in `tally`.
    pub(crate) fn admit(
        self: &Arc<Self>,
        tally: Option<&Arc<Tally>>,
        now: Timestamp,
    ) -> Option<Pass> {
        if self.room(now) == Room::Nothing {
            return None;
        }
        let admission = lock(&self.state).admit(now)?;
        let pass = Pass {
            gate: self.clone(),
            tally: tally.cloned(),
            admission: Some(admission),
        };
        pass.tallies().for_each(Tally::began);
        Some(pass)
    }

    fn ended(&self, admission: Admission, verdict: Verdict<'_>, now: Timestamp) {
        let concerns_all = admission.is_trial() || matches!(verdict, Verdict::Failed(_, Some(_)));
        let transition = lock(&self.state).ended(admission, verdict, now);
        self.log(transition.as_ref());
        if concerns_all || transition.is_some() {
            for dispatcher in lock(&self.dispatchers).iter().filter_map(Weak::upgrade) {
                dispatcher.notify_one();
            }
        }
    }

    fn log(&self, transition: Option<&Transition>) {
        let Some(transition) = transition else {
            return;
        };
        let (target, reason) = (&self.target, &transition.reason);
        let (from, to) = (transition.from.as_str(), transition.to.as_str());
        match transition.to {
            BreakerState::Open => {
                tracing::warn!(push_target = %target, from, to, reason, "a circuit breaker opened");
            }
            BreakerState::Closed | BreakerState::HalfOpen => {
                tracing::info!(push_target = %target, from, to, reason, "a circuit breaker changed");
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to one delivery. Dropped, the delivery was given up and says nothing of its target.
#[derive(Debug)]
pub(crate) struct Pass {
    gate: Arc<Gate>,
    tally: Option<Arc<Tally>>,
    admission: Option<Admission>,
}

impl Pass {
    /// What became of the delivery.
    pub(crate) fn ended(mut self, outcome: &Outcome, now: Timestamp) {
        self.tallies().for_each(|tally| tally.ended(outcome));
        if let Some(admission) = self.admission.take() {
            self.gate.ended(admission, Verdict::of(outcome), now);
        }
    }

    fn tallies(&self) -> impl Iterator<Item = &Tally> {
        [Some(&self.gate.tally), self.tally.as_deref()]
            .into_iter()
            .flatten()
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(admission) = self.admission.take() {
            self.tallies().for_each(Tally::given_up);
            // What says nothing needs no time.
            self.gate.ended(admission, Verdict::None, Timestamp(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: BreakerOptions = BreakerOptions {
        max_failures: 3,
        reset: Duration::from_secs(30),
    };

    /// Sends one message through at `millis`, which must be possible.
    fn send(gate: &mut GateState, millis: u64, verdict: Verdict<'_>) -> Option<Transition> {
        let now = Timestamp(millis);
        let admission = gate.admit(now).expect("there is room");
        gate.ended(admission, verdict, now)
    }

    #[test]
    fn an_unreachable_target_is_left_alone_for_longer_and_longer() {
        let mut gate = GateState::new(BreakerOptions {
            max_failures: 100,
            ..OPTIONS
        });
        let mut now = 1_000;
        for pause in [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
            send(&mut gate, now, Verdict::Unreachable("refused"));
            assert_eq!(gate.room(Timestamp(now)), Room::Nothing);
            assert_eq!(
                gate.next_admission(Timestamp(now)),
                Some(Timestamp(now + pause))
            );
            now += pause;
            assert_eq!(gate.room(Timestamp(now)), Room::Unlimited);
        }
        send(&mut gate, now, Verdict::Healthy);
        send(&mut gate, now, Verdict::Unreachable("refused"));
        let next = gate.next_admission(Timestamp(now));
        assert_eq!(next, Some(Timestamp(now + 100)), "it begins anew");
    }

    #[test]
    fn what_could_not_be_sent_at_one_moment_counts_once() {
        let mut gate = GateState::new(OPTIONS);
        let now = Timestamp(1_000);
        let four: Vec<_> = (0..4).map(|_| gate.admit(now).unwrap()).collect();
        for admission in four {
            let ended = gate.ended(admission, Verdict::Unreachable("refused"), now);
            assert_eq!(ended, None);
        }
        assert_eq!(gate.describe(now, 1).consecutive_failures, 1);
    }

    #[test]
    fn an_open_breaker_has_times_of_its_own_and_one_trial_at_a_time() {
        let mut gate = GateState::new(OPTIONS);
        for now in [1_000, 2_000] {
            assert_eq!(send(&mut gate, now, Verdict::Unreachable("refused")), None);
        }
        let opened = send(&mut gate, 3_000, Verdict::Unreachable("refused")).unwrap();
        assert_eq!(opened.to, BreakerState::Open);
        let now = Timestamp(3_000);
        assert_eq!(gate.describe(now, 1).next_trial_at, Some(Timestamp(33_000)));
        assert_eq!(gate.room(Timestamp(32_999)), Room::Nothing);
        assert_eq!(gate.room(Timestamp(33_000)), Room::Trial);
        let trial = gate.admit(Timestamp(33_000)).unwrap();
        assert_eq!(gate.room(Timestamp(33_000)), Room::Nothing);
        assert_eq!(gate.ended(trial, Verdict::None, now), None);
        assert_eq!(gate.room(Timestamp(33_000)), Room::Trial, "it was given up");
        let closed = send(&mut gate, 33_000, Verdict::Healthy).unwrap();
        assert_eq!(closed.to, BreakerState::Closed);
        assert_eq!(gate.room(Timestamp(33_000)), Room::Unlimited);
    }

    #[test]
    fn a_target_that_asks_to_be_left_alone_is() {
        let mut gate = GateState::new(OPTIONS);
        let rest = Some(Duration::from_secs(7));
        assert_eq!(
            send(&mut gate, 1_000, Verdict::Failed("status 503", rest)),
            None
        );
        assert_eq!(gate.room(Timestamp(7_999)), Room::Nothing);
        assert_eq!(gate.room(Timestamp(8_000)), Room::Unlimited);
        let described = gate.describe(Timestamp(2_000), 1);
        assert_eq!(described.next_trial_at, None, "it is closed all the same");
    }

    #[test]
    fn a_clock_that_is_set_back_prolongs_neither_a_pause_nor_a_rest() {
        let mut gate = GateState::new(OPTIONS);
        send(&mut gate, 1_000_000, Verdict::Unreachable("refused"));
        gate.notice(Timestamp(5));
        assert_eq!(gate.next_admission(Timestamp(5)), Some(Timestamp(105)));
        assert_eq!(gate.room(Timestamp(104)), Room::Nothing);
        assert_eq!(gate.room(Timestamp(105)), Room::Unlimited);
        let rest = Some(Duration::from_secs(7));
        send(&mut gate, 1_000_000, Verdict::Failed("status 503", rest));
        gate.notice(Timestamp(5));
        assert_eq!(gate.room(Timestamp(7_004)), Room::Nothing);
        assert_eq!(gate.room(Timestamp(7_005)), Room::Unlimited);
    }

    #[test]
    fn a_pass_that_is_dropped_gives_its_trial_back() {
        let target = Target::parse("tcp://127.0.0.1:1").unwrap();
        let options = BreakerOptions {
            max_failures: 1,
            ..OPTIONS
        };
        let gate = Arc::new(Gate::new(target, options));
        let wake = Arc::new(Notify::new());
        gate.wake_also(&wake);
        let first = gate.admit(None, Timestamp(0)).unwrap();
        first.ended(&Outcome::unreachable("refused"), Timestamp(0));
        let later = Timestamp(30_000);
        let trial = gate.admit(None, later).unwrap();
        assert!(gate.admit(None, later).is_none());
        drop(trial);
        assert_eq!(gate.room(later), Room::Trial);
        assert_eq!(gate.tally.in_flight(), 0);
        let woken = is_notified(&wake);
        assert!(woken, "somebody else may try");
    }

    /// Whether a notification is there.
    fn is_notified(wake: &Notify) -> bool {
        let mut notified = std::pin::pin!(wake.notified());
        notified.as_mut().enable()
    }
}
