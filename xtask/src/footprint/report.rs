//! The table: Markdown, printed and put into the README between two marks.

use anyhow::Context;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const BEGIN: &str = "<!-- footprint:begin -->";
const END: &str = "<!-- footprint:end -->";

/// What was measured of one component.
pub(super) struct Row {
    pub(super) component: &'static str,
    /// What it did meanwhile.
    pub(super) during: &'static str,
    pub(super) rss_bytes: u64,
    /// 1.0 is one CPU kept busy.
    pub(super) cpu_fraction: f64,
    pub(super) binary_bytes: u64,
}

pub(super) fn table(rows: &[Row]) -> String {
    let mut table = String::from(
        "| component | while | RSS, MiB | CPU, % | binary, MiB |\n|---|---|---:|---:|---:|\n",
    );
    for row in rows {
        let _ = writeln!(
            table,
            "| {} | {} | {:.1} | {:.1} | {:.1} |",
            row.component,
            row.during,
            mebibytes(row.rss_bytes),
            row.cpu_fraction * 100.0,
            mebibytes(row.binary_bytes),
        );
    }
    table
}

#[expect(
    clippy::cast_precision_loss,
    reason = "one decimal of mebibytes is shown, and no size here comes near 2^53"
)]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

/// Replaces what lies between the marks of `path`.
///
/// # Errors
/// When the file or its marks are missing; it is left alone then.
pub(super) fn write_into(path: &Path, table: &str) -> anyhow::Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let replaced = replace_between_marks(&text, table)
        .with_context(|| format!("{} needs the lines {BEGIN} and {END}", path.display()))?;
    fs::write(path, replaced)?;
    println!("written to {}", path.display());
    Ok(())
}

fn replace_between_marks(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_per_component() {
        let row = Row {
            component: "weir-broker",
            during: "idle",
            rss_bytes: 8 * 1024 * 1024 + 512 * 1024,
            cpu_fraction: 0.002,
            binary_bytes: 5 * 1024 * 1024,
        };
        let table = table(&[row]);
        assert_eq!(
            table.lines().nth(2),
            Some("| weir-broker | idle | 8.5 | 0.2 | 5.0 |")
        );
    }

    #[test]
    fn replaces_the_old_table_and_nothing_else() {
        let readme = "# Weir\n<!-- footprint:begin -->\nold\n<!-- footprint:end -->\nmore\n";
        let once = replace_between_marks(readme, "new\n").unwrap();
        assert_eq!(
            once,
            "# Weir\n<!-- footprint:begin -->\n\nnew\n\n<!-- footprint:end -->\nmore\n"
        );
        assert_eq!(replace_between_marks(&once, "new\n"), Some(once));
        assert_eq!(replace_between_marks("# Weir\n", "new\n"), None);
    }
}
