//! Asking a server whether it is ready, with bounds on everything.

use crate::wait::wait_for;
use anyhow::Context;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const ATTEMPT_LIMIT: Duration = Duration::from_secs(1);
/// A status line is shorter; the rest of an answer is of no interest.
const ANSWER_LIMIT: usize = 512;

/// How a component shows that it is ready.
pub(super) enum Readiness {
    /// `GET` of this path answers 200.
    HttpOk(&'static str),
    /// Its port accepts connections.
    Accepts,
    /// It has no port: it runs, and its memory must settle.
    Started,
}

impl Readiness {
    /// Waits until `address` is ready; `check_alive` ends the wait early with its error.
    pub(super) fn wait(
        &self,
        address: SocketAddr,
        limit: Duration,
        mut check_alive: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let outcome = wait_for(limit, || match check_alive() {
            Err(error) => Some(Err(error)),
            Ok(()) => self.is_ready(address).then_some(Ok(())),
        });
        outcome.with_context(|| format!("{address} was not ready after {limit:?}"))?
    }

    fn is_ready(&self, address: SocketAddr) -> bool {
        if matches!(self, Self::Started) {
            return true;
        }
        let answer = TcpStream::connect_timeout(&address, ATTEMPT_LIMIT);
        match (self, answer) {
            (_, Err(_)) => false,
            (Self::Accepts | Self::Started, Ok(_)) => true,
            (Self::HttpOk(path), Ok(mut stream)) => {
                get(&mut stream, path).is_ok_and(|answer| is_200(&answer))
            }
        }
    }
}

/// Asks for `path` and reads the whole answer; its length in bytes.
pub(super) fn fetch(address: SocketAddr, path: &str) -> io::Result<usize> {
    let mut stream = TcpStream::connect_timeout(&address, ATTEMPT_LIMIT)?;
    let begun = get(&mut stream, path)?.len();
    Ok(begun
        + io::copy(&mut stream, &mut io::sink())
            .map(usize::try_from)?
            .unwrap_or_default())
}

fn get(stream: &mut TcpStream, path: &str) -> io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(ATTEMPT_LIMIT))?;
    stream.set_write_timeout(Some(ATTEMPT_LIMIT))?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = vec![0; ANSWER_LIMIT];
    let read = stream.read(&mut answer)?;
    answer.truncate(read);
    Ok(answer)
}

fn is_200(answer: &[u8]) -> bool {
    answer.starts_with(b"HTTP/1.") && answer.get(8..13) == Some(b" 200 ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;
    use std::net::TcpListener;

    fn answering(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 512]);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn only_200_is_ready() {
        let ready = Readiness::HttpOk("/ready");
        assert!(ready.is_ready(answering("HTTP/1.1 200 OK\r\n\r\n")));
        assert!(!ready.is_ready(answering("HTTP/1.1 503 Service Unavailable\r\n\r\n")));
        assert!(ready.is_ready(answering("HTTP/1.0 200 OK\r\n\r\n")));
        assert!(!ready.is_ready(answering("HTTP/1.1 500 see 200 ways\r\n\r\n")));
        assert!(!ready.is_ready(answering("")));
    }

    #[test]
    fn a_process_that_ended_is_not_waited_for() {
        let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
        let hour = Duration::from_secs(3600);
        let error = Readiness::Accepts.wait(nobody, hour, || bail!("it ended"));
        assert_eq!(error.unwrap_err().to_string(), "it ended");
    }
}
