//! statvfs in a small pool of threads, because on a dead NFS server it never returns.
//!
//! Invariants: a mount is asked by at most one thread at a time; remote mounts never occupy the last
//! thread; asking waits no longer than the caller's patience. A mount whose answer takes longer than
//! [`ANSWER_LIMIT`] is on the stuck list, logged once, until its thread comes back.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// After this long without an answer a mount is stuck.
pub(crate) const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Older answers than this are not given out.
const FRESH: Duration = Duration::from_secs(10);
const MAX_WORKERS: usize = 4;
const WORKER_STACK_BYTES: usize = 64 * 1024;

/// A filesystem's figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) size_bytes: u64,
    pub(crate) free_bytes: u64,
    pub(crate) avail_bytes: u64,
    pub(crate) files: u64,
    pub(crate) files_free: u64,
}

/// What to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// Where the mount is seen from here.
    pub(crate) path: PathBuf,
    /// The device that must be there, so that a mount which is not visible from here does not get
    /// the figures of the one it lies in. `None` for filesystems with devices of their own making.
    pub(crate) device_number: Option<(u32, u32)>,
    /// Whether asking may hang.
    pub(crate) is_remote: bool,
}

type Answer = Result<Usage, String>;
type Ask = Arc<dyn Fn(&Question) -> Answer + Send + Sync>;

/// The threads, and what they said last.
pub(crate) struct StatvfsPool {
    ask: Ask,
    workers: usize,
    questions: SyncSender<Question>,
    queue: Arc<Mutex<Receiver<Question>>>,
    answering: mpsc::Sender<(PathBuf, Answer)>,
    answers: mpsc::Receiver<(PathBuf, Answer)>,
    in_flight: HashMap<PathBuf, InFlight>,
    stuck: HashSet<PathBuf>,
    latest: HashMap<PathBuf, (Instant, Answer)>,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    since: Instant,
    is_remote: bool,
}

impl std::fmt::Debug for StatvfsPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("StatvfsPool");
        shown.field("in_flight", &self.in_flight);
        shown.finish_non_exhaustive()
    }
}

impl StatvfsPool {
    pub(crate) fn new() -> Self {
        Self::asking(Arc::new(ask))
    }

    fn asking(ask: Ask) -> Self {
        let (questions, queue) = sync_channel(MAX_WORKERS);
        let (answering, answers) = mpsc::channel(MAX_WORKERS);
        Self {
            ask,
            workers: 0,
            questions,
            queue: Arc::new(Mutex::new(queue)),
            answering,
            answers,
            in_flight: HashMap::new(),
            stuck: HashSet::new(),
            latest: HashMap::new(),
        }
    }

    /// Answers in the order of `questions`: the newest that is fresh. Waits at most `patience`.
    pub(crate) async fn ask_all(
        &mut self,
        questions: &[Question],
        patience: Duration,
    ) -> Vec<Answer> {
        let deadline = Instant::now() + patience;
        self.forget_others(questions);
        let in_flight = |q: &&Question| self.in_flight.contains_key(&q.path);
        let mut waiting: HashSet<PathBuf> = questions.iter().map(|q| q.path.clone()).collect();
        let mut unasked: VecDeque<&Question> = questions.iter().filter(|q| !in_flight(q)).collect();
        // Local ones first: they answer at once.
        unasked.make_contiguous().sort_by_key(|q| q.is_remote);
        loop {
            self.hand_out(&mut unasked);
            if waiting.is_empty() || self.in_flight.is_empty() {
                break;
            }
            let Ok(Some((path, answer))) = timeout_at(deadline, self.answers.recv()).await else {
                break;
            };
            waiting.remove(&path);
            self.note(path, answer);
        }
        self.note_stuck();
        questions.iter().map(|q| self.newest(&q.path)).collect()
    }

    fn hand_out(&mut self, unasked: &mut VecDeque<&Question>) {
        while let Some(question) = unasked.front() {
            let remote = self.in_flight.values().filter(|f| f.is_remote).count();
            let no_thread = self.in_flight.len() >= MAX_WORKERS;
            if no_thread || (question.is_remote && remote + 1 >= MAX_WORKERS) {
                return;
            }
            if self.in_flight.len() >= self.workers && !self.start_worker() {
                return;
            }
            let in_flight = InFlight {
                since: Instant::now(),
                is_remote: question.is_remote,
            };
            if self.questions.try_send((*question).clone()).is_err() {
                return;
            }
            self.in_flight.insert(question.path.clone(), in_flight);
            unasked.pop_front();
        }
    }

    /// Threads live as long as the pool; one that hangs in the kernel cannot be ended by anyone.
    fn start_worker(&mut self) -> bool {
        let (queue, answering) = (Arc::clone(&self.queue), self.answering.clone());
        let ask = Arc::clone(&self.ask);
        let thread = std::thread::Builder::new().name("statvfs".to_owned());
        let thread = thread.stack_size(WORKER_STACK_BYTES);
        let started = thread.spawn(move || {
            loop {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok(question) = next else { return };
                let answer = ask(&question);
                if answering.blocking_send((question.path, answer)).is_err() {
                    return;
                }
            }
        });
        match &started {
            Ok(_) => self.workers += 1,
            Err(error) => tracing::warn!(%error, "cannot start a thread for statvfs"),
        }
        started.is_ok()
    }

    fn note(&mut self, path: PathBuf, answer: Answer) {
        self.in_flight.remove(&path);
        if self.stuck.remove(&path) {
            tracing::info!(path = %path.display(), "the filesystem answers again");
        }
        self.latest.insert(path, (Instant::now(), answer));
    }

    fn note_stuck(&mut self) {
        let late = |f: &InFlight| f.since.elapsed() >= ANSWER_LIMIT;
        for (path, _) in self.in_flight.iter().filter(|(_, f)| late(f)) {
            if self.stuck.insert(path.clone()) {
                tracing::warn!(
                    path = %path.display(),
                    "the filesystem does not answer; the others go on without it"
                );
            }
        }
    }

    fn forget_others(&mut self, questions: &[Question]) {
        let asked: HashSet<&Path> = questions.iter().map(|q| q.path.as_path()).collect();
        self.latest.retain(|path, _| asked.contains(path.as_path()));
    }

    fn newest(&self, path: &Path) -> Answer {
        match self.latest.get(path) {
            Some((at, answer)) if at.elapsed() <= FRESH => answer.clone(),
            _ => Err("it does not answer".to_owned()),
        }
    }
}

fn ask(question: &Question) -> Answer {
    let failed = |error: rustix::io::Errno| error.to_string();
    if let Some(expected) = question.device_number {
        let found = rustix::fs::stat(&question.path).map_err(failed)?.st_dev;
        let found = (rustix::fs::major(found), rustix::fs::minor(found));
        if found != expected {
            return Err("it is not visible from here".to_owned());
        }
    }
    let figures = rustix::fs::statvfs(&question.path).map_err(failed)?;
    Ok(Usage {
        size_bytes: figures.f_blocks.saturating_mul(figures.f_frsize),
        free_bytes: figures.f_bfree.saturating_mul(figures.f_frsize),
        avail_bytes: figures.f_bavail.saturating_mul(figures.f_frsize),
        files: figures.f_files,
        files_free: figures.f_ffree,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Condvar;

    const SOON: Duration = Duration::from_millis(200);

    fn question(path: &str, is_remote: bool) -> Question {
        Question {
            path: path.into(),
            device_number: None,
            is_remote,
        }
    }

    /// Paths below /dead hang until the gate opens.
    #[derive(Default)]
    struct Gate(Mutex<bool>, Condvar);

    impl Gate {
        fn open(&self) {
            *self.0.lock().unwrap() = true;
            self.1.notify_all();
        }

        fn pool(self: &Arc<Self>) -> StatvfsPool {
            let gate = Arc::clone(self);
            StatvfsPool::asking(Arc::new(move |question| {
                if question.path.starts_with("/dead") {
                    let open = gate.0.lock().unwrap();
                    drop(gate.1.wait_while(open, |open| !*open).unwrap());
                }
                Ok(Usage {
                    size_bytes: question.path.as_os_str().len() as u64,
                    ..Usage::default()
                })
            }))
        }
    }

    fn sizes(answers: Vec<Answer>) -> Vec<Option<u64>> {
        let sizes = answers.into_iter().map(|a| a.ok().map(|u| u.size_bytes));
        sizes.collect()
    }

    #[tokio::test]
    async fn many_mounts_are_answered_in_order_by_few_threads() {
        let gate = Arc::new(Gate::default());
        let mut pool = gate.pool();
        let questions: Vec<Question> = (0..50)
            .map(|i| question(&"/x".repeat(i + 1), i % 2 == 0))
            .collect();
        let answers = sizes(pool.ask_all(&questions, ANSWER_LIMIT).await);
        let expected: Vec<Option<u64>> = (0..50).map(|i| Some(2 * (i + 1))).collect();
        assert_eq!(answers, expected);
        assert!(pool.workers <= MAX_WORKERS);
    }

    #[tokio::test]
    async fn dead_servers_do_not_keep_local_disks_from_answering() {
        let gate = Arc::new(Gate::default());
        let mut pool = gate.pool();
        let mut questions: Vec<Question> = (0..9)
            .map(|i| question(&format!("/dead/{i}"), true))
            .collect();
        questions.push(question("/", false));
        for _tick in 0..3 {
            let answers = sizes(pool.ask_all(&questions, SOON).await);
            assert_eq!(answers[..9], [None; 9]);
            assert_eq!(answers[9], Some(1));
        }
        gate.open();
        let answers = sizes(pool.ask_all(&questions, ANSWER_LIMIT).await);
        assert_eq!(answers[..9], [Some(7); 9]);
        assert!(pool.in_flight.is_empty() && pool.stuck.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_mount_that_does_not_answer_is_stuck_after_the_limit() {
        let gate = Arc::new(Gate::default());
        let mut pool = gate.pool();
        let questions = [question("/dead", true)];
        assert_eq!(sizes(pool.ask_all(&questions, SOON).await), [None]);
        assert!(pool.stuck.is_empty());
        tokio::time::advance(ANSWER_LIMIT).await;
        assert_eq!(sizes(pool.ask_all(&questions, SOON).await), [None]);
        assert!(pool.stuck.contains(Path::new("/dead")));
        gate.open();
    }

    #[test]
    fn a_mount_that_is_not_visible_does_not_get_its_parents_figures() {
        let directory = tempfile::tempdir().unwrap();
        let mut question = question(directory.path().to_str().unwrap(), false);
        assert!(ask(&question).unwrap().size_bytes > 0);
        question.device_number = Some((4095, 7));
        assert_eq!(
            ask(&question),
            Err("it is not visible from here".to_owned())
        );
    }
}
