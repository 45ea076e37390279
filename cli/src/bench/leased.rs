//! Leased messages as the generator sees them: found by scanning. Building JSON values of them would
//! cost more than what the broker does for a message.

use super::payload::number_of;
use bytes::Bytes;
use memchr::{memchr, memmem};

const BEFORE_RECEIPT: &[u8] = br#""receipt":""#;
/// Within a JSON text its quotes would be escaped, so no key, id or header can hold it.
const BEFORE_PAYLOAD: &[u8] = br#""payload":"#;
const ACKED: &[u8] = br#""status":"acked""#;

/// The messages of one answer of a lease.
pub(crate) struct Leased {
    receipts: Vec<Bytes>,
}

impl Leased {
    /// `each` gets the number of each message, `None` when it is none of ours.
    pub(crate) fn scan(answer: &Bytes, mut each: impl FnMut(Option<u64>)) -> Self {
        let mut receipts = Vec::new();
        for message in messages_in(answer) {
            each(number_in(message));
            receipts.extend(receipt_in(message).map(|receipt| answer.slice_ref(receipt)));
        }
        Self { receipts }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.receipts.is_empty()
    }

    /// Base64url texts, which nothing escapes.
    pub(crate) fn receipts(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.receipts.iter().map(|receipt| &receipt[..])
    }
}

/// The messages in an answer of a lease, each from its receipt.
pub(crate) fn messages_in(answer: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut begins = memmem::find_iter(answer, BEFORE_RECEIPT).peekable();
    std::iter::from_fn(move || {
        let begin = begins.next()?;
        let end = begins.peek().map_or(answer.len(), |next| *next);
        Some(&answer[begin..end])
    })
}

/// The receipt of one leased message; `None` when it is not leased.
pub(crate) fn receipt_in(message: &[u8]) -> Option<&[u8]> {
    let begin = memmem::find(message, BEFORE_RECEIPT)? + BEFORE_RECEIPT.len();
    let rest = &message[begin..];
    Some(&rest[..memchr(b'"', rest)?])
}

/// The number in one message's payload; `None` when it is not one of ours.
pub(crate) fn number_in(message: &[u8]) -> Option<u64> {
    let begin = memmem::find(message, BEFORE_PAYLOAD)? + BEFORE_PAYLOAD.len();
    number_of(&message[begin..])
}

/// How many receipts an answer says are acknowledged.
pub(crate) fn count_acked(answer: &[u8]) -> u64 {
    memmem::find_iter(answer, ACKED).count() as u64
}

#[cfg(test)]
mod tests {
    use super::super::payload::push_payload;
    use super::*;
    use weir_protocol::shapes::{ReceiptResult, ReceiptResults, ReceiptStatus};
    use weir_protocol::{Receipt, push_leased_message};
    use weir_types::{BrokerStart, Incarnation, Offset, PartitionId, Timestamp, TopicName};

    fn push(out: &mut Vec<u8>, offset: u64, line: &[u8]) -> Vec<u8> {
        let receipt = Receipt {
            incarnation: Incarnation(1),
            partition: PartitionId(0),
            offset: Offset(offset),
            delivery_attempt: 1,
            broker_start: BrokerStart(1),
        };
        let topic = TopicName::parse("t").unwrap();
        push_leased_message(out, &receipt, Timestamp(7), &topic, line);
        receipt.encode().into_bytes()
    }

    fn line(number: u64) -> Vec<u8> {
        let mut line = br#"{"offset":0,"id":"\"payload\":","payload":"#.to_vec();
        push_payload(&mut line, number, 200);
        line.extend_from_slice(b",\"crc\":\"01234567\"}");
        line
    }

    #[test]
    fn receipts_and_numbers_are_found_in_what_a_broker_answers() {
        let mut answer = b"{\"messages\":[".to_vec();
        let first = push(&mut answer, 0, &line(7));
        answer.push(b',');
        let second = push(&mut answer, 1, br#"{"offset":1,"payload":1}"#);
        answer.push(b',');
        let third = push(&mut answer, 2, &line(8));
        answer.extend_from_slice(b"]}");
        let mut numbers = Vec::new();
        let leased = Leased::scan(&answer.into(), |number| numbers.push(number));
        assert_eq!(numbers, [Some(7), None, Some(8)]);
        let receipts: Vec<_> = leased.receipts().collect();
        assert_eq!(receipts, [first, second, third]);
    }

    #[test]
    fn no_messages_are_none() {
        let leased = Leased::scan(&Bytes::from_static(br#"{"messages":[]}"#), |_| panic!());
        assert!(leased.is_empty());
    }

    #[test]
    fn only_acknowledged_receipts_count() {
        let result = |status| ReceiptResult {
            receipt: "r".into(),
            status,
        };
        let results = vec![
            result(ReceiptStatus::Acked),
            result(ReceiptStatus::LeaseExpired),
            result(ReceiptStatus::Acked),
        ];
        let answer = serde_json::to_vec(&ReceiptResults { results }).unwrap();
        assert_eq!(count_acked(&answer), 2);
    }
}
