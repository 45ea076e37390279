//! Turns what is due into samples: asks the collectors, stamps, encodes.

use crate::collectors::{Collectors, Identity};
use crate::encode::{AnySample, Dialect, batch_line, minimq_node, minimq_sample};
use crate::publisher::PublisherState;
use crate::sample::{Sample, Topic, Values};
use crate::schedule::Due;
use bytes::Bytes;
use std::time::Duration;
use weir_service::clock::Clock;

/// Owns the collectors.
#[derive(Debug)]
pub(crate) struct Sampler {
    collectors: Collectors,
    identity: Identity,
    boot_id: String,
    clock: Clock,
    publisher: PublisherState,
}

impl Sampler {
    pub(crate) fn new(
        mut collectors: Collectors,
        identity: Identity,
        clock: Clock,
        publisher: PublisherState,
    ) -> Self {
        let boot_id = collectors.boot_id().unwrap_or_default();
        Self {
            collectors,
            identity,
            boot_id,
            clock,
            publisher,
        }
    }

    /// The encoded samples of all that is due; those whose collector failed are missing.
    pub(crate) async fn encoded(&mut self, due: &[Due], dialect: Dialect) -> Vec<Bytes> {
        let mut lines = Vec::with_capacity(due.len());
        for due in due {
            let sample = self.sample(*due, FILESYSTEM_PATIENCE).await;
            let node = &self.identity.node;
            lines.extend(sample.and_then(|sample| match dialect {
                Dialect::Weir => Some(batch_line(node, &sample)),
                Dialect::MiniMq => minimq_sample(node, &sample),
            }));
        }
        lines
    }

    /// What is sent once, before all samples.
    pub(crate) fn introduction(&self, dialect: Dialect) -> Vec<Bytes> {
        match dialect {
            Dialect::Weir => Vec::new(),
            Dialect::MiniMq => vec![minimq_node(&self.identity.node)],
        }
    }

    /// One sample, unless its collector failed. `patience` is for filesystems that hang.
    pub(crate) async fn sample(&mut self, due: Due, patience: Duration) -> Option<AnySample> {
        let sample = match due.topic {
            Topic::Cpu => AnySample::Cpu(self.stamp(due, Collectors::cpu)?),
            Topic::Memory => AnySample::Memory(self.stamp(due, Collectors::memory)?),
            Topic::Network => AnySample::Network(self.stamp(due, Collectors::network)?),
            Topic::Disk => {
                let values = self.collectors.disk(patience).await;
                AnySample::Disk(self.stamp(due, |_| values)?)
            }
            Topic::System => {
                let state = self.publisher.get();
                let mut sample = self.stamp(due, |collectors| Some(collectors.system()))?;
                sample.values.agent = state;
                AnySample::System(sample)
            }
            Topic::Info => {
                let values = self.collectors.info(&self.identity);
                AnySample::Info(self.stamp(due, |_| Some(values))?)
            }
        };
        Some(sample)
    }

    fn stamp<V: Values>(
        &mut self,
        due: Due,
        collect: impl FnOnce(&mut Collectors) -> Option<V>,
    ) -> Option<Sample<V>> {
        debug_assert_eq!(V::TOPIC, due.topic);
        let values = collect(&mut self.collectors)?;
        Some(Sample {
            node: self.identity.node.clone(),
            timestamp: self.clock.now(),
            boot_id: self.boot_id.clone(),
            seq: due.seq,
            interval_seconds: due.interval_seconds,
            values,
        })
    }
}

/// A tick must not wait for a dead file server; what has not answered by then is late, see
/// `collectors::statvfs`.
const FILESYSTEM_PATIENCE: Duration = Duration::from_millis(200);
