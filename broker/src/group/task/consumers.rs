//! Who uses the group: members, streams, and whether anybody does.

use super::super::client::Upkeep;
use super::super::members::SILENCE;
use super::super::unfinished::Holder;
use super::{GroupTask, REST_AFTER};
use crate::broker::BrokerError;
use tokio::time::Instant;
use weir_commitlog::JournalEntry;
use weir_types::MemberName;

const TOO_MANY_MEMBERS: BrokerError = BrokerError::Overloaded {
    retry_after: SILENCE,
};

impl GroupTask {
    /// Somebody uses the group: it is not idle.
    pub(super) fn used(&mut self) {
        self.last_used = self.clock.now();
        self.topic.used(self.last_used);
        self.rest_at = Some(Instant::now() + REST_AFTER);
    }

    pub(super) fn upkeep(&self) -> Upkeep {
        let idle = self.clock.now().since(self.last_used);
        let keep_for = self.settings.expires_after;
        let floors = self.partitions.iter().map(|p| p.state.committed_offset());
        Upkeep {
            floors: floors.collect(),
            is_in_use: self.is_in_use(),
            has_expired: !self.is_in_use() && keep_for.is_some_and(|most| idle >= most.0),
        }
    }

    /// Whether somebody has messages of the group, or waits for some.
    pub(super) fn is_in_use(&self) -> bool {
        let in_flight = self.partitions.iter().any(|p| p.state.in_flight() > 0);
        in_flight || !self.waiters.is_empty() || !self.members.is_empty()
    }

    pub(super) fn join(&mut self, member: Option<MemberName>) -> Result<Holder, BrokerError> {
        let name = match member {
            Some(name) => name,
            None => {
                self.last_stream += 1;
                let name = MemberName::parse(&format!("stream-{}", self.last_stream));
                name.map_err(|e| BrokerError::internal(e.to_string()))?
            }
        };
        let stream = self.members.open_stream(&name, self.clock.now());
        stream.ok_or(TOO_MANY_MEMBERS)
    }

    pub(super) fn hear(&mut self, member: &MemberName) -> Result<Holder, BrokerError> {
        let heard = self.members.hear(member, self.clock.now());
        heard.ok_or(TOO_MANY_MEMBERS)
    }

    /// Whoever waits for messages is there, however long it has said nothing.
    pub(super) fn hear_waiting(&mut self) {
        let now = self.clock.now();
        for member in self.waiters.members() {
            self.members.hear(member, now);
        }
    }

    /// What the stream held goes to others at once.
    pub(super) async fn stream_closed(&mut self, holder: Holder) {
        self.members.close_stream(holder);
        let now = self.clock.now();
        let mut entries = Vec::new();
        for (index, partition) in self.partitions.iter_mut().enumerate() {
            let mut entry = JournalEntry::default();
            let state = &mut partition.state;
            state.give_back(holder, now, &self.rules, &mut entry);
            entries.push((index, entry));
        }
        self.journal_unheard(entries).await;
        self.start_moves();
        self.serve_waiters().await;
    }
}
