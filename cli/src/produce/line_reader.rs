use std::io;
use tokio::io::{AsyncBufRead, AsyncBufReadExt};
use weir_types::limits::MAX_BATCH_BYTES;

/// Reads lines of bounded length.
pub(crate) struct LineReader<R> {
    input: R,
    line: Vec<u8>,
    finished: bool,
}

impl<R: AsyncBufRead + Unpin> LineReader<R> {
    pub(crate) fn new(input: R) -> Self {
        Self {
            input,
            line: Vec::new(),
            finished: false,
        }
    }

    /// The next line without its end; `None` at the end of the input. Cancel-safe: what was read
    /// of an unfinished line is kept.
    pub(crate) async fn next(&mut self) -> io::Result<Option<&[u8]>> {
        if std::mem::take(&mut self.finished) {
            self.line.clear();
        }
        loop {
            let available = self.input.fill_buf().await?;
            if available.is_empty() && self.line.is_empty() {
                return Ok(None);
            }
            let end = available.iter().position(|&b| b == b'\n');
            let text = &available[..end.unwrap_or(available.len())];
            if self.line.len() + text.len() > MAX_BATCH_BYTES {
                let reason = format!("a line has more than {MAX_BATCH_BYTES} bytes");
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
            self.line.extend_from_slice(text);
            let (at_end, used) = (
                available.is_empty(),
                text.len() + usize::from(end.is_some()),
            );
            self.input.consume(used);
            if at_end || end.is_some() {
                self.finished = true;
                let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
                return Ok(Some(line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_end_with_lf_crlf_or_the_input() {
        let mut reader = LineReader::new(&b"a\n\nb\r\nlast"[..]);
        for expected in [&b"a"[..], b"", b"b", b"last"] {
            assert_eq!(reader.next().await.unwrap(), Some(expected));
        }
        assert_eq!(reader.next().await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_endless_line_is_refused() {
        let input = vec![b'x'; MAX_BATCH_BYTES + 1];
        assert!(LineReader::new(&input[..]).next().await.is_err());
    }
}
