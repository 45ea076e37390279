//! Generates the gRPC services from the .proto files, without protoc.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    generate()
}

#[cfg(feature = "grpc")]
fn generate() -> Result<(), Box<dyn Error>> {
    use protox::prost::Message;

    let files = protox::compile(["message.proto", "broker.proto"], ["proto"])?;
    let out = std::env::var_os("OUT_DIR").ok_or("cargo gives OUT_DIR")?;
    // What gRPC reflection shows.
    let descriptors = std::path::PathBuf::from(out).join("descriptors.bin");
    std::fs::write(descriptors, files.encode_to_vec())?;
    tonic_prost_build::configure()
        .build_transport(false)
        .bytes(".broker")
        .compile_fds(files)?;
    Ok(())
}

#[cfg(not(feature = "grpc"))]
fn generate() -> Result<(), Box<dyn Error>> {
    Ok(())
}
