//! One client: its connection, and the record of what it asks.

use super::connection::{Answer, Connection, Request};
use super::plan::Ending;
use super::world::{Target, World};
use crate::history::event::{Call, Delivery, Life, Op, Outcome};
use std::io::Result;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// A living broker answers everything sooner, also on a busy machine.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);
/// Between attempts to reach a broker that is just being killed.
const RECONNECT_PAUSE: Duration = Duration::from_millis(5);

/// A client that stays through all lives of the broker. It asks one thing after the other.
pub(super) struct Caller {
    world: Arc<World>,
    name: String,
    connection: Option<(Life, Connection)>,
}

/// How a client takes an answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Manner {
    /// At once.
    Prompt,
    /// The head at once, the body after this.
    Slow(Duration),
    /// Not at all: it hangs up after this.
    Leave(Duration),
}

impl Caller {
    pub(super) fn new(world: &Arc<World>, name: String) -> Self {
        Self {
            world: Arc::clone(world),
            name,
            connection: None,
        }
    }

    /// Asks, and notes what came of it. `read` says what an answer means; it is what the caller
    /// gets, `None` if there was none.
    pub(super) async fn call<T>(
        &mut self,
        call: Call,
        request: &Request,
        manner: Manner,
        read: impl FnOnce(&Answer) -> Result<(Vec<Delivery>, Outcome, T)>,
    ) -> Option<T> {
        let (life, mut connection) = self.connection().await;
        let op = self.world.recorder.invoked(&self.name, life, call);
        let exchange = exchange(&mut connection, request, manner);
        let Ok(answered) = timeout(ANSWERED_WITHIN, exchange).await else {
            return self.refused(op, format!("nothing within {ANSWERED_WITHIN:?}"));
        };
        let Ok(Some(answer)) = answered else {
            self.world
                .recorder
                .completed(op, Vec::new(), Outcome::Unknown);
            return None;
        };
        if !answer.is_success() {
            return self.turned_away(op, &answer).await;
        }
        match read(&answer) {
            Ok((deliveries, outcome, result)) => {
                self.world.recorder.completed(op, deliveries, outcome);
                self.connection = Some((life, connection));
                Some(result)
            }
            Err(error) => self.refused(op, error.to_string()),
        }
    }

    /// Opens a stream on a connection of its own; it must be ended by [`Caller::end_stream`].
    pub(super) async fn open_stream(
        &mut self,
        call: Call,
        request: &Request,
    ) -> Option<(Op, Connection)> {
        let (life, mut connection) = self.new_connection().await;
        let op = self.world.recorder.invoked(&self.name, life, call);
        let begun = async {
            connection.send(request).await?;
            connection.begin_stream().await
        };
        match timeout(ANSWERED_WITHIN, begun).await {
            Ok(Ok(Ok(()))) => Some((op, connection)),
            Ok(Ok(Err(answer))) => self.turned_away(op, &answer).await,
            Ok(Err(_)) => {
                self.world
                    .recorder
                    .completed(op, Vec::new(), Outcome::Unknown);
                None
            }
            Err(_) => self.refused(op, format!("nothing within {ANSWERED_WITHIN:?}")),
        }
    }

    pub(super) fn delivered(&self, op: Op, delivery: Delivery) {
        self.world.recorder.delivered(op, delivery);
    }

    /// Notes the end of a stream, and only then hangs up.
    pub(super) fn end_stream(&self, op: Op, connection: Connection, outcome: Outcome) {
        self.world.recorder.completed(op, Vec::new(), outcome);
        drop(connection);
    }

    /// Asks what is no part of the history, again if the broker goes away meanwhile or is about to.
    ///
    /// # Panics
    /// A living broker does not answer: nothing can go on.
    pub(super) async fn ask(&mut self, request: &Request) -> Answer {
        loop {
            let (life, mut connection) = self.connection().await;
            let asked = exchange(&mut connection, request, Manner::Prompt);
            let answered = timeout(ANSWERED_WITHIN, asked).await;
            let answered = answered.unwrap_or_else(|_| panic!("no answer to {request:?}"));
            if let Ok(Some(answer)) = answered
                && !answer.is_draining()
            {
                self.connection = Some((life, connection));
                return answer;
            }
        }
    }

    /// A broker that is replaced may say that it is draining; the client comes again.
    async fn turned_away<T>(&self, op: Op, answer: &Answer) -> Option<T> {
        let may_drain = self.world.plan.ending == Ending::Replaced;
        if !(may_drain && answer.is_draining()) {
            return self.refused(op, answer.text());
        }
        sleep(RECONNECT_PAUSE).await;
        self.world
            .recorder
            .completed(op, Vec::new(), Outcome::Unknown);
        None
    }

    fn refused<T>(&self, op: Op, text: String) -> Option<T> {
        let outcome = Outcome::Refused(text);
        self.world.recorder.completed(op, Vec::new(), outcome);
        None
    }

    /// The one at hand, unless it is to a broker that is gone.
    async fn connection(&mut self) -> (Life, Connection) {
        let target = self.world.target().await;
        match self.connection.take() {
            Some((life, connection)) if life == target.life => (life, connection),
            _ => self.new_connection().await,
        }
    }

    async fn new_connection(&mut self) -> (Life, Connection) {
        loop {
            let Target { life, address } = self.world.target().await;
            if let Ok(connection) = Connection::open(address).await {
                return (life, connection);
            }
            sleep(RECONNECT_PAUSE).await;
        }
    }
}

/// `None` if the client left.
async fn exchange(
    connection: &mut Connection,
    request: &Request,
    manner: Manner,
) -> Result<Option<Answer>> {
    connection.send(request).await?;
    match manner {
        Manner::Prompt => connection.answer().await.map(Some),
        Manner::Slow(pause) => connection.slow_answer(pause).await.map(Some),
        Manner::Leave(after) => {
            sleep(after).await;
            Ok(None)
        }
    }
}
