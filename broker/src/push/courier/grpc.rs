//! Workers that serve `broker.Broker`, and backends that serve `message.MessageBrokerService`.
//!
//! Every call goes over one kept HTTP/2 connection and carries its deadline (`grpc-timeout`). A worker
//! answers with a status of its own: 200 (and 0, from those who leave it out) completes the task, 400
//! and 404 refuse it for good. A backend says `success`, or why not.

mod channel;

use self::channel::{Channel, Unsent};
use super::deadline::Deadline;
use super::kept::Kept;
use super::{MAX_REASON_BYTES, Route, shortened};
use crate::push::target::Scheme;
use crate::push::task::{Outcome, Task, text};
use std::error::Error;
use tonic::{Code, Request, Response, Status};
use weir_protocol::grpc::broker::TaskRequest;
use weir_protocol::grpc::broker::broker_client::BrokerClient;
use weir_protocol::grpc::message::SendMessageRequest;
use weir_protocol::grpc::message::message_broker_service_client::MessageBrokerServiceClient;

/// Largest answer: a number, or an id and a reason.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct GrpcCourier {
    route: Route,
    channel: Kept<Channel>,
}

impl GrpcCourier {
    pub(super) fn new(route: Route) -> Self {
        Self {
            route,
            channel: Kept::new(),
        }
    }

    pub(super) async fn deliver(
        &self,
        task: &Task,
        deadline: Deadline,
    ) -> Result<Outcome, Outcome> {
        match self.route.target.scheme() {
            Scheme::Backend => self.deliver_message(task, deadline).await,
            _ => self.deliver_task(task, deadline).await,
        }
    }

    async fn deliver_task(&self, task: &Task, deadline: Deadline) -> Result<Outcome, Outcome> {
        let (data, _) = task.data(&task.head()?);
        let request = TaskRequest {
            queue: task.queue.unwrap_or_default(),
            data,
        };
        let send = async |channel: Channel, request| {
            let origin = channel.origin();
            let client = BrokerClient::with_origin(channel, origin);
            let mut client = client.max_decoding_message_size(MAX_ANSWER_BYTES);
            client.send_task(request).await
        };
        let answer = self.call(request, deadline, send).await?;
        Ok(task_outcome(answer.status))
    }

    async fn deliver_message(&self, task: &Task, deadline: Deadline) -> Result<Outcome, Outcome> {
        let head = task.head()?;
        let payload = String::from_utf8_lossy(head.payload).into_owned();
        let reply_to = head.reply_to.map(text).unwrap_or_default();
        let topic = task.topic.as_str();
        let sent = self.send_message(topic, payload, &reply_to, deadline);
        sent.await.map(|_id| Outcome::Done)
    }

    /// The id that the backend gave the message.
    pub(super) async fn send_message(
        &self,
        topic: &str,
        payload: String,
        reply_to: &str,
        deadline: Deadline,
    ) -> Result<String, Outcome> {
        let request = SendMessageRequest {
            topic: topic.to_owned(),
            payload,
            reply_to: reply_to.to_owned(),
        };
        let send = async |channel: Channel, request| {
            let origin = channel.origin();
            let client = MessageBrokerServiceClient::with_origin(channel, origin);
            let mut client = client.max_decoding_message_size(MAX_ANSWER_BYTES);
            client.send_message(request).await
        };
        let answer = self.call(request, deadline, send).await?;
        match answer.success {
            true => Ok(answer.message_id),
            false => Err(refusal(&answer.error_message)),
        }
    }

    /// Sends over the kept connection; what was not sent because that ended goes over a new one.
    async fn call<Q: Clone, A>(
        &self,
        request: Q,
        deadline: Deadline,
        send: impl AsyncFn(Channel, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Outcome> {
        let mut unsent = None;
        for _ in 0..2 {
            let channel = self.channel.get(&self.route, Channel::is_open, || {
                Channel::dial(self.route.clone())
            });
            let channel = deadline.connecting(channel).await?;
            let mut request = Request::new(request.clone());
            request.set_timeout(deadline.remaining());
            let answered = deadline.answering(send(channel, request)).await?;
            match answered {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) if was_unsent(&status) => unsent = Some(status),
                Err(status) => return Err(Outcome::failed(told(&status))),
            }
        }
        let status = unsent.as_ref().map(told).unwrap_or_default();
        Err(Outcome::unreachable(status))
    }
}

fn task_outcome(status: i32) -> Outcome {
    match status {
        0 | 200 => Outcome::Done,
        400 | 404 => Outcome::refused(format!("the worker answered with status {status}")),
        _ => Outcome::failed(format!("the worker answered with status {status}")),
    }
}

fn refusal(error_message: &str) -> Outcome {
    match shortened(error_message, MAX_REASON_BYTES) {
        "" => Outcome::failed("the backend refused the message without a reason"),
        reason => Outcome::failed(format!("the backend refused the message: {reason}")),
    }
}

fn was_unsent(status: &Status) -> bool {
    status.source().is_some_and(|source| source.is::<Unsent>())
}

/// `gRPC Unavailable: stopping`
fn told(status: &Status) -> String {
    let code: Code = status.code();
    match shortened(status.message(), MAX_REASON_BYTES) {
        "" => format!("gRPC {code:?}"),
        message => format!("gRPC {code:?}: {message}"),
    }
}

#[cfg(test)]
mod tests;
