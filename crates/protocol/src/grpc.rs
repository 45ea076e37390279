//! The gRPC services of DIALECTS: messages, servers and clients, generated from `proto/`.

/// Publishing and consuming one message at a time; `message.proto`.
#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    unreachable_pub,
    unused_qualifications
)]
pub mod message {
    tonic::include_proto!("message");
}

/// Queues whose tasks are pushed to workers; `broker.proto`.
#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    unreachable_pub,
    unused_qualifications
)]
pub mod broker {
    tonic::include_proto!("broker");
}

/// The encoded descriptors of both files, for reflection.
pub const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("descriptors");
