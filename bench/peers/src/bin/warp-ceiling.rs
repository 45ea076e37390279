//! The least an HTTP broker on warp can do per message: read a JSON body, validate it, reply.
//! What `peerbench` and `wrk` get out of it is the practical limit of one message per request.

use bytes::Bytes;
use clap::Parser;
use serde::de::IgnoredAny;
use std::net::SocketAddr;
use warp::Filter;
use warp::http::header::{CONTENT_TYPE, HeaderValue};
use warp::http::{Response, StatusCode};

#[derive(Parser)]
struct Cli {
    #[arg(long, default_value = "127.0.0.1:5100")]
    addr: SocketAddr,
    /// Worker threads; one per core by default.
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> std::io::Result<()> {
    let cli = Cli::parse();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = cli.threads {
        runtime.worker_threads(threads);
    }
    runtime.enable_all().build()?.block_on(async {
        let publish = warp::path!("publish")
            .and(warp::post())
            .and(warp::body::bytes())
            .map(publish);
        let batch = warp::path!("batch")
            .and(warp::post())
            .and(warp::body::bytes())
            .map(batch);
        warp::serve(publish.or(batch)).run(cli.addr).await;
    });
    Ok(())
}

fn publish(body: Bytes) -> Response<&'static str> {
    reply(serde_json::from_slice::<IgnoredAny>(&body).is_ok())
}

/// One JSON value per line.
fn batch(body: Bytes) -> Response<&'static str> {
    reply(
        serde_json::Deserializer::from_slice(&body)
            .into_iter::<IgnoredAny>()
            .all(|v| v.is_ok()),
    )
}

fn reply(valid: bool) -> Response<&'static str> {
    let (status, text) = if valid {
        (StatusCode::OK, r#"{"status":"ok"}"#)
    } else {
        (StatusCode::BAD_REQUEST, r#"{"status":"invalid"}"#)
    };
    let mut response = Response::new(text);
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
