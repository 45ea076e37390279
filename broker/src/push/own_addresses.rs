//! A backend that is this broker itself would get every message it sends, for ever.

use super::target::Target;
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// Refuses backends at which one of our own listeners would answer. A name that cannot be resolved
/// now is nobody's.
///
/// # Errors
/// A text that names both, for the operator.
pub(crate) async fn refuse_own_addresses(
    backends: &[String],
    listeners: &[SocketAddr],
) -> Result<(), String> {
    for backend in backends {
        let target = Target::backend(backend).map_err(|e| e.to_string())?;
        let resolved = tokio::net::lookup_host((target.host(), target.port())).await;
        let addresses: Vec<_> = resolved.into_iter().flatten().collect();
        let own = listeners.iter().find(|listener| {
            addresses
                .iter()
                .any(|address| reaches(*address, **listener))
        });
        if let Some(listener) = own {
            return Err(format!(
                "the backend {backend} is this broker's own address ({listener}): it would send its \
                 messages to itself; name other backends in --backend-targets"
            ));
        }
    }
    Ok(())
}

/// Whether who connects to `address` is answered by `listener`.
fn reaches(address: SocketAddr, listener: SocketAddr) -> bool {
    let (ip, own) = (address.ip().to_canonical(), listener.ip().to_canonical());
    address.port() == listener.port()
        && (ip == own || ip.is_unspecified() || (own.is_unspecified() && is_local(ip)))
}

/// Whether this machine has the address: it can be bound to.
fn is_local(ip: IpAddr) -> bool {
    ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(backend: &str, listener: &str) -> bool {
        let listeners = [listener.parse().unwrap()];
        let result = refuse_own_addresses(&[backend.to_owned()], &listeners).await;
        result.is_err_and(|text| text.contains(backend) && text.contains("own address"))
    }

    #[tokio::test]
    async fn our_own_listeners_are_no_backends() {
        for (backend, listener, expected) in [
            ("127.0.0.1:5000", "127.0.0.1:5000", true),
            ("localhost:5000", "127.0.0.1:5000", true),
            ("127.0.0.1:5000", "0.0.0.0:5000", true),
            ("0.0.0.0:5000", "127.0.0.1:5000", true),
            ("[::ffff:127.0.0.1]:5000", "127.0.0.1:5000", true),
            ("127.0.0.1:5001", "127.0.0.1:5000", false),
            ("127.0.0.2:5000", "127.0.0.1:5000", false),
            ("192.0.2.1:5000", "0.0.0.0:5000", false),
            ("no-such-host.invalid:5000", "0.0.0.0:5000", false),
        ] {
            let found = refused(backend, listener).await;
            assert_eq!(found, expected, "{backend} {listener}");
        }
    }
}
