//! Where the broker listens.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Where gRPC listens when nobody says.
pub(super) const GRPC_PORT: u16 = 50051;

/// Where gRPC listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrpcListen {
    /// Nowhere.
    Off,
    /// On 127.0.0.1:50051, unless something else does already.
    IfFree,
    /// On each of these.
    On(Vec<SocketAddr>),
}

/// Addresses separated by commas, a bare port standing for one on 127.0.0.1; none for `off`.
pub(super) fn http(value: &str) -> Result<Vec<SocketAddr>, String> {
    match value {
        "off" => Ok(Vec::new()),
        _ => addresses(value, "\"127.0.0.1:5000\" or \"[::]:5000\""),
    }
}

/// As [`http`], and `auto`.
pub(super) fn grpc(value: &str) -> Result<GrpcListen, String> {
    match value {
        "off" => Ok(GrpcListen::Off),
        "auto" => Ok(GrpcListen::IfFree),
        _ => addresses(value, "\"127.0.0.1:50051\", \"auto\"").map(GrpcListen::On),
    }
}

/// The address that `auto` stands for.
pub(crate) fn default_grpc() -> SocketAddr {
    loopback(GRPC_PORT)
}

fn addresses(value: &str, such_as: &str) -> Result<Vec<SocketAddr>, String> {
    let address = |text: &str| {
        let port = text.parse().map(loopback);
        text.parse().or(port).map_err(|_| {
            format!(
                "allowed are an IP address with a port, such as {such_as}, several of them separated by commas, and \"off\""
            )
        })
    };
    value.split(',').map(str::trim).map(address).collect()
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}
