use crate::failure::Failure;
use crate::output::{Output, note};
use serde::Serialize;
use std::fmt::Display;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout_at};
use weir_client::{Backoff, ClientError};

const BETWEEN_ATTEMPTS: Backoff = Backoff {
    first: Duration::from_millis(100),
    cap: Duration::from_secs(1),
};

const TOO_LATE: &str = "no answer within --timeout";

/// Runs the steps of a check within one time for all of them, and prints a line for each.
pub(super) struct Steps {
    output: Output,
    deadline: Instant,
}

/// What a step is called, and where to look when it fails.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) advice: &'static str,
}

/// What a step that passed hands on, and what it tells people.
pub(super) struct Passed<T> {
    pub(super) value: T,
    pub(super) detail: String,
}

impl<T> Passed<T> {
    pub(super) const fn new(value: T, detail: String) -> Self {
        Self { value, detail }
    }
}

/// Why an attempt failed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It may be over the next time.
    Passing(String),
    Lasting(String),
}

impl Trouble {
    /// With `reason` for people.
    pub(super) fn new(error: &ClientError, reason: String) -> Self {
        match error.is_retryable() {
            true => Self::Passing(reason),
            false => Self::Lasting(reason),
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    step: &'static str,
    ok: bool,
    milliseconds: u128,
    detail: &'a str,
}

impl Steps {
    pub(super) fn new(output: Output, limit: Duration) -> Self {
        Self {
            output,
            deadline: Instant::now() + limit,
        }
    }

    /// Runs one step and tells how it went.
    pub(super) async fn run<T>(
        &self,
        step: Step,
        work: impl Future<Output = Result<Passed<T>, String>>,
    ) -> Result<T, Failure> {
        let began = Instant::now();
        let result = work.await;
        let took = began.elapsed();
        match result {
            Ok(Passed { value, detail }) => {
                self.tell(step, true, took, &detail)?;
                Ok(value)
            }
            Err(reason) => {
                self.tell(step, false, took, &reason)?;
                let Step { name, advice } = step;
                let what = format!("the check failed at {name:?}: {reason}; look at: {advice}");
                Err(Failure::Failed(what))
            }
        }
    }

    fn tell(&self, step: Step, ok: bool, took: Duration, detail: &str) -> Result<(), Failure> {
        let line = Line {
            step: step.name,
            ok,
            milliseconds: took.as_millis(),
            detail,
        };
        self.output.show(&line, || {
            let word = if ok { "ok" } else { "failed" };
            format!(
                "{word:<6}  {:<8} {:>6} ms  {detail}",
                line.step, line.milliseconds
            )
        })
    }

    /// Tries once, and not past the time of the whole check.
    pub(super) async fn once<T, E: Display>(
        &self,
        attempt: impl Future<Output = Result<T, E>>,
    ) -> Result<T, String> {
        match timeout_at(self.deadline, attempt).await {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(_too_late) => Err(TOO_LATE.to_owned()),
        }
    }

    /// Tries until it works, cannot work, or the time is over: then the last reason counts.
    pub(super) async fn until_it_works<T>(
        &self,
        mut attempt: impl AsyncFnMut() -> Result<T, Trouble>,
    ) -> Result<T, String> {
        let mut last = None;
        for retry in 0.. {
            match timeout_at(self.deadline, attempt()).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(Trouble::Lasting(reason))) => return Err(reason),
                Ok(Err(Trouble::Passing(reason))) => {
                    if last.is_none() {
                        note(&format!("{reason}; trying again"));
                    }
                    last = Some(reason);
                }
                Err(_too_late) => break,
            }
            let next = Instant::now() + BETWEEN_ATTEMPTS.delay(retry, fastrand::f64());
            if next > self.deadline {
                break;
            }
            sleep_until(next).await;
        }
        Err(last.unwrap_or_else(|| TOO_LATE.to_owned()))
    }
}
