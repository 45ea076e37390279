//! gRPC by grpcio, with stubs that protoc made from our files: what the clients of the replaced
//! brokers run.

use crate::broker;
use crate::python::Python;

#[tokio::test]
async fn slow_grpcio_sends_receives_and_replies() {
    run("message_service.py").await;
}

#[tokio::test]
async fn slow_grpcio_registers_works_and_sends_tasks() {
    run("worker_broker.py").await;
}

async fn run(program: &str) {
    let setup = broker().with_flags(["--grpc=127.0.0.1:0", "--breaker-reset=200ms"]);
    let running = setup.start().await;
    let python = Python::with_stubs(setup.scratch_dir());
    let address = running.grpc_addresses()[0].to_string();
    let printed = python.run(program, &[&address, &running.url()]);
    assert!(printed.ends_with("all is well\n"), "{printed}");
}
