use crate::address::Address;
use crate::transport::Call;
use crate::{Client, ClientError};
use http::Method;
use weir_protocol::shapes::{
    BackendAnswer, BackendMessage, Backends, NewWorker, WorkerChange, WorkerId, WorkerInfo, Workers,
};
use weir_types::TopicName;

impl Client {
    /// Registers a worker that messages are pushed to. `Ok` means that the broker remembers it, also
    /// over restarts. Each call is a registration of its own.
    ///
    /// # Errors
    /// [`ClientError`]; a queue that does not exist is an `unknown_queue`.
    pub async fn register_worker(&self, worker: &NewWorker) -> Result<WorkerInfo, ClientError> {
        let call = Call::post(Address::path(&["v1", "workers"])).json(worker);
        self.transport.call(call).await
    }

    /// Lists registered workers, of one topic or of all, in order of registration.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn workers(&self, topic: Option<&TopicName>) -> Result<Workers, ClientError> {
        let address = Address::path(&["v1", "workers"]).with_some("topic", topic);
        self.transport.call(Call::get(address)).await
    }

    /// Shows one worker.
    ///
    /// # Errors
    /// [`ClientError`]; one that was removed is an `unknown_worker`.
    pub async fn worker(&self, id: WorkerId) -> Result<WorkerInfo, ClientError> {
        self.transport.call(Call::get(address(id))).await
    }

    /// Pauses or resumes a worker, or changes how much it works on at one time.
    ///
    /// # Errors
    /// Like [`Client::worker`].
    pub async fn alter_worker(
        &self,
        id: WorkerId,
        change: WorkerChange,
    ) -> Result<WorkerInfo, ClientError> {
        let call = Call::new(Method::PATCH, address(id)).json(&change);
        self.transport.call(call).await
    }

    /// Removes a worker. What it works on, it may finish.
    ///
    /// # Errors
    /// Like [`Client::worker`].
    pub async fn remove_worker(&self, id: WorkerId) -> Result<(), ClientError> {
        let call = Call::new(Method::DELETE, address(id));
        self.transport.call_unit(call).await
    }

    /// Lists the backends, and the topics that are delivered to them.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn backends(&self) -> Result<Backends, ClientError> {
        let address = Address::path(&["v1", "backends"]);
        self.transport.call(Call::get(address)).await
    }

    /// Sends a message to one of the backends. `Ok` means that it accepted the message.
    ///
    /// # Errors
    /// [`ClientError`]; `unavailable` when no backend did, with the reasons.
    pub async fn send_to_backend(
        &self,
        message: &BackendMessage,
    ) -> Result<BackendAnswer, ClientError> {
        let address = Address::path(&["v1", "backends", "send"]);
        self.transport.call(Call::post(address).json(message)).await
    }
}

fn address(id: WorkerId) -> Address {
    Address::path(&["v1", "workers", &id.to_string()])
}
