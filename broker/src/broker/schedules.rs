//! Messages that are delivered later: published, listed, moved, cancelled.

use super::publish::LaterMessage;
use super::{Broker, BrokerError};
use crate::schedule::{self, Page, PageRequest, Schedules, log_settings, waiting_record};
use crate::topic::TopicCore;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_commitlog::{FileSystem, Operation, RecordDraft};
use weir_protocol::ScheduleCursor;
use weir_protocol::shapes::{self, MoveRequest, Schedule, ScheduledLine};
use weir_types::{Incarnation, MessageId, Timestamp, TopicName};

/// Waiting messages and their task, from the first such message of this data directory on.
#[derive(Debug)]
pub(super) struct Scheduling {
    pub(super) opened: OnceCell<Schedules>,
    pub(super) fs: Arc<dyn FileSystem>,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    /// Cancelled when nothing more may be looked for in topics after a crash.
    pub(super) recovered: CancellationToken,
}

/// Messages of one publish that are delivered later.
pub(super) struct Later {
    /// Keeps them, in one append.
    pub(super) operation: Operation,
    pub(super) log: Arc<TopicCore>,
    /// In the order of the request.
    pub(super) lines: Vec<ScheduledLine>,
}

impl Broker {
    /// Starts the task of waiting messages if this data directory has any, or ever had.
    pub(super) fn resume_schedules(&self) {
        let scheduling = &self.shared.scheduling;
        match self.shared.registry.get(&TopicName::schedule_log()) {
            Some(log) => {
                let schedules = self.start_schedules(log.core().clone());
                // Nobody else has had the time to open them.
                let _first = scheduling.opened.set(schedules);
            }
            None => scheduling.recovered.cancel(),
        }
    }

    fn start_schedules(&self, log: Arc<TopicCore>) -> Schedules {
        let scheduling = &self.shared.scheduling;
        let start = schedule::Start {
            broker: self.clone(),
            log,
            committer: self.shared.committer.clone(),
            clock: self.shared.clock.clone(),
            fs: scheduling.fs.clone(),
            index_path: self.index_path(),
            recovered: scheduling.recovered.clone(),
            stop: scheduling.stop.clone(),
        };
        let (schedules, task) = start.task();
        scheduling.tasks.spawn(task);
        schedules
    }

    fn index_path(&self) -> PathBuf {
        let data_dir = &self.shared.options.data_dir;
        data_dir.join("__weir").join("schedule-index.redb")
    }

    /// The waiting messages; their log is created with the first one.
    async fn schedules(&self) -> Result<&Schedules, BrokerError> {
        let open = async || {
            let (log, incarnation) = (TopicName::schedule_log(), Incarnation(fastrand::u64(..)));
            let committer = &self.shared.committer;
            let log = committer
                .create_topic(log, log_settings(), incarnation)
                .await?;
            Ok(self.start_schedules(log.core().clone()))
        };
        self.shared.scheduling.opened.get_or_try_init(open).await
    }

    /// What keeps messages until their time; `None` for no messages. Places and times were checked.
    pub(super) async fn later(
        &self,
        messages: Vec<LaterMessage>,
    ) -> Result<Option<Later>, BrokerError> {
        if messages.is_empty() {
            return Ok(None);
        }
        let log = self.schedules().await?.log().clone();
        let created_at = self.shared.clock.now();
        let (mut records, mut lines) = (Vec::new(), Vec::new());
        for message in &messages {
            let schedule_id = new_schedule_id(created_at);
            records.push(kept(&schedule_id, message, created_at)?);
            lines.push(ScheduledLine {
                line: message.line,
                schedule_id: schedule_id.to_string(),
                deliver_at: message.due,
            });
        }
        let operation = Operation::Append {
            partition: log.partitions()[0].key(),
            records,
        };
        Ok(Some(Later {
            operation,
            log,
            lines,
        }))
    }

    /// Waiting messages in the order of delivery: at most `max_messages` behind `after`, of one topic
    /// or of all.
    ///
    /// # Errors
    /// The index's or the storage engine's.
    pub async fn list_schedules(
        &self,
        topic: Option<TopicName>,
        after: Option<ScheduleCursor>,
        max_messages: usize,
    ) -> Result<shapes::Schedules, BrokerError> {
        let request = PageRequest {
            topic,
            after,
            max_messages,
        };
        let page = match self.shared.scheduling.opened.get() {
            Some(schedules) => schedules.list(request).await?,
            None => Page::default(),
        };
        Ok(shapes::Schedules {
            schedules: page.schedules,
            next: page.next.map(ScheduleCursor::encode),
        })
    }

    /// One waiting message.
    ///
    /// # Errors
    /// [`BrokerError::UnknownSchedule`], the index's or the storage engine's.
    pub async fn get_schedule(&self, schedule_id: &str) -> Result<Schedule, BrokerError> {
        let schedules = self.opened_for(schedule_id)?;
        let found = schedules.get(schedule_id.to_owned()).await?;
        found.ok_or_else(|| unknown(schedule_id))
    }

    /// Gives a waiting message another time; returns when that is durable.
    ///
    /// # Errors
    /// [`BrokerError::UnknownSchedule`] also when it is delivered already; a time too far ahead; the
    /// index's or the storage engine's.
    pub async fn move_schedule(
        &self,
        schedule_id: &str,
        request: MoveRequest,
    ) -> Result<Schedule, BrokerError> {
        let deliver_at = request.deliver.due(self.shared.clock.now())?;
        let schedules = self.opened_for(schedule_id)?;
        let moved = schedules
            .move_to(schedule_id.to_owned(), deliver_at)
            .await?;
        moved.ok_or_else(|| unknown(schedule_id))
    }

    /// Cancels a waiting message; returns when it is durable that it is never delivered.
    ///
    /// # Errors
    /// Like [`Broker::move_schedule`].
    pub async fn cancel_schedule(&self, schedule_id: &str) -> Result<(), BrokerError> {
        let schedules = self.opened_for(schedule_id)?;
        match schedules.cancel(schedule_id.to_owned()).await? {
            true => Ok(()),
            false => Err(unknown(schedule_id)),
        }
    }

    fn opened_for(&self, schedule_id: &str) -> Result<&Schedules, BrokerError> {
        let opened = self.shared.scheduling.opened.get();
        opened.ok_or_else(|| unknown(schedule_id))
    }

    /// Whether messages may be delivered now that are due.
    pub(crate) fn can_deliver(&self) -> bool {
        !self.shared.draining.is_cancelled() && self.delivery_problem().is_none()
    }

    /// Why nothing that is due is delivered, whatever it is.
    pub(crate) fn delivery_problem(&self) -> Option<String> {
        let full = self.shared.disk_full.load(Ordering::Relaxed);
        let min_free_bytes = self.shared.options.min_free_bytes;
        full.then(|| BrokerError::DiskAlmostFull { min_free_bytes }.to_string())
    }

    /// The topic that a waiting message goes to, created if first use may do so.
    pub(crate) async fn topic_to_deliver_to(
        &self,
        name: &TopicName,
    ) -> Result<Arc<TopicCore>, BrokerError> {
        Ok(self.get_or_create(name).await?.core().clone())
    }

    /// The topic of this name, if there is one.
    pub(crate) fn existing_topic(&self, name: &TopicName) -> Option<Arc<TopicCore>> {
        let topic = self.shared.registry.get(name)?;
        Some(topic.core().clone())
    }
}

/// 48 bits of time, then 80 random ones: ids of one time lie together in the index, whose pages are
/// written far less often that way.
fn new_schedule_id(now: Timestamp) -> MessageId {
    MessageId::from_bits((u128::from(now.0) << 80) | (fastrand::u128(..) >> 48))
}

fn kept(
    schedule_id: &MessageId,
    message: &LaterMessage,
    created_at: Timestamp,
) -> Result<RecordDraft, BrokerError> {
    let LaterMessage {
        topic,
        message,
        due,
        ..
    } = message;
    waiting_record(schedule_id, topic, message, *due, created_at)
        .map_err(|e| BrokerError::internal(e.to_string()))
}

fn unknown(schedule_id: &str) -> BrokerError {
    BrokerError::UnknownSchedule {
        schedule_id: schedule_id.to_owned(),
    }
}
