use std::io;
use std::path::{Path, PathBuf};

/// Kinds of calls to a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// Opening a file that exists.
    Open,
    /// Creating or emptying a file.
    Create,
    /// Reading.
    Read,
    /// Writing; nothing is durable before a sync.
    Write,
    /// Writing to a write-through file: durable when it succeeds.
    WriteThrough,
    /// Syncing a file.
    Sync,
    /// Cutting or extending a file.
    SetLen,
    /// Creating a directory.
    CreateDir,
    /// Renaming; the path is the new one.
    Rename,
    /// Removing a file.
    Remove,
    /// Removing a directory and all in it.
    RemoveDir,
    /// Syncing a directory.
    SyncDir,
    /// Locking.
    Lock,
}

/// One call, as [`FaultyDisk::events`](super::FaultyDisk::events) remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What was asked.
    pub call: Call,
    /// Of what.
    pub path: PathBuf,
    /// Whether no fault struck.
    pub succeeded: bool,
}

impl Event {
    /// Whether this is a `call` that succeeded on a path that contains `path_part`.
    #[must_use]
    pub fn is(&self, call: Call, path_part: &str) -> bool {
        self.succeeded && self.call == call && self.path.to_string_lossy().contains(path_part)
    }
}

/// Something that goes wrong. Without more said, every matching call fails with EIO and does
/// nothing.
#[derive(Clone, Debug)]
pub struct Fault {
    /// `None` is any.
    call: Option<Call>,
    path_part: String,
    skip: u64,
    times: u64,
    error: Cause,
    after_bytes: u64,
}

#[derive(Clone, Copy, Debug)]
enum Cause {
    Kind(io::ErrorKind),
    Os(i32),
}

/// EIO of Linux.
const EIO: i32 = 5;

impl Fault {
    /// A fault in calls of one kind.
    #[must_use]
    pub fn on(call: Call) -> Self {
        Self {
            call: Some(call),
            ..Self::on_any()
        }
    }

    /// A fault in calls of every kind.
    #[must_use]
    pub fn on_any() -> Self {
        Self {
            call: None,
            path_part: String::new(),
            skip: 0,
            times: u64::MAX,
            error: Cause::Os(EIO),
            after_bytes: 0,
        }
    }

    /// Only on paths that contain `path_part`.
    #[must_use]
    pub fn path(mut self, path_part: &str) -> Self {
        path_part.clone_into(&mut self.path_part);
        self
    }

    /// Only the `nth` matching call, from 1.
    #[must_use]
    pub fn nth(mut self, nth: u64) -> Self {
        (self.skip, self.times) = (nth.saturating_sub(1), 1);
        self
    }

    /// The `nth` matching call, from 1, and all that follow.
    #[must_use]
    pub fn from_nth(mut self, nth: u64) -> Self {
        (self.skip, self.times) = (nth.saturating_sub(1), u64::MAX);
        self
    }

    /// Only the next matching call.
    #[must_use]
    pub fn once(self) -> Self {
        self.nth(1)
    }

    /// Fails with this kind of error.
    #[must_use]
    pub fn error(mut self, kind: io::ErrorKind) -> Self {
        self.error = Cause::Kind(kind);
        self
    }

    /// Fails with this error number of the operating system.
    #[must_use]
    pub fn os_error(mut self, number: i32) -> Self {
        self.error = Cause::Os(number);
        self
    }

    /// A write fails after so many bytes of it were written.
    #[must_use]
    pub fn after_bytes(mut self, bytes: u64) -> Self {
        self.after_bytes = bytes;
        self
    }

    fn matches(&self, call: Call, path: &Path) -> bool {
        self.call.is_none_or(|kind| kind == call)
            && path.to_string_lossy().contains(&self.path_part)
    }
}

/// What a fault does to the call it strikes.
pub(super) struct Struck {
    pub(super) error: io::Error,
    pub(super) after_bytes: u64,
}

/// The faults that wait.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// Counts the call; says what goes wrong with it.
    pub(super) fn strike(&mut self, call: Call, path: &Path) -> Option<Struck> {
        let mut matching = self.0.iter_mut().filter(|fault| fault.matches(call, path));
        let fault = matching.find_map(|fault| match fault {
            Fault { skip: 1.., .. } => {
                fault.skip -= 1;
                None
            }
            Fault { times: 0, .. } => None,
            _ => Some(fault),
        })?;
        fault.times -= 1;
        let error = match fault.error {
            Cause::Kind(kind) => kind.into(),
            Cause::Os(number) => io::Error::from_raw_os_error(number),
        };
        Some(Struck {
            error,
            after_bytes: fault.after_bytes,
        })
    }
}
