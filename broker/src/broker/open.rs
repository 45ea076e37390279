//! From a data directory to a running broker and back.

use super::ack_by_id::RememberedLeases;
use super::gateway::Gateway;
use super::schedules::Scheduling;
use super::{Broker, BrokerError, CreateTopics, Shared};
use crate::committer::{self, CommitterStart, CommitterThread};
use crate::group::GroupBounds;
use crate::metrics;
use crate::ownership::{DialectTopics, Ownership};
use crate::push::{Backends, Dialer, Push, PushOptions, Ways};
use crate::registry::Registry;
use crate::topics::NewTopics;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::runtime::Handle;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_commitlog::{Document, FileSystem, Finding, FindingKind, OpenOptions, Opened, Store};
use weir_service::clock::Clock;
use weir_types::{BrokerStart, TopicSettings, limits};

/// What an operator chose for the broker's core.
#[derive(Clone, Debug)]
pub struct BrokerOptions {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Settings of topics that are created without any.
    pub topic_defaults: TopicSettings,
    /// Whether using a topic creates it.
    pub create_topics: CreateTopics,
    /// Topics that may exist.
    pub max_topics: usize,
    /// Largest payload, in bytes.
    pub max_payload_bytes: usize,
    /// Publishes are refused when less is free on the disk.
    pub min_free_bytes: u64,
    /// Size of the commit log.
    pub commit_log_bytes: u64,
    /// Segments and journals that stay open.
    pub max_open_files: usize,
    /// What a group may hold in memory, for each partition.
    pub group_bounds: GroupBounds,
    /// Where to messages are pushed, and how.
    pub push: PushOptions,
    /// This broker's place among several.
    pub ownership: Ownership,
    /// Topics that the dialects create on first use.
    pub dialect_topics: DialectTopics,
}

impl BrokerOptions {
    /// The defaults, on `data_dir`.
    #[must_use]
    pub fn on(data_dir: PathBuf) -> Self {
        Self {
            data_dir,
            topic_defaults: TopicSettings::default(),
            create_topics: CreateTopics::default(),
            max_topics: limits::DEFAULT_MAX_TOPICS,
            max_payload_bytes: limits::DEFAULT_MAX_PAYLOAD_BYTES,
            min_free_bytes: 256 << 20,
            commit_log_bytes: 32 << 20,
            max_open_files: 1024,
            group_bounds: GroupBounds::default(),
            push: PushOptions::default(),
            ownership: Ownership::default(),
            dialect_topics: DialectTopics::default(),
        }
    }

    fn new_topics(&self) -> NewTopics {
        NewTopics {
            create: self.create_topics,
            defaults: self.topic_defaults.clone(),
            max_topics: self.max_topics,
        }
    }
}

/// What it takes to stop a broker; see [`Closing::close`].
#[derive(Debug)]
pub struct Closing {
    thread: CommitterThread,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Broker {
    /// Opens the data directory and starts the core's tasks on the current runtime.
    ///
    /// # Errors
    /// The storage engine's: locked, too new, damaged, or refused by the file system; or
    /// [`BrokerError::OwnershipChanged`].
    pub fn open(
        options: BrokerOptions,
        fs: Arc<dyn FileSystem>,
        clock: Clock,
    ) -> Result<(Self, Closing), BrokerError> {
        let new = OpenOptions {
            commit_log_bytes: options.commit_log_bytes,
            max_open_files: options.max_open_files,
            hash_key: fastrand::u64(..),
            ..OpenOptions::new(fastrand::u64(..))
        };
        let Opened {
            store,
            topics,
            findings,
            after_clean_stop,
        } = Store::open(fs.clone(), &options.data_dir, new)?;
        let first_start = store.identity().broker_start == BrokerStart(1);
        report(&findings, after_clean_stop || first_start);
        let has_topics = topics.iter().any(|topic| !topic.name.is_internal());
        if let Err(error) = super::ownership::keep(&fs, &options, has_topics) {
            // Whoever repairs the settings need not wait for a recovery.
            return store.close().map_err(Into::into).and(Err(error));
        }
        let (registry, tasks) = (Arc::new(Registry::default()), TaskTracker::new());
        let draining = CancellationToken::new();
        let (stop, identity) = (CancellationToken::new(), store.identity());
        let failures = store.failures();
        let ways = Ways {
            dialer: Arc::new(Dialer::new(&options.push).map_err(|e| BrokerError::push(&e))?),
            options: options.push.clone(),
            tasks: tasks.clone(),
            stop: stop.clone(),
        };
        let backends = Backends::new(&ways)?;
        let document = Document::new(fs.clone(), &options.data_dir, "push");
        let push = Push::open(ways, document, clock.clone(), draining.clone())?;
        let start = CommitterStart {
            store,
            registry: registry.clone(),
            clock: clock.clone(),
            runtime: Handle::current(),
            tasks: tasks.clone(),
            draining: draining.clone(),
            stop: stop.clone(),
            new_topics: options.new_topics(),
            group_bounds: options.group_bounds,
        };
        let (committer, topics, thread) = committer::start(start, topics)
            .map_err(|e| BrokerError::internal(format!("cannot start the committer: {e}")))?;
        let scheduling = Scheduling {
            opened: OnceCell::new(),
            fs,
            tasks: tasks.clone(),
            stop: stop.clone(),
            recovered: CancellationToken::new(),
        };
        let broker = Self {
            shared: Arc::new(Shared {
                registry,
                topics,
                scheduling,
                push,
                backends,
                gateway: Gateway::default(),
                committer,
                identity,
                clock,
                options,
                replies: Arc::default(),
                remembered: RememberedLeases::default(),
                failures,
                tasks: tasks.clone(),
                draining,
                disk_full: AtomicBool::new(false),
            }),
        };
        broker.resume_schedules();
        broker.resume_pushing()?;
        tasks.spawn(broker.clone().maintain(stop.clone()));
        Ok((
            broker,
            Closing {
                thread,
                tasks,
                stop,
            },
        ))
    }

    /// Refuses what is new and ends long polls and streams; what runs may finish.
    pub fn drain(&self) {
        self.shared.draining.cancel();
    }
}

/// Findings that are logged one by one; of more there is only the number.
const LOGGED_FINDINGS: usize = 100;

fn report(findings: &[Finding], nothing_to_check: bool) {
    if !nothing_to_check {
        tracing::info!("the last stop was not a clean one: every partition was checked");
    }
    for finding in findings.iter().take(LOGGED_FINDINGS) {
        tracing::warn!(%finding, "recovery");
    }
    for finding in findings {
        metrics::finding(finding.kind.word());
    }
    let more = findings.len().saturating_sub(LOGGED_FINDINGS);
    if more > 0 {
        tracing::warn!(more, "further findings of the recovery");
    }
    let damaged = |finding: &&Finding| matches!(finding.kind, FindingKind::DamagedLine { .. });
    metrics::damaged_records(findings.iter().filter(damaged).count());
}

impl Closing {
    /// Ends groups and maintenance, commits what is queued, closes every file.
    ///
    /// # Errors
    /// A file could not be synced at closing; what was acknowledged is durable all the same.
    pub async fn close(self) -> Result<(), BrokerError> {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.thread.close().await
    }
}
