use crate::address::Address;
use crate::transport::Call;
use crate::{Client, ClientError};
use http::Method;
use weir_protocol::shapes::{GroupInfo, GroupRequest, Groups, SeekRequest};
use weir_types::{GroupName, TopicName};

impl Client {
    /// Lists the groups of a topic, in order of name.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn groups(&self, topic: &TopicName) -> Result<Groups, ClientError> {
        let address = Address::path(&["v1", "topics", topic.as_str(), "groups"]);
        self.transport.call(Call::get(address)).await
    }

    /// Shows one group.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn group(
        &self,
        topic: &TopicName,
        group: &GroupName,
    ) -> Result<GroupInfo, ClientError> {
        let address = group_address(topic, group, &[]);
        self.transport.call(Call::get(address)).await
    }

    /// Creates a group, or changes one that exists, which stays where it is; what `request` leaves out
    /// is the topic's, or stays as it is.
    ///
    /// # Errors
    /// [`ClientError`]; another order than the group has is a `conflict`.
    pub async fn put_group(
        &self,
        topic: &TopicName,
        group: &GroupName,
        request: GroupRequest,
    ) -> Result<GroupInfo, ClientError> {
        let call = Call::new(Method::PUT, group_address(topic, group, &[]));
        self.transport.call(call.json(&request)).await
    }

    /// Goes on from another place, in one partition or in all. All leases there are void, and what
    /// is known of finished messages and of attempts is forgotten.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn seek(
        &self,
        topic: &TopicName,
        group: &GroupName,
        request: &SeekRequest,
    ) -> Result<GroupInfo, ClientError> {
        let call = Call::post(group_address(topic, group, &["seek"])).json(request);
        self.transport.call(call).await
    }

    /// Deletes a group and its place in the topic.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete_group(
        &self,
        topic: &TopicName,
        group: &GroupName,
    ) -> Result<(), ClientError> {
        let call = Call::new(Method::DELETE, group_address(topic, group, &[]));
        self.transport.call_unit(call).await
    }
}

pub(crate) fn group_address(topic: &TopicName, group: &GroupName, rest: &[&str]) -> Address {
    let group = ["v1", "topics", topic.as_str(), "groups", group.as_str()];
    Address::path(&[&group, rest].concat())
}
