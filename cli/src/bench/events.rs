//! A stream of server-sent events, as far as the generator needs it: a body in chunks, whose `data`
//! lines are messages.

use super::connection::{Connection, ErrorWord, lost, not_understood};
use bytes::{Buf, Bytes, BytesMut};
use memchr::{memchr, memrchr};

const LINE_END: &[u8] = b"\r\n";
const DATA: &[u8] = b"data: ";

/// An open stream.
pub(crate) struct Events {
    connection: Connection,
    chunks: Chunks,
    text: BytesMut,
}

/// What comes next in a body that is sent in chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunks {
    Size,
    Data { left: usize },
    DataEnd,
    Ended,
}

impl Events {
    /// Begins behind the head of the answer.
    pub(crate) fn new(connection: Connection) -> Self {
        Self {
            connection,
            chunks: Chunks::Size,
            text: BytesMut::new(),
        }
    }

    /// Waits for more; returns whole lines. An error ends the stream.
    pub(crate) async fn next(&mut self) -> Result<Bytes, ErrorWord> {
        loop {
            let received = &mut self.connection.received;
            self.chunks.unpack(received, &mut self.text)?;
            if let Some(end) = memrchr(b'\n', &self.text) {
                return Ok(self.text.split_to(end + 1).freeze());
            }
            if self.chunks == Chunks::Ended {
                return Err(lost());
            }
            self.connection.read_some().await?;
        }
    }
}

/// What stands behind `data:` in each such line.
pub(crate) fn data_lines(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = lines.split(|byte| *byte == b'\n');
    lines.filter_map(|line| line.strip_prefix(DATA))
}

impl Chunks {
    /// Moves what the chunks hold from `received` to `text`, as far as it is there.
    fn unpack(&mut self, received: &mut BytesMut, text: &mut BytesMut) -> Result<(), ErrorWord> {
        loop {
            let next = match *self {
                Self::Size => size(received)?,
                Self::Data { left } => data(left, received, text),
                Self::DataEnd => data_end(received)?,
                Self::Ended => None,
            };
            match next {
                Some(next) => *self = next,
                None => return Ok(()),
            }
        }
    }
}

/// `None` when the line is not complete.
fn size(received: &mut BytesMut) -> Result<Option<Chunks>, ErrorWord> {
    let Some(end) = memchr(b'\n', received) else {
        return Ok(None);
    };
    let line = received.split_to(end + 1);
    let digits = line.strip_suffix(LINE_END).and_then(|line| {
        let text = std::str::from_utf8(line).ok()?;
        usize::from_str_radix(text, 16).ok()
    });
    Ok(Some(match digits.ok_or_else(not_understood)? {
        0 => Chunks::Ended,
        left => Chunks::Data { left },
    }))
}

/// `None` when there is nothing to move.
fn data(left: usize, received: &mut BytesMut, text: &mut BytesMut) -> Option<Chunks> {
    let length = left.min(received.len());
    text.extend_from_slice(&received[..length]);
    received.advance(length);
    match left - length {
        0 => Some(Chunks::DataEnd),
        _ if length == 0 => None,
        left => Some(Chunks::Data { left }),
    }
}

/// `None` when the line end is not complete.
fn data_end(received: &mut BytesMut) -> Result<Option<Chunks>, ErrorWord> {
    if received.len() < LINE_END.len() {
        return Ok(None);
    }
    match received.split_to(LINE_END.len()) == LINE_END {
        true => Ok(Some(Chunks::Size)),
        false => Err(not_understood()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] =
        b"8\r\nid: a\nda\r\n1b\r\nta: {\"x\":1}\n\n: quiet\ndata: \r\n4\r\n{}\n\n\r\n0\r\n\r\n";
    const TEXT: &[u8] = b"id: a\ndata: {\"x\":1}\n\n: quiet\ndata: {}\n\n";

    #[test]
    fn chunks_may_be_cut_anywhere() {
        for cut in 0..BODY.len() {
            let (mut chunks, mut text) = (Chunks::Size, BytesMut::new());
            let mut received = BytesMut::new();
            for part in [&BODY[..cut], &BODY[cut..]] {
                received.extend_from_slice(part);
                chunks.unpack(&mut received, &mut text).unwrap();
            }
            assert_eq!((&text[..], chunks), (TEXT, Chunks::Ended), "{cut}");
        }
        let data: Vec<_> = data_lines(TEXT).collect();
        assert_eq!(data, [b"{\"x\":1}".as_slice(), b"{}"]);
    }

    #[test]
    fn what_is_no_chunk_is_not_guessed() {
        for body in ["x\r\n", "1\n", "1\r\naxx", "\r\n"] {
            let mut received = BytesMut::from(body);
            let unpacked = Chunks::Size.unpack(&mut received, &mut BytesMut::new());
            assert_eq!(unpacked, Err(not_understood()), "{body:?}");
        }
    }
}
