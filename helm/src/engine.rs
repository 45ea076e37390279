//! Helm's own engine, which `render.py` runs in a process of Python.
//!
//! The process takes 0.2 s to start and a rendering 5 ms: whoever wants several asks once, by
//! [`render_all`].

use crate::object::Object;
use crate::request::Request;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// What a release consists of.
#[derive(Clone, Debug, Deserialize)]
pub struct Rendered {
    /// All objects, by the paths of their templates.
    pub objects: Vec<Object>,
    /// What Helm tells the user after an installation.
    pub notes: String,
}

/// Why there is nothing to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// Helm refuses the values or a template; the message is its own.
    #[error("{0}")]
    Refused(String),
    /// The engine could not be asked at all; the message says what to do.
    #[error("{0}")]
    NoEngine(String),
}

/// What the chart says about itself.
#[derive(Clone, Debug, Deserialize)]
pub struct Description {
    /// The defaults, from `values.yaml`.
    pub values: Value,
    /// `values.schema.json`; `Null` without one.
    pub schema: Value,
    /// `Chart.yaml`.
    pub metadata: Value,
}

/// One finding of `helm lint`.
#[derive(Clone, Debug, Deserialize)]
pub struct LintMessage {
    /// How bad it is.
    pub severity: Severity,
    /// The file, in the chart.
    pub path: String,
    /// What Helm says.
    pub error: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "u8")]
pub enum Severity {
    /// A recommendation.
    Info,
    /// An error for `helm lint --strict`.
    Warning,
    /// An error.
    Error,
}

impl TryFrom<u8> for Severity {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        match number {
            1 => Ok(Self::Info),
            2 => Ok(Self::Warning),
            3 => Ok(Self::Error),
            other => Err(format!("lint has no severity {other}")),
        }
    }
}

#[derive(Serialize)]
struct Question<'a> {
    chart: PathBuf,
    task: &'static str,
    requests: &'a [Request],
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer<T> {
    Refused { error: String },
    Given(T),
}

impl<T> From<Answer<T>> for Result<T, RenderError> {
    fn from(answer: Answer<T>) -> Self {
        match answer {
            Answer::Given(given) => Ok(given),
            Answer::Refused { error } => Err(RenderError::Refused(error)),
        }
    }
}

/// Renders the chart as `helm install` does, schema and all.
///
/// # Errors
/// Helm refuses it, or there is no engine.
pub fn render(request: &Request) -> Result<Rendered, RenderError> {
    let mut answers = render_all(std::slice::from_ref(request))?;
    answers.pop().unwrap_or_else(|| Err(no_answer()))
}

/// Renders several, in their order, in one process.
///
/// # Errors
/// There is no engine. What Helm refuses is an error in its place.
pub fn render_all(requests: &[Request]) -> Result<Vec<Result<Rendered, RenderError>>, RenderError> {
    let answers: Vec<Answer<Rendered>> = ask("render", requests)?;
    Ok(answers.into_iter().map(Into::into).collect())
}

/// Runs `helm lint --strict` with the values of each request.
///
/// # Errors
/// There is no engine, or Helm could not even read the chart.
pub fn lint(requests: &[Request]) -> Result<Vec<Vec<LintMessage>>, RenderError> {
    #[derive(Deserialize)]
    struct Report {
        messages: Vec<LintMessage>,
    }
    let answers: Vec<Answer<Report>> = ask("lint", requests)?;
    let reports = answers.into_iter().map(Into::<Result<Report, _>>::into);
    reports.map(|report| Ok(report?.messages)).collect()
}

/// Reads the chart's defaults, schema and metadata.
///
/// # Errors
/// There is no engine, or Helm cannot read the chart.
pub fn describe() -> Result<Description, RenderError> {
    ask("describe", &[])
}

fn ask<T: DeserializeOwned>(task: &'static str, requests: &[Request]) -> Result<T, RenderError> {
    let chart = crate::chart();
    let question = Question {
        chart,
        task,
        requests,
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("render.py");
    let question = serde_json::to_vec(&question).map_err(|e| no_engine(&e))?;
    let mut command = python()?;
    command.arg(script);
    let output = answer_of(command, &question).map_err(|e| no_engine(&e))?;
    if !output.status.success() {
        return Err(no_engine(&String::from_utf8_lossy(&output.stderr)));
    }
    serde_json::from_slice(&output.stdout).map_err(|e| no_engine(&e))
}

/// Python with the packages of `cargo xtask python`; the caller adds a script.
///
/// # Errors
/// They are not installed.
pub fn python() -> Result<Command, RenderError> {
    let packages = packages().ok_or_else(|| no_engine(&"it is not installed"))?;
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", packages);
    Ok(command)
}

fn answer_of(mut command: Command, question: &[u8]) -> std::io::Result<Output> {
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process: Child = command.spawn()?;
    if let Some(mut stdin) = process.stdin.take() {
        // It reads all before it writes anything, so neither waits for the other. One that ends before
        // it has read says why on standard error.
        let _ = stdin.write_all(question);
    }
    process.wait_with_output()
}

/// Beside the binaries of this build, whichever directory cargo was told to use.
fn packages() -> Option<PathBuf> {
    let binary = std::env::current_exe().ok()?;
    let mut packages = binary
        .ancestors()
        .map(|directory| directory.join("tools/python"));
    packages.find(|packages| packages.is_dir())
}

fn no_engine(reason: &dyn std::fmt::Display) -> RenderError {
    RenderError::NoEngine(format!(
        "Helm's engine cannot be asked (`cargo xtask python` installs it): {reason}"
    ))
}

fn no_answer() -> RenderError {
    no_engine(&"no answer")
}
