//! Reflection: what tools such as grpcurl ask for the services and their messages.

use anyhow::Context;
use tonic_reflection::server::{Builder, v1, v1alpha};
use weir_protocol::grpc::DESCRIPTORS;

/// Questions are names.
const MAX_QUESTION_BYTES: usize = 16 * 1024;

/// The current version.
///
/// # Errors
/// A defect: the descriptors cannot be read.
pub(super) fn v1() -> anyhow::Result<v1::ServerReflectionServer<impl v1::ServerReflection>> {
    let server = builder().build_v1().context("gRPC reflection")?;
    Ok(server.max_decoding_message_size(MAX_QUESTION_BYTES))
}

/// The version that older tools speak.
///
/// # Errors
/// Like [`v1()`].
pub(super) fn v1alpha()
-> anyhow::Result<v1alpha::ServerReflectionServer<impl v1alpha::ServerReflection>> {
    let server = builder().build_v1alpha().context("gRPC reflection")?;
    Ok(server.max_decoding_message_size(MAX_QUESTION_BYTES))
}

fn builder() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}
