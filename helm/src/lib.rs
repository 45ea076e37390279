//! Weir's Helm chart, rendered by Helm's own engine.
//!
//! The chart lies in `weir/`. [`render`] gives what `helm install` would send to a cluster, as JSON that
//! tests can judge, and [`generated`] what is made from the chart and committed: plain manifests in `k8s/`,
//! the chart's README and its copies of `dashboards/`.
//!
//! No cluster and no network is needed, but python3 and the packages that `cargo xtask python` installs.
//! Tests and tasks use this crate; no product does, and it uses none.

mod case;
mod engine;
pub mod generated;
mod object;
mod request;

pub use case::cases;
pub use engine::{
    Description, LintMessage, RenderError, Rendered, Severity, describe, lint, python, render,
    render_all,
};
pub use object::Object;
pub use request::Request;

use std::path::{Path, PathBuf};

/// The root of the checkout.
pub fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

/// The chart's directory.
pub fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("weir")
}
