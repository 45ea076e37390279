//! Answering requests about waiting messages.

use super::client::{Page, PageRequest, ScheduleRequest};
use super::index::Found;
use super::line::Line;
use super::task::Task;
use crate::broker::BrokerError;
use weir_commitlog::StoredLine;
use weir_protocol::ScheduleCursor;
use weir_protocol::shapes::Schedule;
use weir_types::Timestamp;

/// Bytes of lines that one page reads.
const PAGE_BYTES: usize = 1 << 20;

impl Task {
    pub(super) async fn serve(&mut self, request: ScheduleRequest) {
        // Whoever asked may be gone; what was done stays done.
        match request {
            ScheduleRequest::List { request, reply } => {
                let _gone = reply.send(self.list(request).await);
            }
            ScheduleRequest::Get { schedule_id, reply } => {
                let _gone = reply.send(self.get(schedule_id).await);
            }
            ScheduleRequest::Move {
                schedule_id,
                deliver_at,
                reply,
            } => {
                let _gone = reply.send(self.move_to(schedule_id, deliver_at).await);
            }
            ScheduleRequest::Cancel { schedule_id, reply } => {
                let _gone = reply.send(self.cancel(schedule_id).await);
            }
        }
    }

    async fn list(&mut self, request: PageRequest) -> Result<Page, BrokerError> {
        self.catch_up().await?;
        let after = request.after.map(|cursor| (cursor.deliver_at, cursor.seq));
        let (topic, max) = (request.topic, request.max_messages);
        let page = self
            .with_index(move |index| index.page(after, topic.as_ref(), max))
            .await?;
        let offsets = page.found.iter().map(|found| found.entry.offset).collect();
        let lines = self.log.read_each(offsets, PAGE_BYTES).await?;
        let shown = page.found.iter().zip(&lines);
        // What is damaged has nothing to show but an error in the log, and a problem when it is due.
        let schedules = shown
            .filter_map(|(found, line)| self.show(found, line.as_ref()?))
            .collect();
        // Not all of it fits: the next page begins behind the last that does.
        let last = match page.found.get(lines.len().saturating_sub(1)) {
            Some(last) if lines.len() < page.found.len() => Some(last.entry.order()),
            _ => page.last,
        };
        let next = last.map(|(deliver_at, seq)| ScheduleCursor { deliver_at, seq });
        Ok(Page { schedules, next })
    }

    /// The waiting message; `None` if there is none of that name.
    async fn waiting(&mut self, schedule_id: String) -> Result<Option<Found>, BrokerError> {
        self.catch_up().await?;
        self.with_index(move |index| {
            let entry = index.get(&schedule_id)?;
            Ok(entry.map(|entry| Found { schedule_id, entry }))
        })
        .await
    }

    async fn get(&mut self, schedule_id: String) -> Result<Option<Schedule>, BrokerError> {
        let Some(found) = self.waiting(schedule_id).await? else {
            return Ok(None);
        };
        let lines = self.log.read_each(vec![found.entry.offset], 1).await?;
        let line = lines.into_iter().next().flatten();
        let shown = line.and_then(|line| self.show(&found, &line));
        let damaged = || BrokerError::internal("the line of this scheduled message is damaged");
        shown.map(Some).ok_or_else(damaged)
    }

    /// The waiting message, if it surely waits: one that a crash or a failure left between here and
    /// its topic is looked for first.
    async fn surely_waiting(&mut self, schedule_id: String) -> Result<Option<Found>, BrokerError> {
        let Some(found) = self.waiting(schedule_id).await? else {
            return Ok(None);
        };
        if found.entry.delivering.is_none() {
            return Ok(Some(found));
        }
        let (messages, _unreadable) = self.load(vec![found.clone()]).await?;
        match self.arrived(&messages).await?.is_empty() {
            true => Ok(Some(found)),
            false => {
                self.note_delivered(vec![found.schedule_id]).await?;
                Ok(None)
            }
        }
    }

    async fn move_to(
        &mut self,
        schedule_id: String,
        deliver_at: Timestamp,
    ) -> Result<Option<Schedule>, BrokerError> {
        let Some(found) = self.surely_waiting(schedule_id).await? else {
            return Ok(None);
        };
        let schedule_id = found.schedule_id.clone();
        let moved = Line::Moved {
            schedule_id: schedule_id.clone(),
            deliver_at,
        };
        self.log.append(&[moved]).await?;
        self.get(schedule_id).await
    }

    async fn cancel(&mut self, schedule_id: String) -> Result<bool, BrokerError> {
        let Some(found) = self.surely_waiting(schedule_id).await? else {
            return Ok(false);
        };
        let schedule_id = found.schedule_id;
        self.log.append(&[Line::Cancelled { schedule_id }]).await?;
        self.catch_up().await?;
        Ok(true)
    }

    fn show(&self, found: &Found, line: &StoredLine) -> Option<Schedule> {
        let Ok(Line::Scheduled(waiting)) = Line::read(&line.bytes) else {
            return None;
        };
        let (entry, message) = (&found.entry, waiting.message);
        let is_due = entry.due_at <= self.clock.now();
        let held_up = || self.broker.delivery_problem().filter(|_| is_due);
        Some(Schedule {
            schedule_id: found.schedule_id.clone(),
            deliver_at: entry.deliver_at,
            created_at: waiting.created_at,
            topic: waiting.topic,
            partition: message.partition,
            id: message.id,
            key: message.key,
            headers: message.headers,
            reply_to: message.reply_to,
            ttl: message.ttl,
            problem: entry.problem.clone().or_else(held_up),
            payload: message.payload.to_owned(),
        })
    }
}
