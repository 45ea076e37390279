//! `message.MessageBrokerService`: publishing and consuming one message at a time.
//!
//! | method | answer |
//! |---|---|
//! | `SendMessage` | `success` and the stored id; what is wrong with the request, or kept it from the disk, is in `error_message` |
//! | `ReceiveMessage` | the next message of the topic's plain queue; `has_message` is false when there is none |
//!
//! The call itself fails when the broker could not be asked (stopping, overloaded), and `ReceiveMessage`,
//! which has no place for an error, also when a topic cannot have such a name.

use super::status::{Refusal, status};
use crate::broker::{Accepted, Broker, BrokerError, PlainMessage};
use bytes::Bytes;
use tonic::{Request, Response, Status};
use weir_protocol::grpc::message::message_broker_service_server::{
    MessageBrokerService, MessageBrokerServiceServer,
};
use weir_protocol::grpc::message::{
    ReceiveMessageRequest, ReceiveMessageResponse, SendMessageRequest, SendMessageResponse,
};
use weir_protocol::{NewMessage, Payload};
use weir_service::http::AfterFlush;
use weir_types::TopicName;

/// The service as tonic serves it.
pub(super) fn server(
    broker: &Broker,
    max_message_bytes: usize,
) -> MessageBrokerServiceServer<impl MessageBrokerService> {
    let broker = broker.clone();
    MessageBrokerServiceServer::new(MessageService { broker })
        .max_decoding_message_size(max_message_bytes)
}

struct MessageService {
    broker: Broker,
}

#[tonic::async_trait]
impl MessageBrokerService for MessageService {
    async fn send_message(
        &self,
        request: Request<SendMessageRequest>,
    ) -> Result<Response<SendMessageResponse>, Status> {
        let parsed = parse(request.into_inner(), self.broker.max_payload_bytes());
        let answer = match parsed {
            Err(reason) => refused(reason),
            Ok((topic, message)) => match self.broker.publish(&topic, message).await {
                Ok(accepted) => stored(accepted)?,
                Err(error) => match error.into() {
                    Refusal::Call(status) => return Err(status),
                    Refusal::Answer(error) => refused(error.to_string()),
                },
            },
        };
        Ok(Response::new(answer))
    }

    async fn receive_message(
        &self,
        request: Request<ReceiveMessageRequest>,
    ) -> Result<Response<ReceiveMessageResponse>, Status> {
        let topic = request.into_inner().topic;
        if topic.is_empty() {
            return Ok(Response::new(ReceiveMessageResponse::default()));
        }
        let topic = TopicName::parse_derived(&topic)
            .map_err(|refused| Status::invalid_argument(refused.to_string()))?;
        let (after_flush, flushed) = AfterFlush::new();
        let taken = self.broker.take_next(&topic, 1, flushed).await;
        let taken = taken.map_err(|error| status(&error))?;
        let message = taken.into_iter().next().map(received);
        let mut answer = Response::new(message.unwrap_or_default());
        answer.extensions_mut().insert(after_flush);
        Ok(answer)
    }
}

/// Where a message goes, and the message; or why it is refused.
fn parse(
    request: SendMessageRequest,
    max_payload_bytes: usize,
) -> Result<(TopicName, NewMessage), String> {
    let topic = TopicName::parse(&request.topic).map_err(|e| e.to_string())?;
    let reply_to = (!request.reply_to.is_empty()).then_some(request.reply_to);
    let reply_to = reply_to.map(|name| TopicName::parse(&name)).transpose();
    let reply_to = reply_to.map_err(|e| format!("reply_to: {e}"))?;
    let payload = Payload::parse(&Bytes::from(request.payload), max_payload_bytes);
    let message = NewMessage {
        reply_to,
        ..NewMessage::plain(payload.map_err(|e| e.to_string())?)
    };
    Ok((topic, message))
}

fn stored(accepted: Accepted) -> Result<SendMessageResponse, Status> {
    match accepted {
        Accepted::Stored(published) => Ok(SendMessageResponse {
            success: true,
            message_id: published.id.into(),
            error_message: String::new(),
        }),
        // No request of this service names a time.
        Accepted::Scheduled(_) => Err(status(&BrokerError::internal("a message was scheduled"))),
    }
}

fn refused(reason: impl Into<String>) -> SendMessageResponse {
    SendMessageResponse {
        success: false,
        message_id: String::new(),
        error_message: reason.into(),
    }
}

fn received(message: PlainMessage) -> ReceiveMessageResponse {
    ReceiveMessageResponse {
        has_message: true,
        message_id: message.id.into(),
        topic: message.topic.into(),
        payload: Box::<str>::from(message.payload).into(),
        reply_to: message.reply_to.unwrap_or_default(),
    }
}
