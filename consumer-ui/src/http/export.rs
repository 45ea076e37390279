//! For Prometheus: the hosts' metrics and our own, and where to scrape them.

use super::answer::{Answer, ApiError, answer, body_of, json};
use super::{Route, State, parameter, raw_query, with};
use http::StatusCode;
use http::uri::Authority;
use serde::Serialize;
use warp::Filter;

const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One target of Prometheus' HTTP service discovery.
#[derive(Serialize)]
struct Target<'a> {
    targets: [&'a str; 1],
    labels: TargetLabels<'a>,
}

#[derive(Serialize)]
struct TargetLabels<'a> {
    __metrics_path__: &'static str,
    __param_node: &'a str,
    instance: &'a str,
}

pub(super) fn routes(state: &State) -> Route {
    let all = warp::path!("metrics")
        .and(warp::get())
        .and(with(state))
        .then(|state: State| async move { answer(everything(&state).await) });
    let one = warp::path!("metrics" / "hosts")
        .and(warp::get())
        .and(with(state))
        .and(raw_query())
        .then(|state: State, query: String| async move { answer(hosts(&state, &query).await) });
    let discovery = warp::path!("sd")
        .and(warp::get())
        .and(with(state))
        .and(warp::header::optional("host"))
        .then(
            |state: State, host: Option<String>| async move { answer(targets(&state, host).await) },
        );
    all.or(one).unify().or(discovery).unify().boxed()
}

/// All hosts, then this process.
async fn everything(state: &State) -> Result<Answer, ApiError> {
    let mut page = state.view.hosts(None).await?.unwrap_or_default();
    page.push_str(&state.metrics.render());
    Ok(body_of(StatusCode::OK, EXPOSITION, page))
}

/// One host, or all of them without the process's own.
async fn hosts(state: &State, query: &str) -> Result<Answer, ApiError> {
    let page = state.view.hosts(parameter(query, "node")).await?;
    let page = page.ok_or_else(|| ApiError::not_found("no node has this name"))?;
    Ok(body_of(StatusCode::OK, EXPOSITION, page))
}

async fn targets(state: &State, host: Option<String>) -> Result<Answer, ApiError> {
    let called = host.filter(|host| host.parse::<Authority>().is_ok());
    let target = called.unwrap_or_else(|| state.address.to_string());
    let names = state.view.names().await?;
    let targets = names.iter().map(|node| Target {
        targets: [&target],
        labels: TargetLabels {
            __metrics_path__: "/metrics/hosts",
            __param_node: node,
            instance: node,
        },
    });
    let targets: Vec<_> = targets.collect();
    Ok(json(StatusCode::OK, &targets))
}
