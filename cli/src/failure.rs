use std::io;
use std::process::ExitCode;
use thiserror::Error;
use weir_client::ClientError;
use weir_protocol::{ErrorBody, ErrorCode};

/// How the process ends, for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Done = 0,
    Failed = 1,
    Usage = 2,
    NotFound = 3,
    Invalid = 4,
    Unreachable = 5,
    TryAgain = 6,
}

/// The same, for people.
pub(crate) const STATUS_HELP: &str = "\
Exit status:
  0  done
  1  failed
  2  wrong usage
  3  topic, partition, group, dead letter, schedule, queue or worker not found
  4  refused as invalid; nothing was changed
  5  the broker is unreachable or did not answer in time
  6  the broker is overloaded, draining or has a storage problem: try again

Examples:
  weir up
  weir produce orders '{\"id\":1}'
  weir consume orders --group billing --max 10
  weir tail orders";

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

/// Why a command did not do what it was asked to.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Broker(#[from] ClientError),
    /// The command line asks for something impossible.
    #[error("{0}")]
    Usage(String),
    /// The input is not what it should be.
    #[error("{0}")]
    Input(String),
    /// The command ran and did not succeed.
    #[error("{0}")]
    Failed(String),
    #[error("cannot read standard input: {0}")]
    Read(#[source] io::Error),
    #[error("cannot write to standard output: {0}")]
    Write(#[source] io::Error),
    #[error("the operating system refused: {0}")]
    System(#[source] io::Error),
}

impl Failure {
    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Broker(error) => status_of(error),
            Self::Usage(_) => Status::Usage,
            Self::Input(_) => Status::Invalid,
            Self::Failed(_) | Self::Read(_) | Self::Write(_) | Self::System(_) => Status::Failed,
        }
    }

    /// Whether the reader of our output went away, which needs no words.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Write(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The error object for `--output json`: the broker's own, else one in its shape with one of
    /// the client's codes `unreachable`, `usage`, `failed`.
    pub(crate) fn to_json(&self) -> String {
        if let Self::Broker(ClientError::Refused { code, message, .. }) = self {
            let body = ErrorBody::new(*code, message.clone()).to_json();
            return String::from_utf8_lossy(&body).into_owned();
        }
        let code = match self.status() {
            Status::Unreachable => "unreachable",
            Status::Usage => "usage",
            Status::Invalid => "invalid_argument",
            _ => "failed",
        };
        serde_json::json!({"error": {"code": code, "message": self.to_string()}}).to_string()
    }
}

fn status_of(error: &ClientError) -> Status {
    match error {
        ClientError::Refused { code, .. } => status_of_code(*code),
        ClientError::Unreachable { .. }
        | ClientError::Interrupted { .. }
        | ClientError::TimedOut { .. } => Status::Unreachable,
        ClientError::Malformed { .. } => Status::Failed,
        ClientError::InvalidUrl { .. } | ClientError::InvalidHeader { .. } => Status::Usage,
    }
}

const fn status_of_code(code: ErrorCode) -> Status {
    match code {
        ErrorCode::NotFound
        | ErrorCode::UnknownTopic
        | ErrorCode::UnknownPartition
        | ErrorCode::UnknownGroup
        | ErrorCode::UnknownDeadLetter
        | ErrorCode::UnknownSchedule
        | ErrorCode::UnknownQueue
        | ErrorCode::UnknownWorker => Status::NotFound,
        ErrorCode::Internal => Status::Failed,
        ErrorCode::Overloaded
        | ErrorCode::Draining
        | ErrorCode::Storage
        | ErrorCode::StorageFull
        | ErrorCode::Unavailable
        | ErrorCode::RequestTimeout => Status::TryAgain,
        _ => Status::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: ErrorCode) -> Failure {
        let status = code.http_status();
        let message = "m".into();
        let retry_after = None;
        ClientError::Refused {
            status,
            code,
            message,
            retry_after,
        }
        .into()
    }

    #[test]
    fn scripts_can_tell_failures_apart() {
        for &code in ErrorCode::ALL {
            let is_missing = code.as_str().starts_with("unknown_") || code == ErrorCode::NotFound;
            let says_so = refused(code).status() == Status::NotFound;
            assert_eq!(says_so, is_missing, "{code}");
        }
        assert_eq!(refused(ErrorCode::InvalidJson).status(), Status::Invalid);
        assert_eq!(refused(ErrorCode::Conflict).status(), Status::Invalid);
        assert_eq!(refused(ErrorCode::StorageFull).status(), Status::TryAgain);
        assert_eq!(refused(ErrorCode::Internal).status(), Status::Failed);
    }

    #[test]
    fn errors_have_one_shape_in_json() {
        assert_eq!(
            refused(ErrorCode::Draining).to_json(),
            r#"{"error":{"code":"draining","message":"m"}}"#
        );
        assert_eq!(
            Failure::Usage("u".into()).to_json(),
            r#"{"error":{"code":"usage","message":"u"}}"#
        );
    }
}
