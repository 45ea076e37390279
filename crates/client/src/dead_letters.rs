use crate::address::Address;
use crate::groups::group_address;
use crate::transport::Call;
use crate::{Client, ClientError};
use weir_protocol::shapes::{DeadLetter, DeadLetters, RedriveRequest, Redriven};
use weir_types::{GroupName, MessageId, TopicName};

/// Which dead letters to list. The default is the first page of all groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterOptions {
    /// Only those of this group.
    pub group: Option<GroupName>,
    /// Look at so many records of the dead-letter topic at most; those moved back and those of other
    /// groups count too. `None` leaves it to the broker.
    pub limit: Option<usize>,
    /// The `next` of the page before.
    pub from: Option<String>,
}

impl Client {
    /// Lists a page of the dead letters of `topic` that were not moved back. A page may be empty
    /// although there are more: `next` tells.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn dead_letters(
        &self,
        topic: &TopicName,
        options: &DeadLetterOptions,
    ) -> Result<DeadLetters, ClientError> {
        let address = letters(topic, &[])
            .with_some("group", options.group.as_ref())
            .with_some("limit", options.limit)
            .with_some("from", options.from.as_ref());
        self.transport.call(Call::get(address)).await
    }

    /// Shows one dead letter of `topic`.
    ///
    /// # Errors
    /// [`ClientError`]; `unknown_dead_letter` also when it was moved back.
    pub async fn dead_letter(
        &self,
        topic: &TopicName,
        id: &MessageId,
    ) -> Result<DeadLetter, ClientError> {
        let call = Call::get(letters(topic, &[id.as_str()]));
        self.transport.call(call).await
    }

    /// Moves dead letters of `group` back to `topic`, for that group alone and with their attempts
    /// counted anew. One call looks at some of them; repeat it with `from` set to the answer's `next`
    /// until there is none.
    ///
    /// # Errors
    /// [`ClientError`]. Repeating a step that was answered never moves a letter twice; one whose
    /// answer got lost may.
    pub async fn redrive(
        &self,
        topic: &TopicName,
        group: &GroupName,
        request: &RedriveRequest,
    ) -> Result<Redriven, ClientError> {
        let call = Call::post(group_address(topic, group, &["redrive"])).json(request);
        self.transport.call(call).await
    }
}

fn letters(topic: &TopicName, rest: &[&str]) -> Address {
    let letters = ["v1", "topics", topic.as_str(), "dead-letters"];
    Address::path(&[&letters, rest].concat())
}
