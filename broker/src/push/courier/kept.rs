//! A connection that many deliveries share.

use super::Route;
use crate::push::dial::DialError;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use std::sync::{Mutex, PoisonError};

type Dialled<C> = Shared<BoxFuture<'static, Result<C, DialError>>>;

/// Dials when somebody asks and there is no usable connection. All who ask meanwhile share what
/// comes of it, success or failure: a thousand deliveries to a host that is down dial once.
pub(super) struct Kept<C> {
    dialled: Mutex<Option<Dialled<C>>>,
}

impl<C: Clone + Send + Sync + 'static> Kept<C> {
    pub(super) const fn new() -> Self {
        Self {
            dialled: Mutex::new(None),
        }
    }

    /// The connection, if `is_usable`, else what `dial` makes. Cancel-safe: the dialling is a task
    /// of its own, so that it does not stand still when who began it goes away.
    pub(super) async fn get<F>(
        &self,
        route: &Route,
        is_usable: impl Fn(&C) -> bool,
        dial: impl FnOnce() -> F,
    ) -> Result<C, DialError>
    where
        F: Future<Output = Result<C, DialError>> + Send + 'static,
    {
        let shared = {
            let mut kept = self.dialled.lock().unwrap_or_else(PoisonError::into_inner);
            let usable = kept.take().filter(|dialled| match dialled.peek() {
                Some(Ok(connection)) => is_usable(connection),
                Some(Err(_)) => false,
                None => true,
            });
            kept.insert(usable.unwrap_or_else(|| Self::begin(route, dial())))
                .clone()
        };
        shared.await
    }

    fn begin<F>(route: &Route, dial: F) -> Dialled<C>
    where
        F: Future<Output = Result<C, DialError>> + Send + 'static,
    {
        let dialling = route.spawn(dial);
        let stopping = || DialError("the broker is stopping".to_owned());
        let dialled = dialling.map(move |dialled| dialled.ok().flatten().ok_or_else(stopping)?);
        dialled.boxed().shared()
    }
}

impl<C> std::fmt::Debug for Kept<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}
