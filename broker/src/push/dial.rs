//! The one way out: connections to where the operator allows them.
//!
//! A name is resolved at every connect, and what it resolves to is checked then: a name that was
//! harmless when it was registered may lead elsewhere later. Every step has a time limit.

use super::allowed::AllowedTargets;
use super::options::PushOptions;
use rustix::net::sockopt;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// For resolving and connecting, and again for the TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;
/// How long an idle connection stays unproven, and how often its peer is asked then.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));
const KEEPALIVE_PROBES: u32 = 3;
/// How long what was sent may stay unacknowledged by a host that vanished without a word.
const UNACKNOWLEDGED: Duration = Duration::from_secs(120);

/// Why no connection came about.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub(crate) struct DialError(pub(super) String);

/// Connects to targets.
pub(crate) struct Dialer {
    allowed: AllowedTargets,
    /// Of the operator's certificates; of the system's, which are read when first needed.
    tls: OnceCell<TlsConnector>,
}

impl Dialer {
    /// Reads the operator's certificates.
    ///
    /// # Errors
    /// They cannot be used; for the operator.
    pub(crate) fn new(options: &PushOptions) -> Result<Self, DialError> {
        let tls = match &options.ca_file {
            Some(file) => OnceCell::new_with(Some(connector(roots_of_file(file)?)?)),
            None => OnceCell::new(),
        };
        Ok(Self {
            allowed: options.allowed.clone(),
            tls,
        })
    }

    /// Connects to `host`, a name or an address (IPv6 without brackets). Cancel-safe.
    ///
    /// # Errors
    /// [`DialError`] says where it could not connect, and why.
    pub(crate) async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, DialError> {
        let dialled = timeout(CONNECT_TIMEOUT, self.connect_to_any(host, port)).await;
        dialled.unwrap_or_else(|_| Err(failed(host, port, &no_answer(CONNECT_TIMEOUT))))
    }

    /// Connects to `host` with TLS, for HTTP/1.1; its certificate must be valid for that name.
    /// Cancel-safe.
    ///
    /// # Errors
    /// [`DialError`] says where it could not connect, and why.
    pub(crate) async fn connect_tls(
        &self,
        host: &str,
        port: u16,
    ) -> Result<TlsStream<TcpStream>, DialError> {
        let name = server_name(host);
        let name = name.map_err(|_| failed(host, port, &"no certificate can have this name"))?;
        let connector = self.tls.get_or_try_init(system_connector).await?;
        let stream = self.connect(host, port).await?;
        let secured = timeout(CONNECT_TIMEOUT, connector.connect(name, stream)).await;
        let secured = secured.unwrap_or_else(|_| Err(no_answer(CONNECT_TIMEOUT)));
        secured.map_err(|error| DialError(format!("no TLS with {host}:{port}: {error}")))
    }

    async fn connect_to_any(&self, host: &str, port: u16) -> Result<TcpStream, DialError> {
        let addresses = self.resolve(host, port).await?;
        // An address that swallows everything leaves time for the others.
        let share = CONNECT_TIMEOUT / u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        let mut last = DialError(format!("{host} has no address"));
        for address in addresses {
            let dialled = timeout(share, TcpStream::connect(address)).await;
            match dialled.unwrap_or_else(|_| Err(no_answer(share))) {
                Ok(stream) => return prepared(stream).map_err(|e| failed(host, port, &e)),
                Err(error) if host == address.ip().to_string() => last = failed(host, port, &error),
                Err(error) => last = failed(host, port, &format!("{}: {error}", address.ip())),
            }
        }
        Err(last)
    }

    /// The addresses of `host` that are allowed, at least one.
    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
        let found = tokio::net::lookup_host((host, port)).await;
        let found = found.map_err(|e| DialError(format!("cannot resolve {host}: {e}")))?;
        let (allowed, refused): (Vec<_>, Vec<_>) = found
            .take(MAX_ADDRESSES)
            .partition(|address| self.allowed.allows(address.ip()));
        match refused.first() {
            _ if !allowed.is_empty() => Ok(allowed),
            Some(refused) => Err(self.refused(host, refused.ip())),
            None => Err(DialError(format!("{host} has no address"))),
        }
    }

    fn refused(&self, host: &str, address: IpAddr) -> DialError {
        let what = match host.parse() == Ok(address) {
            true => format!("the address {address}"),
            false => format!("the address {address} of {host}"),
        };
        let allowed = &self.allowed;
        DialError(format!("{what} is not allowed; allowed: {allowed}"))
    }
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer")
            .field("allowed", &self.allowed)
            .finish_non_exhaustive()
    }
}

fn failed(host: &str, port: u16, error: &dyn std::fmt::Display) -> DialError {
    match host.contains(':') {
        true => DialError(format!("cannot connect to [{host}]:{port}: {error}")),
        false => DialError(format!("cannot connect to {host}:{port}: {error}")),
    }
}

fn no_answer(limit: Duration) -> io::Error {
    let limit = weir_types::DurationText(limit);
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {limit}"))
}

/// A connection that wastes no time on small messages, and notices a peer that vanished.
fn prepared(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(&stream, true)?;
    sockopt::set_tcp_keepidle(&stream, KEEPALIVE.0)?;
    sockopt::set_tcp_keepintvl(&stream, KEEPALIVE.1)?;
    sockopt::set_tcp_keepcnt(&stream, KEEPALIVE_PROBES)?;
    let millis = u32::try_from(UNACKNOWLEDGED.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_tcp_user_timeout(&stream, millis)?;
    Ok(stream)
}

fn server_name(host: &str) -> Result<ServerName<'static>, InvalidDnsNameError> {
    // The dot that makes a name absolute is for the resolver.
    ServerName::try_from(host.strip_suffix('.').unwrap_or(host).to_owned())
}

/// Reading some hundred files takes a while.
async fn system_connector() -> Result<TlsConnector, DialError> {
    let read = tokio::task::spawn_blocking(|| connector(roots_of_system()?));
    let read = read.await;
    read.unwrap_or_else(|_| Err(DialError("the broker is stopping".to_owned())))
}

fn roots_of_system() -> Result<RootCertStore, DialError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Some of the many may be of a kind that nobody uses any more.
    roots.add_parsable_certificates(found.certs);
    if !roots.is_empty() {
        return Ok(roots);
    }
    let hint = "no certificate of an authority was found on this system; \
                install the package ca-certificates, or name a file of them";
    let errors = found.errors.iter().map(|error| format!("; {error}"));
    Err(DialError(format!("{hint}{}", errors.collect::<String>())))
}

fn roots_of_file(file: &Path) -> Result<RootCertStore, DialError> {
    let unusable = |why: &dyn std::fmt::Display| DialError(format!("{}: {why}", file.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|e| unusable(&e))? {
        let certificate = certificate.map_err(|e| unusable(&e))?;
        roots.add(certificate).map_err(|e| unusable(&e))?;
    }
    match roots.is_empty() {
        true => Err(unusable(&"there is no certificate (PEM) in it")),
        false => Ok(roots),
    }
}

fn connector(roots: RootCertStore) -> Result<TlsConnector, DialError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = versions.map_err(|error| DialError(format!("TLS: {error}")))?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
pub(super) mod authority;
#[cfg(test)]
mod tests;
