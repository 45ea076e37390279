//! What the images weigh: unpacked, and as a registry stores them.

use super::image::Image;
use super::layout::Layout;
use crate::command_line::CommandLine;
use anyhow::Context;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Everything in the directory as one layer: the script's arguments are the directory and the time.
const LAYER_BYTES: &str = r#"tar --create --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$2" \
  --directory "$1" . | gzip --best --no-name | wc -c"#;

struct Sizes {
    image: Image,
    binary_bytes: u64,
    compressed_bytes: u64,
}

/// A table with a row for each image.
///
/// # Errors
/// An image is not laid out, or tar or gzip failed.
pub(super) fn table(layout: &Layout, images: &[Image], epoch: u64) -> anyhow::Result<String> {
    let sizes = images.iter().map(|&image| measure(layout, image, epoch));
    Ok(render(&sizes.collect::<anyhow::Result<Vec<_>>>()?))
}

fn measure(layout: &Layout, image: Image, epoch: u64) -> anyhow::Result<Sizes> {
    let root = layout.root(image);
    let binary = fs::metadata(root.join(image.name()))?;
    Ok(Sizes {
        image,
        binary_bytes: binary.len(),
        compressed_bytes: compressed_bytes(&root, epoch)?,
    })
}

fn compressed_bytes(root: &Path, epoch: u64) -> anyhow::Result<u64> {
    let layer = CommandLine::new("sh").args(["-c", LAYER_BYTES, "sh"]);
    let counted = layer.arg(root).arg(epoch.to_string()).output();
    let counted = counted.context("tar or gzip failed")?;
    counted.trim().parse().context(counted)
}

fn render(sizes: &[Sizes]) -> String {
    let mut table =
        "| image | binary, MB | compressed, MB | target, MB |\n|---|---:|---:|---:|\n".to_owned();
    for size in sizes {
        let (binary, compressed) = (
            megabytes(size.binary_bytes),
            megabytes(size.compressed_bytes),
        );
        let target = match size.image.target_bytes() {
            None => "-".to_owned(),
            Some(target) if size.compressed_bytes <= target => megabytes(target),
            Some(target) => format!("{}: MISSED", megabytes(target)),
        };
        let name = size.image.name();
        let _ = writeln!(table, "| {name} | {binary} | {compressed} | {target} |");
    }
    table
}

#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn megabytes(bytes: u64) -> String {
    format!("{:.2}", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_target_stands_out() {
        let broker = |compressed_bytes| Sizes {
            image: Image::WeirBroker,
            binary_bytes: 14_500_000,
            compressed_bytes,
        };
        let table = render(&[broker(5_990_000), broker(6_100_000)]);
        assert!(
            table.contains("| weir-broker | 14.50 | 5.99 | 6.00 |"),
            "{table}"
        );
        assert!(table.contains("| 6.10 | 6.00: MISSED |"), "{table}");
    }

    #[test]
    fn a_layer_is_counted_the_same_each_time() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("weir"), "binary").unwrap();
        let first = compressed_bytes(root.path(), 0).unwrap();
        fs::write(root.path().join("weir"), "binary").unwrap();
        assert_eq!(compressed_bytes(root.path(), 0).unwrap(), first);
        assert!(first > 20);
    }
}
