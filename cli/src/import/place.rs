//! Where a message came from: told with the message, so that an import that is run again knows what is
//! there already.

use std::fmt;
use std::sync::Arc;
use weir_protocol::shapes::Message;
use weir_types::MessageId;

/// Header that names the place, where the id does not.
pub(super) const HEADER: &str = "imported-from";
/// Header with the time at which the message was sent.
pub(super) const CREATED_AT_HEADER: &str = "created-at";
/// What the ids begin with that an import makes.
const ID_PREFIX: &str = "import:";
/// Of a label in an id that would be too long otherwise.
const SHORT_LABEL_CHARS: usize = 24;

/// A byte position in a file, written `<dialect>/<file>@<position>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Dialect and file.
    pub(super) label: Arc<str>,
    /// Of the first byte of the message's line.
    pub(super) position: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.label, self.position)
    }
}

/// How an imported message says where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) id: MessageId,
    /// Value of [`HEADER`].
    pub(super) header: Option<String>,
}

impl Place {
    /// With an id of its own, which its consumers know, a message needs the header. Otherwise the id
    /// names the place, if it is not too long for that; then it is made of the end of the label, which is
    /// enough to tell a partition's messages apart.
    pub(super) fn mark(&self, own_id: Option<MessageId>) -> Option<Mark> {
        let header = Some(self.to_string());
        if let Some(id) = own_id {
            return Some(Mark { id, header });
        }
        if let Ok(id) = MessageId::parse(&format!("{ID_PREFIX}{self}")) {
            return Some(Mark { id, header: None });
        }
        let plain = |c: char| c.is_ascii_graphic();
        let tail: Vec<char> = self.label.chars().filter(|c| plain(*c)).collect();
        let tail = &tail[tail.len().saturating_sub(SHORT_LABEL_CHARS)..];
        let tail: String = tail.iter().collect();
        let id = MessageId::parse(&format!("{ID_PREFIX}{tail}@{}", self.position)).ok()?;
        Some(Mark { id, header })
    }
}

/// The place that a stored message names, if it was imported: label and position.
pub(super) fn place_of(message: &Message) -> Option<(&str, u64)> {
    let named = match message.headers.get(HEADER) {
        Some(header) => header,
        None => message.id.as_str().strip_prefix(ID_PREFIX)?,
    };
    let (label, position) = named.rsplit_once('@')?;
    Some((label, position.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn place(label: &str) -> Place {
        let (label, position) = (label.into(), 42);
        Place { label, position }
    }

    fn stored(mark: &Mark) -> Message {
        let mut message = json!({
            "topic": "t", "partition": 0, "offset": 7, "timestamp": 1, "id": mark.id, "payload": 1,
        });
        if let Some(header) = &mark.header {
            message["headers"] = json!({HEADER: header});
        }
        serde_json::from_str(&message.to_string()).unwrap()
    }

    #[test]
    fn a_message_tells_its_place_by_its_id_or_by_a_header() {
        let long = format!("minimq/{}.log", "x".repeat(200));
        let own = || Some(MessageId::parse("a@7").unwrap());
        for (label, own_id, header) in [
            ("minimq/demo.log", None, false),
            ("minimq/a@b.log", None, false),
            (long.as_str(), None, true),
            ("minimq/tab\there.log", None, true),
            ("partitioned/t/partition-0.log", own(), true),
        ] {
            let place = place(label);
            let mark = place.mark(own_id).unwrap();
            assert_eq!(mark.header.is_some(), header, "{label}");
            assert_eq!(place_of(&stored(&mark)), Some((label, 42)), "{label}");
        }
    }

    #[test]
    fn other_messages_name_no_place() {
        for id in ["a@7", "import:", "import:x", "import:x@y", "0123"] {
            let id = MessageId::parse(id).unwrap();
            assert_eq!(place_of(&stored(&Mark { id, header: None })), None);
        }
    }
}
