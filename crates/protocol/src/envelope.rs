use std::io::Write;
use weir_types::{PartitionId, Timestamp, TopicName};

/// What a lease adds to a message.
#[derive(Clone, Debug)]
pub struct LeaseFields<'a> {
    /// The encoded receipt.
    pub receipt: &'a str,
    /// Which lease of the message this is, from 1.
    pub delivery_attempt: u32,
    /// When the lease ends.
    pub lease_expires_at: Timestamp,
}

/// Appends the message object of a fetch or a stream: `topic` and `partition`, then the fields of
/// the stored line as they are. The line is copied, never parsed.
///
/// `line` is one stored record: a JSON object with at least one field, without its newline.
pub fn push_message(out: &mut Vec<u8>, topic: &TopicName, partition: PartitionId, line: &[u8]) {
    let _infallible = write!(out, "{{\"topic\":\"{topic}\",\"partition\":{partition},");
    push_fields(out, line);
}

/// Appends the message object of a lease: the lease's fields, then those of [`push_message`].
pub fn push_leased_message(
    out: &mut Vec<u8>,
    lease: &LeaseFields<'_>,
    topic: &TopicName,
    partition: PartitionId,
    line: &[u8],
) {
    let _infallible = write!(
        out,
        "{{\"receipt\":\"{}\",\"delivery_attempt\":{},\"lease_expires_at\":{},\
         \"topic\":\"{topic}\",\"partition\":{partition},",
        lease.receipt, lease.delivery_attempt, lease.lease_expires_at,
    );
    push_fields(out, line);
}

/// Everything after the opening brace.
fn push_fields(out: &mut Vec<u8>, line: &[u8]) {
    debug_assert!(line.starts_with(b"{\"") && line.ends_with(b"}"));
    out.extend_from_slice(&line[1..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shapes::{LeasedMessage, Message};

    const LINE: &[u8] =
        br#"{"offset":4,"timestamp":5,"id":"i","key":"k","payload":{"a":[1]},"crc":"00000000"}"#;

    #[test]
    fn a_message_is_the_stored_line_with_its_place() {
        let mut out = Vec::new();
        push_message(
            &mut out,
            &TopicName::parse("t").unwrap(),
            PartitionId(2),
            LINE,
        );
        assert!(out.starts_with(br#"{"topic":"t","partition":2,"offset":4,"#));
        let message: Message = serde_json::from_slice(&out).unwrap();
        assert_eq!(message.payload.get(), r#"{"a":[1]}"#);
        assert_eq!(message.offset.0, 4);
    }

    #[test]
    fn a_leased_message_says_how_to_answer() {
        let mut out = Vec::new();
        let lease = LeaseFields {
            receipt: "r",
            delivery_attempt: 1,
            lease_expires_at: Timestamp(9),
        };
        push_leased_message(
            &mut out,
            &lease,
            &TopicName::parse("t").unwrap(),
            PartitionId(0),
            LINE,
        );
        let message: LeasedMessage = serde_json::from_slice(&out).unwrap();
        assert_eq!(
            (message.receipt.as_str(), message.delivery_attempt),
            ("r", 1)
        );
        assert_eq!(message.lease_expires_at, Timestamp(9));
    }
}
