//! What those who choose between processes are told of one: has it started, does it stop soon.

use crate::http::ConnectionInfo;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Shared by the process's life, which sets it, and its probes, which show it.
#[derive(Clone, Debug, Default)]
pub struct Presence(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    started: AtomicBool,
    leaving: AtomicBool,
}

impl Presence {
    /// Notes that everything is open and listens.
    pub fn set_started(&self) {
        self.0.started.store(true, Ordering::Relaxed);
    }

    /// Whether everything is open and listens.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.0.started.load(Ordering::Relaxed)
    }

    /// Notes that the process stops soon. There is no way back but a restart; until the signal that
    /// ends it, work goes on.
    pub fn set_leaving(&self) {
        self.0.leaving.store(true, Ordering::Relaxed);
    }

    /// Whether the process stops soon.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.0.leaving.load(Ordering::Relaxed)
    }

    /// What `POST /drain` does, for a caller on the same machine.
    ///
    /// # Errors
    /// The caller is elsewhere: taking a process out of service is up to whoever runs it. The text
    /// is for them.
    pub fn leave_for(&self, caller: Option<&ConnectionInfo>) -> Result<(), &'static str> {
        if !caller.is_some_and(ConnectionInfo::is_from_this_machine) {
            return Err("only callers on the same machine may do this");
        }
        if !self.is_leaving() {
            tracing::info!("a stop is announced: /ready says no from now on");
        }
        self.set_leaving();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    #[test]
    fn only_this_machine_takes_a_process_out_of_service() {
        let presence = Presence::default();
        let from = |peer: &str, own: &str| {
            presence.leave_for(Some(&ConnectionInfo {
                peer: SocketAddr::new(peer.parse().unwrap(), 40_000),
                own_address: Some(own.parse().unwrap()),
                port: 5000,
            }))
        };
        assert!(from("10.0.0.9", "10.0.0.7").is_err());
        assert!(presence.leave_for(None).is_err());
        assert!(!presence.is_leaving());
        assert!(from("::ffff:127.0.0.1", "::ffff:127.0.0.1").is_ok());
        assert!(presence.is_leaving());
        // A listener on one address is reached by that one only, from here, too.
        assert!(from("10.0.0.7", "::ffff:10.0.0.7").is_ok());
    }
}
