//! Named, timed steps in a row: the first failure ends it, and a table closes either way.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// What a step has to say besides having passed.
pub(crate) enum Outcome {
    Passed,
    /// It could not run here, and that is no failure. Carries the reason.
    Skipped(String),
}

/// The steps run so far.
#[derive(Default)]
pub(crate) struct Steps {
    finished: Vec<Finished>,
}

struct Finished {
    name: &'static str,
    took: Duration,
    result: String,
}

impl Steps {
    /// Runs one step.
    ///
    /// # Errors
    /// The step's own, after the table of what ran was printed.
    pub(crate) fn step(
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> anyhow::Result<Outcome>,
    ) -> anyhow::Result<()> {
        println!("\n== {name}");
        let started = Instant::now();
        let outcome = work();
        let result = match &outcome {
            Ok(Outcome::Passed) => "ok".to_owned(),
            Ok(Outcome::Skipped(reason)) => format!("skipped: {reason}"),
            Err(_) => "FAILED".to_owned(),
        };
        let took = started.elapsed();
        self.finished.push(Finished { name, took, result });
        if let Err(error) = outcome {
            println!("\n{}", self.summary());
            return Err(error.context(format!("step `{name}` failed")));
        }
        Ok(())
    }

    /// The closing table.
    pub(crate) fn summary(&self) -> String {
        let mut table = String::new();
        for Finished { name, took, result } in &self.finished {
            let seconds = took.as_secs_f64();
            let _ = writeln!(table, "{name:<12} {seconds:>8.1} s  {result}");
        }
        let total: Duration = self.finished.iter().map(|step| step.took).sum();
        let _ = write!(table, "{:<12} {:>8.1} s", "total", total.as_secs_f64());
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    #[test]
    fn a_failure_names_its_step_and_is_in_the_table() {
        let mut steps = Steps::default();
        steps.step("fmt", || Ok(Outcome::Passed)).unwrap();
        let skip = || Ok(Outcome::Skipped("no network".to_owned()));
        steps.step("advisories", skip).unwrap();
        let error = steps.step("clippy", || bail!("two warnings")).unwrap_err();

        assert_eq!(format!("{error:#}"), "step `clippy` failed: two warnings");
        let lines: Vec<_> = steps.summary().lines().map(str::to_owned).collect();
        assert!(lines[0].starts_with("fmt") && lines[0].ends_with("ok"));
        assert!(lines[1].ends_with("skipped: no network"));
        assert!(lines[2].ends_with("FAILED"));
        assert!(lines[3].starts_with("total"));
    }
}
