//! What each image must show.

use super::container::Container;
use super::name_server::NameServer;
use super::witness::Witness;
use crate::command_line::CommandLine;
use crate::images::image::Image;
use crate::images::layout::Layout;
use crate::measured::http::Connection;
use crate::process::Running;
use crate::wait::wait_for;
use crate::workspace::Workspace;
use anyhow::{Context, ensure};
use serde_json::json;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// Where the images listen, as this network sees it.
const BROKER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5000);
const UI: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);
/// By these names they are asked for; only the name server knows them.
const BROKER_NAME: &str = "broker.weir.test";
const BROKER_URL: &str = "http://broker.weir.test:5000";
const WORKER_NAME: &str = "worker.weir.test";
const EVIDENCE_LIMIT: Duration = Duration::from_secs(30);

/// Runs each image in turn beside a broker: that of the images, or the one that tests use.
///
/// # Errors
/// The first image that did not show what it must.
pub(super) fn prove(
    workspace: &Workspace,
    layout: &Layout,
    images: &[Image],
    dockerfile: &str,
) -> anyhow::Result<()> {
    let names = NameServer::start()?;
    let container = |image| Container::new(layout, image, dockerfile);
    let others = || -> anyhow::Result<()> {
        for &image in images.iter().filter(|&&image| image != Image::WeirBroker) {
            let proven = prove_beside_broker(image, &container(image)?, &names);
            proven.with_context(|| image.name())?;
        }
        Ok(())
    };
    if images.contains(&Image::WeirBroker) {
        let broker = container(Image::WeirBroker)?;
        return prove_service(Image::WeirBroker, &broker, &[], || {
            prove_tls(&names).context(Image::WeirBroker.name())?;
            others()
        });
    }
    // Empty at the start: samples of an earlier check would count as this one's.
    let data = tempfile::tempdir()?;
    let broker = broker_of_tests(workspace, data.path())?;
    others()?;
    broker.stop().map(drop)
}

fn prove_beside_broker(
    image: Image,
    container: &Container,
    names: &NameServer,
) -> anyhow::Result<()> {
    let broker = ["--broker", BROKER_URL];
    match image {
        Image::Weir => {
            let topics = container.output(&["topics", "--broker", BROKER_URL])?;
            println!("{topics}weir: asked a broker");
        }
        Image::WeirUi => prove_service(image, container, &broker, || {
            let page = Connection::open(UI)?.get("/")?.success("/")?.text();
            ensure!(
                page.contains("<script"),
                "the dashboard has no page: {page}"
            );
            Ok(())
        })?,
        Image::WeirAgent | Image::WeirBroker => {
            prove_service(image, container, &broker, samples_arrive)?;
        }
    }
    let asked = names.was_asked_for(BROKER_NAME);
    ensure!(asked, "it did not ask the name server for {BROKER_NAME}");
    Ok(())
}

/// It starts, is healthy, has no rights, does what `evidence` sees, stops, and then is not healthy.
fn prove_service(
    image: Image,
    container: &Container,
    arguments: &[&str],
    evidence: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut started = container.start(arguments)?;
    started.wait_healthy()?;
    started.check_without_rights()?;
    evidence()?;
    started.stop()?;
    ensure!(
        !container.is_healthy(),
        "it is said to be healthy after its end"
    );
    println!("{}: starts, is healthy, works, stops", image.name());
    Ok(())
}

/// A worker behind TLS: its name must be found, and there must be certificates to judge its own by.
fn prove_tls(names: &NameServer) -> anyhow::Result<()> {
    let witness = Witness::listen()?;
    let target = format!("https://{WORKER_NAME}:{}", witness.port()?);
    let mut broker = Connection::open(BROKER)?;
    broker.post("/v1/workers", &json!({"topic": "tasks", "target": target}))?;
    broker.publish("tasks", b"{\"payload\":1}\n")?;
    witness.heard_tls_for(WORKER_NAME)?;
    ensure!(
        names.was_asked_for(WORKER_NAME),
        "{WORKER_NAME} was found without DNS"
    );
    println!("weir-broker: found {WORKER_NAME} and certificates, and spoke TLS");
    Ok(())
}

fn samples_arrive() -> anyhow::Result<()> {
    let mut broker = Connection::open(BROKER)?;
    let arrived = wait_for(EVIDENCE_LIMIT, || match broker.get("/v1/topics") {
        Ok(topics) => topics.text().contains("\"host.").then_some(Ok(())),
        Err(error) => Some(Err(error)),
    });
    arrived.context("the broker got no sample")?
}

/// Outside of any container, for images that are checked without the broker's.
fn broker_of_tests(workspace: &Workspace, data: &Path) -> anyhow::Result<Running> {
    let binary = workspace.target.join("debug/weir-broker");
    ensure!(
        binary.exists(),
        "beside what should they run? Add --image weir-broker, or `cargo build -p weir-broker`"
    );
    let broker = CommandLine::new(binary).arg("--data-dir").arg(data);
    let broker = broker.args(["--http", &BROKER.to_string(), "--grpc", "off"]);
    let mut broker = Running::start(&broker, &data.join("output.txt"))?;
    let ready = wait_for(EVIDENCE_LIMIT, || match broker.check_alive() {
        Err(error) => Some(Err(error)),
        Ok(()) => {
            let answer = Connection::open(BROKER).and_then(|mut broker| broker.get("/ready"));
            answer
                .is_ok_and(|answer| answer.status == 200)
                .then_some(Ok(()))
        }
    });
    ready.context("the broker beside them was not ready in time")??;
    Ok(broker)
}
