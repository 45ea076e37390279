//! The situations of real users that the chart is tried on: `ci/<case>-values.yaml`.

use std::fs;
use std::path::PathBuf;

const SUFFIX: &str = "-values.yaml";

/// The names of all cases, sorted: `ci/minimal-values.yaml` is `minimal`.
///
/// Empty while the chart has none.
pub fn cases() -> Vec<String> {
    let Ok(directory) = fs::read_dir(crate::chart().join("ci")) else {
        return Vec::new();
    };
    let files = directory.filter_map(Result::ok);
    let names = files.filter_map(|file| file.file_name().into_string().ok());
    let mut cases: Vec<_> = names
        .filter_map(|name| Some(name.strip_suffix(SUFFIX)?.to_owned()))
        .collect();
    cases.sort();
    cases
}

/// The values of a case; that they exist shows when Helm reads them.
pub(crate) fn values_file(case: &str) -> PathBuf {
    crate::chart().join("ci").join(format!("{case}{SUFFIX}"))
}
