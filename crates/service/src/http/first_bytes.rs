use bytes::BytesMut;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Which protocol a client speaks, as its first bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// Reads until the bytes differ from HTTP/2's preface or are all of it. They are added to `read`,
/// which whoever speaks the protocol must get first; it may hold more than the preface.
///
/// Cancel-safe: what was read is in `read`.
pub(super) async fn tell_protocol<I>(io: &mut I, read: &mut BytesMut) -> io::Result<Protocol>
where
    I: AsyncRead + Unpin,
{
    loop {
        let compared = read.len().min(PREFACE.len());
        if read[..compared] != PREFACE[..compared] {
            return Ok(Protocol::Http1);
        }
        if compared == PREFACE.len() {
            return Ok(Protocol::Http2);
        }
        if io.read_buf(read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(pieces: &[&[u8]]) -> (io::Result<Protocol>, Vec<u8>) {
        let mut reader: Box<dyn AsyncRead + Unpin> = Box::new(tokio::io::empty());
        for piece in pieces.iter().rev() {
            reader = Box::new(piece.to_vec().leak().chain(reader));
        }
        let mut read = BytesMut::new();
        let protocol = tell_protocol(&mut reader, &mut read).await;
        (protocol, read.to_vec())
    }

    #[tokio::test]
    async fn the_protocol_is_told_from_pieces_and_nothing_is_lost() {
        let (protocol, read) = told(&[b"PRI * HT", b"TP/2.0\r\n\r\nSM\r\n\r", b"\n"]).await;
        assert_eq!(protocol.unwrap(), Protocol::Http2);
        assert_eq!(read, PREFACE);
        let (protocol, read) = told(&[b"P", b"OST /"]).await;
        assert_eq!(protocol.unwrap(), Protocol::Http1);
        assert_eq!(read, b"POST /");
    }

    #[tokio::test]
    async fn an_early_end_is_an_error() {
        assert!(told(&[]).await.0.is_err());
        assert!(told(&[b"PRI"]).await.0.is_err());
    }
}
