//! Resource use between two moments.

use crate::procstat::{self, Usage};
use crate::report::Outcome;

pub struct Meter<'a> {
    pids: &'a [u32],
    before: Usage,
    own_cpu_s: f64,
}

impl<'a> Meter<'a> {
    pub fn start(pids: &'a [u32]) -> Self {
        procstat::reset_peaks(pids);
        Self {
            pids,
            before: procstat::usage(pids),
            own_cpu_s: procstat::own_cpu_s(),
        }
    }

    pub fn stop(self, outcome: &mut Outcome) {
        let after = procstat::usage(self.pids);
        outcome.broker_cpu_s = after.cpu_s - self.before.cpu_s;
        outcome.rss_before_mb = self.before.rss_mb;
        outcome.peak_rss_mb = after.peak_rss_mb;
        outcome.disk_write_mb = after.disk_write_mb - self.before.disk_write_mb;
        outcome.generator_cpu_s = procstat::own_cpu_s() - self.own_cpu_s;
    }
}
