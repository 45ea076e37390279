//! Where callers wait for the reply to a request: names that look like topics, in memory only.
//!
//! A place takes one reply and is gone. It belongs to the caller that opened it and is gone with it,
//! too; nothing is ever stored under its name.

use crate::broker::BrokerError;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;
use weir_protocol::NewMessage;
use weir_types::{InvalidName, MessageId, Timestamp, TopicName};

/// Names that begin so are places, and never topics.
const PREFIX: &str = "_reply.";
/// Callers that may wait at one time.
const MAX_WAITING: usize = 10_000;

/// What a caller waits for.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) message: NewMessage,
    pub(crate) id: MessageId,
    pub(crate) timestamp: Timestamp,
}

/// Everyone who waits, by place.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    waiting: Mutex<HashMap<TopicName, oneshot::Sender<Reply>>>,
}

/// Why no place was opened.
#[derive(Debug)]
pub(crate) enum NoPlace {
    /// Too many callers wait.
    TooMany,
    /// A defect: places have legal names.
    Name(InvalidName),
}

/// Whether the name is that of a place.
pub(crate) fn is_place(name: &TopicName) -> bool {
    name.as_str().starts_with(PREFIX)
}

/// Refuses the name of a place: nothing is ever stored there.
pub(crate) fn check_no_place(name: &TopicName) -> Result<(), BrokerError> {
    match is_place(name) {
        true => Err(BrokerError::ReservedName {
            topic: name.clone(),
        }),
        false => Ok(()),
    }
}

impl Replies {
    /// Opens a place with a name that nobody can guess, if `random` is.
    pub(crate) fn open(self: &Arc<Self>, random: u128) -> Result<ReplyPlace, NoPlace> {
        let name = format!("{PREFIX}{}", MessageId::from_bits(random));
        let name = TopicName::parse(&name).map_err(NoPlace::Name)?;
        let mut waiting = self.waiting();
        if waiting.len() >= MAX_WAITING {
            return Err(NoPlace::TooMany);
        }
        let (sender, reply) = oneshot::channel();
        waiting.insert(name.clone(), sender);
        Ok(ReplyPlace {
            name,
            reply,
            replies: self.clone(),
        })
    }

    pub(crate) fn is_waited_for(&self, place: &TopicName) -> bool {
        self.waiting().contains_key(place)
    }

    /// Hands the reply to the caller and closes the place. Returns whether there was one.
    pub(crate) fn deliver(&self, place: &TopicName, reply: Reply) -> bool {
        let caller = self.waiting().remove(place);
        caller.is_some_and(|caller| caller.send(reply).is_ok())
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<TopicName, oneshot::Sender<Reply>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A caller's place; closes when it is dropped.
#[derive(Debug)]
pub(crate) struct ReplyPlace {
    name: TopicName,
    reply: oneshot::Receiver<Reply>,
    replies: Arc<Replies>,
}

impl ReplyPlace {
    pub(crate) fn name(&self) -> &TopicName {
        &self.name
    }

    /// Waits for the reply. `None` never comes while the place is open. Cancel-safe.
    pub(crate) async fn reply(&mut self) -> Option<Reply> {
        (&mut self.reply).await.ok()
    }
}

impl Drop for ReplyPlace {
    fn drop(&mut self) {
        self.replies.waiting().remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_protocol::Payload;

    fn reply() -> Reply {
        Reply {
            message: NewMessage::plain(Payload::from_text("yes")),
            id: MessageId::from_bits(1),
            timestamp: Timestamp(5),
        }
    }

    #[tokio::test]
    async fn a_place_takes_one_reply() {
        let replies = Arc::new(Replies::default());
        let mut place = replies.open(7).unwrap();
        let name = place.name().clone();
        assert!(is_place(&name) && name.as_str().len() == PREFIX.len() + 22);
        assert!(replies.is_waited_for(&name));
        assert!(replies.deliver(&name, reply()));
        assert!(!replies.deliver(&name, reply()));
        assert_eq!(place.reply().await.unwrap().timestamp, Timestamp(5));
    }

    #[test]
    fn a_caller_that_goes_away_leaves_no_place() {
        let replies = Arc::new(Replies::default());
        let place = replies.open(7).unwrap();
        let name = place.name().clone();
        drop(place);
        assert!(!replies.deliver(&name, reply()));
        assert!(replies.waiting().is_empty());
    }

    #[test]
    fn there_is_room_for_so_many_callers_and_no_more() {
        let replies = Arc::new(Replies::default());
        let all = (0..MAX_WAITING as u128).map(|random| replies.open(random).unwrap());
        let mut all: Vec<_> = all.collect();
        assert!(matches!(replies.open(1 << 100), Err(NoPlace::TooMany)));
        all.pop();
        assert!(replies.open(1 << 100).is_ok());
    }
}
