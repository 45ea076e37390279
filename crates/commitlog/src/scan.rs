//! Reads a file line by line, in chunks.

use crate::fs::{self, File};
use std::io;
use weir_types::FilePosition;

const CHUNK_BYTES: usize = 256 * 1024;

/// Walks the lines of `file` from a position to an end.
pub(crate) struct LineScanner<'a> {
    file: &'a dyn File,
    end: u64,
    /// File position of `buffer[0]`.
    buffer_at: u64,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were handed out.
    consumed: usize,
}

/// One line; borrowed until the next is asked for.
pub(crate) struct ScannedLine<'a> {
    /// Where it begins.
    pub(crate) position: FilePosition,
    /// Its bytes, without the newline.
    pub(crate) bytes: &'a [u8],
    /// Whether a newline ends it; false only for the last line.
    pub(crate) terminated: bool,
}

impl<'a> LineScanner<'a> {
    pub(crate) fn new(file: &'a dyn File, start: FilePosition, end: u64) -> Self {
        Self {
            file,
            end,
            buffer_at: start.0,
            buffer: Vec::new(),
            consumed: 0,
        }
    }

    /// The next line; `None` at the end.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<ScannedLine<'_>>> {
        let mut searched = 0;
        let length = loop {
            let rest = &self.buffer[self.consumed..];
            if let Some(at) = memchr::memchr(b'\n', &rest[searched..]) {
                break searched + at;
            }
            searched = rest.len();
            if !self.fill()? {
                return Ok(self.unterminated());
            }
        };
        Ok(Some(self.take(length, true)))
    }

    fn unterminated(&mut self) -> Option<ScannedLine<'_>> {
        let length = self.buffer.len() - self.consumed;
        (length > 0).then(|| self.take(length, false))
    }

    fn take(&mut self, length: usize, terminated: bool) -> ScannedLine<'_> {
        let start = self.consumed;
        self.consumed += length + usize::from(terminated);
        ScannedLine {
            position: FilePosition(self.buffer_at + start as u64),
            bytes: &self.buffer[start..start + length],
            terminated,
        }
    }

    /// Reads one more chunk behind what is not handed out yet; false at the end.
    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.consumed);
        self.buffer_at += self.consumed as u64;
        self.consumed = 0;
        let position = self.buffer_at + self.buffer.len() as u64;
        let left = usize::try_from(self.end.saturating_sub(position)).unwrap_or(usize::MAX);
        let kept = self.buffer.len();
        self.buffer.resize(kept + left.min(CHUNK_BYTES), 0);
        let read = fs::read_full(self.file, &mut self.buffer[kept..], position)?;
        self.buffer.truncate(kept + read);
        Ok(read > 0)
    }
}
