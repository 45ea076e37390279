use super::*;
use proptest::prelude::*;
use std::time::Duration;

const RESET: Duration = Duration::from_secs(30);
const OPTIONS: BreakerOptions = BreakerOptions {
    max_failures: 3,
    reset: RESET,
};

fn at(seconds: u64) -> Timestamp {
    Timestamp(seconds * 1000)
}

/// Delivers `times`, each time in vain, and returns the last transition.
fn fail(breaker: &mut Breaker, times: u32, now: Timestamp) -> Option<Transition> {
    let mut last = None;
    for _ in 0..times {
        let admission = breaker.admit(now).expect("admitted");
        last = breaker.failed(admission, "no answer", now);
    }
    last
}

fn opened() -> Breaker {
    let mut breaker = Breaker::new(OPTIONS);
    assert!(fail(&mut breaker, 3, at(0)).is_some());
    breaker
}

fn states(breaker: &Breaker) -> Vec<(u64, &str, &str)> {
    let transitions = breaker.transitions();
    transitions
        .map(|t| (t.at.0 / 1000, t.from.as_str(), t.to.as_str()))
        .collect()
}

#[test]
fn as_many_failures_in_a_row_as_allowed_open_it() {
    let mut breaker = Breaker::new(OPTIONS);
    assert_eq!(fail(&mut breaker, 2, at(1)), None);
    assert_eq!(breaker.state(at(1)), BreakerState::Closed);
    let transition = fail(&mut breaker, 1, at(2)).expect("it opens");
    assert_eq!(
        transition,
        Transition {
            at: at(2),
            from: BreakerState::Closed,
            to: BreakerState::Open,
            reason: "3 failures in a row, the last: no answer".to_owned(),
        }
    );
    assert_eq!(breaker.consecutive_failures(), 3);
    assert_eq!(breaker.opened(), 1);
}

#[test]
fn a_success_between_failures_keeps_it_closed() {
    let mut breaker = Breaker::new(OPTIONS);
    for second in 0..10 {
        assert_eq!(fail(&mut breaker, 2, at(second)), None);
        let admission = breaker.admit(at(second)).expect("closed");
        assert_eq!(breaker.succeeded(admission, at(second)), None);
        assert_eq!(breaker.consecutive_failures(), 0);
    }
}

#[test]
fn open_it_admits_nothing_until_the_reset_time_has_come() {
    let mut breaker = opened();
    assert_eq!(breaker.admit(at(0)), None);
    assert_eq!(breaker.admit(Timestamp(29_999)), None);
    assert_eq!(breaker.state(Timestamp(29_999)), BreakerState::Open);
    assert_eq!(breaker.next_admission(at(10)), Some(at(30)));
    assert_eq!(breaker.state(at(30)), BreakerState::HalfOpen);
    assert_eq!(breaker.next_admission(at(30)), None);
    let transition = breaker.turn_half_open(at(31)).expect("it turns");
    assert_eq!(
        (transition.at, transition.to),
        (at(30), BreakerState::HalfOpen)
    );
    assert_eq!(breaker.turn_half_open(at(31)), None, "once");
}

#[test]
fn half_open_it_admits_one_trial_at_a_time() {
    let mut breaker = opened();
    let trial = breaker.admit(at(30)).expect("a trial");
    assert!(trial.is_trial());
    assert_eq!(breaker.admit(at(99)), None);
    assert_eq!(breaker.next_admission(at(99)), None, "when the trial ends");
    breaker.abandoned(trial);
    assert_eq!(breaker.state(at(99)), BreakerState::HalfOpen);
    assert!(breaker.admit(at(99)).is_some(), "another trial");
}

#[test]
fn a_trial_decides() {
    let mut breaker = opened();
    let trial = breaker.admit(at(30)).expect("a trial");
    let again = breaker.failed(trial, "refused", at(40)).expect("it opens");
    assert_eq!(again.reason, "the trial failed: refused");
    assert_eq!(breaker.next_admission(at(40)), Some(at(70)));
    let trial = breaker.admit(at(70)).expect("a trial");
    assert!(breaker.succeeded(trial, at(71)).is_some());
    assert_eq!(breaker.consecutive_failures(), 0);
    assert!(!breaker.admit(at(71)).expect("closed").is_trial());
    assert_eq!(
        states(&breaker),
        [
            (71, "HALF_OPEN", "CLOSED"),
            (70, "OPEN", "HALF_OPEN"),
            (40, "HALF_OPEN", "OPEN"),
            (30, "OPEN", "HALF_OPEN"),
            (0, "CLOSED", "OPEN"),
        ]
    );
}

#[test]
fn after_a_trial_succeeded_it_takes_as_many_failures_again() {
    let mut breaker = opened();
    let trial = breaker.admit(at(30)).expect("a trial");
    breaker.succeeded(trial, at(30));
    assert_eq!(fail(&mut breaker, 2, at(31)), None);
    assert!(fail(&mut breaker, 1, at(31)).is_some());
}

#[test]
fn what_was_out_when_it_opened_says_nothing_later() {
    let mut breaker = Breaker::new(OPTIONS);
    let mut early: Vec<_> = (0..6)
        .map(|_| breaker.admit(at(0)).expect("closed"))
        .collect();
    fail(&mut breaker, 3, at(1));
    let mut late = || early.pop().expect("one more");
    assert_eq!(breaker.succeeded(late(), at(2)), None);
    assert_eq!(breaker.failed(late(), "late", at(2)), None);
    assert_eq!(breaker.next_admission(at(2)), Some(at(31)));
    let trial = breaker.admit(at(31)).expect("a trial");
    assert_eq!(breaker.failed(late(), "late", at(32)), None);
    breaker.abandoned(late());
    assert_eq!(breaker.admit(at(32)), None, "the trial is still out");
    breaker.succeeded(trial, at(33));
    assert_eq!(breaker.failed(late(), "late", at(34)), None);
    assert_eq!(breaker.consecutive_failures(), 0);
}

#[test]
fn a_target_that_asks_for_rest_gets_it_in_every_state() {
    let mut closed = Breaker::new(OPTIONS);
    closed.rest(at(0), Duration::from_secs(50));
    closed.rest(at(0), Duration::from_secs(40));
    assert_eq!(closed.state(at(10)), BreakerState::Closed);
    assert_eq!(
        (closed.admit(at(49)), closed.next_admission(at(49))),
        (None, Some(at(50)))
    );
    assert!(closed.admit(at(50)).is_some());

    let mut open = opened();
    open.rest(at(0), Duration::from_secs(50));
    assert_eq!(open.next_admission(at(1)), Some(at(50)));
    assert_eq!(
        (open.state(at(40)), open.admit(at(40))),
        (BreakerState::HalfOpen, None)
    );
    assert!(open.admit(at(50)).expect("a trial").is_trial());
}

#[test]
fn a_clock_that_is_set_back_costs_one_reset_time() {
    let mut breaker = Breaker::new(OPTIONS);
    fail(&mut breaker, 3, at(100_000));
    assert_eq!(breaker.admit(at(5)), None);
    assert_eq!(breaker.next_admission(at(5)), Some(at(35)));
    assert!(breaker.admit(at(35)).is_some());
}

#[test]
fn the_last_transitions_are_remembered() {
    let mut breaker = opened();
    for round in 1..=40 {
        let trial = breaker.admit(at(30 * round)).expect("a trial");
        assert!(breaker.failed(trial, "down", at(30 * round)).is_some());
    }
    let states = states(&breaker);
    assert_eq!(states.len(), 16);
    assert_eq!(states[0], (1200, "HALF_OPEN", "OPEN"));
    assert_eq!(breaker.opened(), 41);
}

/// What may happen to a breaker; an index picks one of the deliveries that are out.
#[derive(Clone, Copy, Debug)]
enum Step {
    Pass { seconds: u64 },
    Admit,
    Succeed(usize),
    Fail(usize),
    Abandon(usize),
    Rest { seconds: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0..20_u64).prop_map(|seconds| Step::Pass { seconds }),
        6 => Just(Step::Admit),
        2 => any::<usize>().prop_map(Step::Succeed),
        5 => any::<usize>().prop_map(Step::Fail),
        1 => any::<usize>().prop_map(Step::Abandon),
        1 => (0..40_u64).prop_map(|seconds| Step::Rest { seconds }),
    ];
    prop::collection::vec(step, 0..100)
}

/// The rules, told by what happened rather than by a state.
#[derive(Default)]
struct Model {
    /// Verdicts on deliveries that were admitted since it opened last; `true`: success.
    verdicts: Vec<bool>,
    opened_at: Option<Timestamp>,
    trials_out: usize,
    rest_until: Timestamp,
    openings: usize,
}

impl Model {
    fn admits(&self, now: Timestamp) -> bool {
        let open = self
            .opened_at
            .is_some_and(|opened| now < opened.plus(RESET));
        !open && self.trials_out == 0 && now >= self.rest_until
    }

    fn judge(&mut self, success: bool, is_trial: bool, now: Timestamp) {
        self.verdicts.push(success);
        self.trials_out -= usize::from(is_trial);
        let in_a_row = self.verdicts.iter().rev().take_while(|&&s| !s).count();
        match success {
            true if is_trial => self.opened_at = None,
            false if is_trial || in_a_row == 3 => {
                self.opened_at = Some(now);
                self.verdicts.clear();
                self.openings += 1;
            }
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn it_behaves_as_the_rules_say(steps in steps()) {
        let (mut breaker, mut model) = (Breaker::new(OPTIONS), Model::default());
        let mut now = at(0);
        let mut out: Vec<(Admission, usize)> = Vec::new();
        for step in steps {
            match step {
                Step::Pass { seconds } => now = now.plus(Duration::from_secs(seconds)),
                Step::Rest { seconds } => {
                    let length = Duration::from_secs(seconds);
                    breaker.rest(now, length);
                    model.rest_until = model.rest_until.max(now.plus(length));
                }
                Step::Admit => {
                    let admission = breaker.admit(now);
                    prop_assert_eq!(admission.is_some(), model.admits(now));
                    if let Some(admission) = admission {
                        let is_trial = admission.is_trial();
                        prop_assert_eq!(is_trial, model.opened_at.is_some());
                        model.trials_out += usize::from(is_trial);
                        out.push((admission, model.openings));
                    }
                }
                Step::Succeed(index) | Step::Fail(index) | Step::Abandon(index) => {
                    if out.is_empty() {
                        continue;
                    }
                    let (admission, opening) = out.swap_remove(index % out.len());
                    let is_trial = admission.is_trial();
                    let is_late = opening != model.openings;
                    let before = breaker.state(now);
                    let transition = match step {
                        Step::Succeed(_) => breaker.succeeded(admission, now),
                        Step::Fail(_) => breaker.failed(admission, "down", now),
                        _ => {
                            breaker.abandoned(admission);
                            None
                        }
                    };
                    if is_late {
                        prop_assert_eq!(&transition, &None);
                        prop_assert_eq!(breaker.state(now), before);
                    } else if matches!(step, Step::Abandon(_)) {
                        model.trials_out -= usize::from(is_trial);
                    } else {
                        model.judge(matches!(step, Step::Succeed(_)), is_trial, now);
                    }
                }
            }
            let is_open = model.opened_at.is_some_and(|opened| now < opened.plus(RESET));
            prop_assert_eq!(breaker.state(now) == BreakerState::Open, is_open);
            prop_assert_eq!(breaker.state(now) == BreakerState::Closed, model.opened_at.is_none());
            prop_assert!(model.trials_out <= 1);
            if model.admits(now) {
                prop_assert_eq!(breaker.next_admission(now), None);
            }
        }
        prop_assert_eq!(breaker.opened(), model.openings as u64);
    }
}
