//! Aligned columns for people. No colour, no borders: it stays readable in a pipe.

use weir_types::RetryBackoff;

/// Text to the left, numbers to the right.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Align {
    Left,
    Right,
}

/// The rows under their headings, without a newline at the end.
pub(crate) fn render(columns: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(i, (heading, _))| {
            let cells = rows.iter().filter_map(|row| row.get(i));
            let widest = cells.map(|cell| cell.chars().count()).max();
            widest.unwrap_or(0).max(heading.len())
        })
        .collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for ((cell, width), (_, align)) in cells.zip(&widths).zip(columns) {
            let width = *width;
            match align {
                Align::Left => text.push_str(&format!("{cell:<width$}  ")),
                Align::Right => text.push_str(&format!("{cell:>width$}  ")),
            }
        }
        text.trim_end().to_owned()
    };
    let mut lines = vec![line(&mut columns.iter().map(|(heading, _)| *heading))];
    lines.extend(
        rows.iter()
            .map(|row| line(&mut row.iter().map(String::as_str))),
    );
    lines.join("\n")
}

/// Bytes as people read them.
pub(crate) fn human_bytes(bytes: u64) -> String {
    bytesize::ByteSize::b(bytes).display().iec().to_string()
}

/// Waits between deliveries, as they are given on a command line.
pub(crate) fn backoff(backoff: &RetryBackoff) -> String {
    match backoff {
        RetryBackoff::List(delays) if delays.is_empty() => "none, at once".to_owned(),
        _ => serde_json::to_string(backoff).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let columns = [("TOPIC", Align::Left), ("LAG", Align::Right)];
        let rows = [["a", "12345"], ["host.cpu", "7"]].map(|r| r.map(str::to_owned).to_vec());
        let expected = "TOPIC       LAG\na         12345\nhost.cpu      7";
        assert_eq!(render(&columns, &rows), expected);
        assert_eq!(render(&columns, &[]), "TOPIC  LAG");
    }

    #[test]
    fn bytes_are_human() {
        assert_eq!(human_bytes(0), "0 B");
        assert_eq!(human_bytes(64 * 1024 * 1024), "64.0 MiB");
    }
}
