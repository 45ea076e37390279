//! Where a worker or a backend is reached, as an operator or a client wrote it.
//!
//! A target is valid by construction and has one spelling, so that two registrations of one worker
//! share a breaker. Names are not resolved here: what they resolve to is checked at every connect.

use super::allowed::AllowedTargets;
use http::uri::PathAndQuery;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use thiserror::Error;

/// Longest target in bytes.
const MAX_TARGET_BYTES: usize = 2048;
/// Longest name of a host in bytes, by the rules of DNS.
const MAX_HOST_BYTES: usize = 253;

/// How a target is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// `broker.Broker/SendTask`.
    Grpc,
    /// Newline-delimited JSON.
    Tcp,
    /// A POST for each message.
    Http,
    /// A POST for each message, over TLS.
    Https,
    /// `message.MessageBrokerService/SendMessage`.
    Backend,
}

impl Scheme {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Tcp => "tcp",
            Self::Http => "http",
            Self::Https => "https",
            Self::Backend => "backend",
        }
    }

    /// Of those that clients may name.
    fn named(name: &str) -> Option<Self> {
        [Self::Grpc, Self::Tcp, Self::Http, Self::Https]
            .into_iter()
            .find(|scheme| scheme.as_str().eq_ignore_ascii_case(name))
    }

    const fn default_port(self) -> Option<u16> {
        match self {
            Self::Http => Some(80),
            Self::Https => Some(443),
            Self::Grpc | Self::Tcp | Self::Backend => None,
        }
    }

    const fn has_path(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Host {
    Address(IpAddr),
    Name(Box<str>),
}

/// Where messages are pushed to: `grpc://host:port`, `tcp://host:port`, `http://host:port/path?query`,
/// `https://…` or, for the operator's backends, `backend://host:port`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Target {
    scheme: Scheme,
    host: Host,
    port: u16,
    /// Path and query of an HTTP target, `/` without any; empty for the others.
    path: Box<str>,
}

/// Why a target was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{target:?} is no target: {reason}")]
pub struct InvalidTarget {
    target: String,
    reason: String,
}

impl InvalidTarget {
    fn new(target: &str, reason: impl Into<String>) -> Self {
        // Long enough to be recognised; the whole may be a megabyte.
        let shown = target.chars().take(200).collect();
        Self {
            target: shown,
            reason: reason.into(),
        }
    }
}

impl Target {
    /// Reads a target that a client named. `host:port` alone is `grpc://host:port`; HTTP ports
    /// default to 80 and 443.
    ///
    /// # Errors
    /// [`InvalidTarget`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, InvalidTarget> {
        Self::read(text).map_err(|reason| InvalidTarget::new(text, reason))
    }

    /// The backend at `host:port`, which only the operator names.
    ///
    /// # Errors
    /// [`InvalidTarget`] says what is wrong with it.
    pub fn backend(host_and_port: &str) -> Result<Self, InvalidTarget> {
        let parsed = match host_and_port.contains("://") {
            true => Err("a backend is written as host:port".to_owned()),
            false => Self::of(Scheme::Backend, host_and_port),
        };
        parsed.map_err(|reason| InvalidTarget::new(host_and_port, reason))
    }

    fn read(text: &str) -> Result<Self, String> {
        if text.len() > MAX_TARGET_BYTES {
            let length = text.len();
            return Err(format!(
                "it has {length} bytes; at most {MAX_TARGET_BYTES} are allowed"
            ));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Self::of(Scheme::Grpc, text);
        };
        let scheme = Scheme::named(scheme).ok_or_else(|| {
            "it begins with none of grpc://, tcp://, http:// and https://".to_owned()
        })?;
        Self::of(scheme, rest)
    }

    fn of(scheme: Scheme, rest: &str) -> Result<Self, String> {
        if rest.contains('#') {
            return Err("a fragment (#…) has no meaning here".to_owned());
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("a user or password (…@) is not sent; leave it out".to_owned());
        }
        let (host, port) = split_port(authority)?;
        Ok(Self {
            scheme,
            host: Host::read(host)?,
            port: read_port(scheme, port)?,
            path: read_path(scheme, path)?,
        })
    }

    /// Refuses an address that the operator does not allow. A name passes: it is checked when it is
    /// resolved, at every connect.
    ///
    /// # Errors
    /// [`InvalidTarget`] names the address and the rule.
    pub fn check_allowed(&self, allowed: &AllowedTargets) -> Result<(), InvalidTarget> {
        match self.host {
            Host::Address(address) if !allowed.allows(address) => {
                let reason = format!("the address {address} is not allowed; allowed: {allowed}");
                Err(InvalidTarget::new(&self.to_string(), reason))
            }
            Host::Address(_) | Host::Name(_) => Ok(()),
        }
    }

    /// How it is spoken to.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host's name or address, an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> String {
        match &self.host {
            Host::Address(address) => address.to_string(),
            Host::Name(name) => name.to_string(),
        }
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// `host:port`, an IPv6 address in brackets.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Path and query of an HTTP target; empty for the others.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        &self.path
    }
}

/// Host and, where there is one, port.
fn split_port(authority: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, rest) = rest
            .split_once(']')
            .ok_or_else(|| "the bracket of an IPv6 address is not closed".to_owned())?;
        if address.parse::<Ipv6Addr>().is_err() {
            return Err(format!("{address:?} is no IPv6 address"));
        }
        return match rest.strip_prefix(':') {
            Some(port) => Ok((address, Some(port))),
            None if rest.is_empty() => Ok((address, None)),
            None => Err(format!(
                "{rest:?} follows an IPv6 address; a port is written as \":5000\""
            )),
        };
    }
    match authority.split_once(':') {
        Some((_, port)) if port.contains(':') => {
            Err("an IPv6 address is written in brackets, as in [::1]:5000".to_owned())
        }
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((authority, None)),
    }
}

fn read_port(scheme: Scheme, port: Option<&str>) -> Result<u16, String> {
    let Some(text) = port else {
        return scheme
            .default_port()
            .ok_or_else(|| "the port is missing, as in host:5000".to_owned());
    };
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(0) => Err("port 0 cannot be connected to".to_owned()),
        Ok(port) if digits => Ok(port),
        _ => Err(format!("{text:?} is no port; allowed are 1 to 65535")),
    }
}

fn read_path(scheme: Scheme, path: &str) -> Result<Box<str>, String> {
    if !scheme.has_path() {
        return match path {
            "" | "/" => Ok("".into()),
            _ => Err(format!("{path:?}: only http and https targets have a path")),
        };
    }
    let path = match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("/{path}"),
    };
    // What the parser takes beyond ASCII would go out as it is.
    if !path.is_ascii() || path.parse::<PathAndQuery>().is_err() {
        return Err(format!(
            "{path:?} is no path; encode what is unusual as %XX"
        ));
    }
    Ok(path.into())
}

impl Host {
    fn read(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(address.to_canonical()));
        }
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let labels = text.strip_suffix('.').unwrap_or(text).split('.');
        match text {
            "" => Err("the host is missing".to_owned()),
            _ if text.len() > MAX_HOST_BYTES => Err(format!(
                "its host has {} bytes; at most {MAX_HOST_BYTES} are allowed",
                text.len()
            )),
            _ if !text.bytes().all(is_plain) => Err(format!(
                "the host {text:?} has other characters than letters, digits, '-', '_' and '.'"
            )),
            _ if labels.into_iter().any(str::is_empty) => {
                Err(format!("the host {text:?} has an empty part"))
            }
            _ => Ok(Self::Name(text.to_ascii_lowercase().into())),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host) = (self.scheme.as_str(), &self.host);
        write!(f, "{scheme}://{host}:{}{}", self.port, self.path)
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;
    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Target {
    type Error = InvalidTarget;
    fn try_from(text: String) -> Result<Self, InvalidTarget> {
        Self::parse(&text)
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_one_spelling() {
        for (written, canonical) in [
            ("worker:7000", "grpc://worker:7000"),
            ("GRPC://Worker.Local:7000", "grpc://worker.local:7000"),
            ("127.0.0.1:7000", "grpc://127.0.0.1:7000"),
            ("grpc://[0:0::1]:7000/", "grpc://[::1]:7000"),
            ("tcp://my_worker:1", "tcp://my_worker:1"),
            ("tcp://[::ffff:10.0.0.1]:1", "tcp://10.0.0.1:1"),
            ("http://h", "http://h:80/"),
            ("https://h", "https://h:443/"),
            ("https://h?a=b", "https://h:443/?a=b"),
            ("http://h:81/a%20b?c=d&e", "http://h:81/a%20b?c=d&e"),
            ("http://[::1]/x", "http://[::1]:80/x"),
        ] {
            let target = Target::parse(written).unwrap();
            assert_eq!(target.to_string(), canonical, "{written}");
            assert_eq!(Target::parse(canonical), Ok(target), "{written}");
        }
        let backend = Target::backend("orders:50051").unwrap();
        assert_eq!(backend.to_string(), "backend://orders:50051");
        assert_eq!(backend.authority(), "orders:50051");
    }

    #[test]
    fn what_cannot_be_reached_is_refused_with_the_reason() {
        for (written, reason) in [
            ("", "the host is missing"),
            ("worker", "the port is missing"),
            ("tcp://worker", "the port is missing"),
            (":7000", "the host is missing"),
            ("worker:", "\"\" is no port"),
            ("worker:0", "port 0"),
            ("worker:+80", "\"+80\" is no port"),
            ("worker:65536", "\"65536\" is no port"),
            ("my worker:1", "other characters"),
            (" worker:1", "other characters"),
            ("worker:1\n", "no port"),
            ("wörker:1", "other characters"),
            ("a..b:1", "empty part"),
            ("::1:7000", "in brackets"),
            ("[::1:7000", "not closed"),
            ("[::1%eth0]:7000", "no IPv6 address"),
            ("[::1]7000", "follows an IPv6 address"),
            ("tcp://u:p@h:1", "user or password"),
            ("http://u@h/", "user or password"),
            ("http://h/#top", "fragment"),
            ("http://h/a b", "is no path"),
            ("http://h/ä", "is no path"),
            ("http://h/a\r\nX: y", "is no path"),
            ("grpc://h:1/path", "only http and https"),
            ("ftp://h:1", "begins with none of"),
            ("backend://h:1", "begins with none of"),
            ("unix:///run/x", "begins with none of"),
        ] {
            let refused = Target::parse(written).unwrap_err().to_string();
            assert!(refused.contains(reason), "{written}: {refused}");
        }
        assert!(Target::parse(&"h".repeat(3000)).is_err());
        assert!(Target::backend("grpc://h:1").is_err());
        assert!(Target::backend("h").is_err());
    }

    #[test]
    fn addresses_are_checked_at_once_and_names_later() {
        let allowed = AllowedTargets::default();
        let check = |text: &str| Target::parse(text).unwrap().check_allowed(&allowed);
        let refused = check("http://169.254.169.254/latest").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "\"http://169.254.169.254:80/latest\" is no target: the address 169.254.169.254 is not \
             allowed; allowed: anything but link-local addresses"
        );
        assert!(check("tcp://[fe80::1]:1").is_err());
        assert!(check("tcp://127.0.0.1:1").is_ok());
        assert!(check("tcp://metadata.internal:1").is_ok());
    }

    #[test]
    fn targets_are_texts_in_documents() {
        let target: Target = serde_json::from_str("\"h:1\"").unwrap();
        assert_eq!(serde_json::to_string(&target).unwrap(), "\"grpc://h:1\"");
        assert!(serde_json::from_str::<Target>("\"h\"").is_err());
    }
}
