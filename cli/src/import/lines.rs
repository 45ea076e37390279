//! Lines of a file, each with the place where it begins.

use memchr::memchr;
use std::io::{self, BufRead};

/// A line without its newline.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Counted from 1.
    pub(super) number: u64,
    /// Of its first byte in the file.
    pub(super) position: u64,
    /// Without the newline.
    pub(super) length_bytes: u64,
    /// False for what follows the last newline.
    pub(super) is_terminated: bool,
    /// `None` for a line that is longer than allowed.
    pub(super) text: Option<&'a [u8]>,
}

/// Reads lines and holds one of them at a time: one that is longer than `max_bytes` is counted, not
/// held.
#[derive(Debug)]
pub(super) struct Lines<R> {
    input: R,
    max_bytes: usize,
    held: Vec<u8>,
    lines: u64,
    position: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R, max_bytes: usize) -> Self {
        Self {
            input,
            max_bytes,
            held: Vec::new(),
            lines: 0,
            position: 0,
        }
    }

    /// The next line; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.held.clear();
        let (mut length_bytes, mut is_terminated) = (0_u64, false);
        while !is_terminated {
            let available = self.input.fill_buf()?;
            if available.is_empty() {
                break;
            }
            let newline = memchr(b'\n', available);
            let part = &available[..newline.unwrap_or(available.len())];
            length_bytes += part.len() as u64;
            if length_bytes <= self.max_bytes as u64 {
                self.held.extend_from_slice(part);
            }
            is_terminated = newline.is_some();
            let used = part.len() + usize::from(is_terminated);
            self.input.consume(used);
        }
        if length_bytes == 0 && !is_terminated {
            return Ok(None);
        }
        let position = self.position;
        self.lines += 1;
        self.position += length_bytes + u64::from(is_terminated);
        let fits = length_bytes <= self.max_bytes as u64;
        Ok(Some(Line {
            number: self.lines,
            position,
            length_bytes,
            is_terminated,
            text: fits.then_some(&*self.held),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    /// Number, position, text, whether it is terminated.
    fn read(input: &[u8], capacity: usize) -> Vec<(u64, u64, Option<Vec<u8>>, bool)> {
        let mut lines = Lines::new(BufReader::with_capacity(capacity, input), 6);
        let mut found = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            let text = line.text.map(<[u8]>::to_vec);
            found.push((line.number, line.position, text, line.is_terminated));
        }
        found
    }

    #[test]
    fn each_line_has_its_number_and_place_however_the_file_is_read() {
        let text = |text: &[u8]| Some(text.to_vec());
        for capacity in 1..20 {
            let expected = [
                (1, 0, text(b"one"), true),
                (2, 4, text(b""), true),
                (3, 5, None, true),
                (4, 13, text(b"cr\r"), true),
                (5, 17, text(b"torn"), false),
            ];
            let found = read(b"one\n\n1234567\ncr\r\ntorn", capacity);
            assert_eq!(found, expected, "capacity {capacity}");
        }
    }

    #[test]
    fn an_empty_file_has_no_line() {
        assert_eq!(read(b"", 8), []);
    }
}
