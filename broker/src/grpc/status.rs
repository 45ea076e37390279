//! The broker's errors in gRPC's words.

use crate::broker::BrokerError;
use tonic::Status;
use weir_protocol::ErrorCode;

/// How a service tells of an error.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It could not be asked: the call fails, and a client may repeat it.
    Call(Status),
    /// It was asked and says no, in its answer.
    Answer(BrokerError),
}

impl From<BrokerError> for Refusal {
    fn from(error: BrokerError) -> Self {
        match error.code() {
            ErrorCode::Draining | ErrorCode::Overloaded => Self::Call(status(&error)),
            _ => Self::Answer(error),
        }
    }
}

/// For answers that have no place for an error.
pub(super) fn status(error: &BrokerError) -> Status {
    let message = error.to_string();
    match error.code() {
        ErrorCode::Draining | ErrorCode::Storage => Status::unavailable(message),
        ErrorCode::Overloaded | ErrorCode::StorageFull | ErrorCode::TooLarge => {
            Status::resource_exhausted(message)
        }
        ErrorCode::Timeout | ErrorCode::RequestTimeout => Status::deadline_exceeded(message),
        ErrorCode::Internal => Status::internal(message),
        code => match code.http_status() {
            404 | 410 => Status::not_found(message),
            409 => Status::failed_precondition(message),
            _ => Status::invalid_argument(message),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tonic::Code;
    use weir_types::TopicName;

    #[test]
    fn only_what_passes_by_itself_fails_the_call() {
        let overloaded = BrokerError::Overloaded {
            retry_after: Duration::from_secs(1),
        };
        for (error, code) in [
            (BrokerError::Draining, Code::Unavailable),
            (overloaded, Code::ResourceExhausted),
        ] {
            let refusal = Refusal::from(error);
            assert!(matches!(&refusal, Refusal::Call(status) if status.code() == code));
        }
        let unknown = BrokerError::UnknownTopic {
            topic: TopicName::parse("t").unwrap(),
        };
        assert_eq!(status(&unknown).code(), Code::NotFound);
        assert!(matches!(Refusal::from(unknown), Refusal::Answer(_)));
    }
}
