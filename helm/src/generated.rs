//! Files that are made from the chart and committed: `cargo xtask manifests` writes them, and a test
//! compares them with what would be written.
//!
//! - `k8s/*.yaml`: the release `weir` in the namespace `weir`, for those who have no Helm;
//! - `helm/weir/README.md`: its table of values;
//! - `helm/weir/files/`: copies of `dashboards/`, because templates cannot read outside the chart.

mod plain;
mod values;

use crate::engine::{Description, RenderError, describe, render};
use crate::request::Request;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// One file as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedFile {
    /// Its path from the root of the checkout.
    pub path: PathBuf,
    /// All of it.
    pub text: String,
}

/// Why files cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The chart cannot be rendered.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// A file cannot be read.
    #[error("{}: {error}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The chart's README has no place for the table.
    #[error("helm/weir/README.md has no lines `{0}` and `{1}`")]
    NoMarkers(&'static str, &'static str),
}

/// What `k8s/` is rendered from.
pub fn plain_request() -> Request {
    Request::default_values().with(json!({"namespace": {"create": true}}))
}

/// All files as they should be.
///
/// # Errors
/// See [`GenerateError`].
pub fn files() -> Result<Vec<GeneratedFile>, GenerateError> {
    let mut files = dashboards()?;
    files.extend(plain::manifests(&render(&plain_request())?.objects));
    files.push(readme(&describe()?)?);
    Ok(files)
}

/// The same without the files that are as they should be.
///
/// # Errors
/// See [`GenerateError`].
pub fn stale_files() -> Result<Vec<GeneratedFile>, GenerateError> {
    let is_stale = |file: &GeneratedFile| {
        let committed = fs::read_to_string(crate::root().join(&file.path));
        committed.map_or(true, |committed| committed != file.text)
    };
    Ok(files()?.into_iter().filter(is_stale).collect())
}

/// Copies of what Grafana and Prometheus load.
fn dashboards() -> Result<Vec<GeneratedFile>, GenerateError> {
    let source = Path::new("dashboards");
    let directory = crate::root().join(source);
    let entries = fs::read_dir(&directory).map_err(|error| unreadable(&directory, error))?;
    let names = entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter(|name| is_loaded(name)).collect();
    names.sort();
    let copy = |name: &String| {
        Ok(GeneratedFile {
            path: Path::new("helm/weir/files").join(name),
            text: read(&source.join(name))?,
        })
    };
    names.iter().map(copy).collect()
}

fn is_loaded(name: &str) -> bool {
    let dashboard = name.starts_with("grafana-") && name.ends_with(".json");
    dashboard || name == "prometheus-rules.yaml"
}

fn readme(chart: &Description) -> Result<GeneratedFile, GenerateError> {
    let path = PathBuf::from("helm/weir/README.md");
    let values = read(Path::new("helm/weir/values.yaml"))?;
    let table = values::tables(&values, &chart.values, &chart.schema);
    let text = between_markers(&read(&path)?, &table)?;
    Ok(GeneratedFile { path, text })
}

const BEGIN: &str = "<!-- values:begin -->";
const END: &str = "<!-- values:end -->";

fn between_markers(page: &str, new: &str) -> Result<String, GenerateError> {
    let missing = || GenerateError::NoMarkers(BEGIN, END);
    let (before, rest) = page.split_once(BEGIN).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    Ok(format!("{before}{BEGIN}\n\n{new}\n{END}{after}"))
}

fn read(path: &Path) -> Result<String, GenerateError> {
    fs::read_to_string(crate::root().join(path)).map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, error: io::Error) -> GenerateError {
    let path = path.to_owned();
    GenerateError::Read { path, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let page = format!("# Chart\n\n{BEGIN}\nold\n{END}\n\nMore.\n");
        let new = between_markers(&page, "new\n").unwrap();
        assert_eq!(
            new,
            format!("# Chart\n\n{BEGIN}\n\nnew\n\n{END}\n\nMore.\n")
        );
        assert_eq!(between_markers(&new, "new\n").unwrap(), new);
        assert!(between_markers("# Chart\n", "new\n").is_err());
    }
}
