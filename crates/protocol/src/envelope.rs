use crate::Receipt;
use crate::shapes::ReceiptStatus;
use std::io::Write;
use weir_types::{PartitionId, Timestamp, TopicName};

/// Appends the message object of a fetch or a stream: `topic` and `partition`, then the fields of
/// the stored line as they are. The line is copied, never parsed.
///
/// `line` is one stored record: a JSON object with at least one field, without its newline.
pub fn push_message(out: &mut Vec<u8>, topic: &TopicName, partition: PartitionId, line: &[u8]) {
    let _infallible = write!(out, "{{\"topic\":\"{topic}\",\"partition\":{partition},");
    push_fields(out, line);
}

/// Appends the message object of a lease that ends at `lease_expires_at`: the lease's fields, then
/// those of [`push_message`].
pub fn push_leased_message(
    out: &mut Vec<u8>,
    receipt: &Receipt,
    lease_expires_at: Timestamp,
    topic: &TopicName,
    line: &[u8],
) {
    out.extend_from_slice(b"{\"receipt\":\"");
    receipt.encode_to(out);
    let _infallible = write!(
        out,
        "\",\"delivery_attempt\":{},\"lease_expires_at\":{lease_expires_at},\
         \"topic\":\"{topic}\",\"partition\":{},",
        receipt.delivery_attempt, receipt.partition,
    );
    push_fields(out, line);
}

/// Appends the answer to an ack, a nack or an extend: each receipt as it was sent, and what happened
/// to it.
pub fn push_receipt_results<'a>(
    out: &mut Vec<u8>,
    results: impl Iterator<Item = (&'a str, ReceiptStatus)>,
) {
    out.extend_from_slice(b"{\"results\":[");
    for (index, (receipt, status)) in results.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"receipt\":");
        push_text(out, receipt);
        out.extend_from_slice(b",\"status\":\"");
        out.extend_from_slice(status.as_str().as_bytes());
        out.extend_from_slice(b"\"}");
    }
    out.extend_from_slice(b"]}");
}

/// A JSON string. What the broker made needs no look at each character.
fn push_text(out: &mut Vec<u8>, text: &str) {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if text.bytes().all(is_plain) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // A string always serializes, and a Vec always takes it.
        let _infallible = serde_json::to_writer(out, text);
    }
}

/// Everything after the opening brace.
fn push_fields(out: &mut Vec<u8>, line: &[u8]) {
    debug_assert!(line.starts_with(b"{\"") && line.ends_with(b"}"));
    out.extend_from_slice(&line[1..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shapes::{LeasedMessage, Message, ReceiptResults};
    use weir_types::{BrokerStart, Incarnation, Offset};

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
        let receipt = Receipt {
            incarnation: Incarnation(7),
            partition: PartitionId(3),
            offset: Offset(4),
            delivery_attempt: 2,
            broker_start: BrokerStart(1),
        };
        let topic = TopicName::parse("t").unwrap();
        push_leased_message(&mut out, &receipt, Timestamp(9), &topic, LINE);
        let message: LeasedMessage = serde_json::from_slice(&out).unwrap();
        assert_eq!(Receipt::decode(&message.receipt), Ok(receipt));
        assert_eq!(message.delivery_attempt, 2);
        assert_eq!(message.partition, PartitionId(3));
        assert_eq!(message.lease_expires_at, Timestamp(9));
    }

    #[test]
    fn results_repeat_the_receipts_whatever_they_are() {
        let sent = [
            ("AQ-_", ReceiptStatus::Acked),
            ("a\"\\\u{1}ü", ReceiptStatus::Unknown),
            ("x", ReceiptStatus::LeaseExpired),
        ];
        let mut out = Vec::new();
        push_receipt_results(&mut out, sent.into_iter());
        let read: ReceiptResults = serde_json::from_slice(&out).unwrap();
        let read = read.results.iter();
        let read: Vec<_> = read.map(|one| (one.receipt.as_str(), one.status)).collect();
        assert_eq!(read, sent);
        assert_eq!(
            serde_json::to_string(&ReceiptStatus::Nacked).unwrap(),
            "\"nacked\""
        );
        assert_eq!(ReceiptStatus::Nacked.as_str(), "nacked");
        assert_eq!(ReceiptStatus::Extended.as_str(), "extended");
    }
}
