//! What a process asks the one that runs with the same settings: health checks and stop hooks, from
//! images without a shell or a client.
//!
//! The flags are `--healthcheck` and `--drain DURATION`. Either way the settings are read as the
//! running process reads them, so the same command line plus the flag finds it.

use crate::settings;
use bytes::Bytes;
use clap::{Arg, ArgAction, ArgMatches};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

const HEALTHCHECK: &str = "healthcheck";
const DRAIN: &str = "drain";

/// A process that does not answer within this time does no work either.
const PATIENCE: Duration = Duration::from_secs(5);
/// Of an answer, which is one line.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Of what Weir's processes answer to probes. A program that took the port after ours had ended may
/// answer anything with 200.
const ANSWER_BEGIN: &str = "{\"status\":\"";

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What to ask the running process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Whether it is ready.
    Healthcheck,
    /// To say that it is not ready any more, because it stops soon. Then waits this long, for those
    /// who choose between several to notice.
    Drain(Duration),
}

/// The flag `--healthcheck`.
#[must_use]
pub fn healthcheck_flag() -> Arg {
    Arg::new(HEALTHCHECK)
        .long(HEALTHCHECK)
        .action(ArgAction::SetTrue)
        .help(
            "Asks the process that runs with the same settings whether it is ready, by its HTTP \
             listener: ends with 0 if it is, else with 1",
        )
}

/// The flag `--drain DURATION`.
#[must_use]
pub fn drain_flag() -> Arg {
    Arg::new(DRAIN)
        .long(DRAIN)
        .value_name("DURATION")
        .value_parser(settings::duration)
        .conflicts_with(HEALTHCHECK)
        .help(
            "Tells the process that runs with the same settings that it stops soon, so that its /ready says no, \
             and waits that long; for stop hooks",
        )
}

impl Probe {
    /// What the flags ask for; `None` if the process is to run itself.
    #[must_use]
    pub fn from_matches(matches: &ArgMatches) -> Option<Self> {
        if matches.get_flag(HEALTHCHECK) {
            return Some(Self::Healthcheck);
        }
        let drain = matches.try_get_one::<Duration>(DRAIN);
        drain.ok().flatten().copied().map(Self::Drain)
    }

    /// Asks, and prints what came back; the code to end with: 0, or 1 if the process is not as it
    /// should be, or not there.
    #[must_use]
    pub fn send(self, listener: Option<SocketAddr>) -> ExitCode {
        match self.answered(listener) {
            Ok(answer) => {
                println!("{answer}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        }
    }

    fn answered(self, listener: Option<SocketAddr>) -> Result<String, Failure> {
        let listener = listener.ok_or("there is no HTTP listener to ask")?;
        let address = reachable(listener);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            match self {
                Self::Healthcheck => ask(address, Method::GET, "/ready").await,
                Self::Drain(wait) => {
                    let answer = ask(address, Method::POST, "/drain").await?;
                    sleep(wait).await;
                    Ok(answer)
                }
            }
        })
    }
}

/// Where a listener of this machine is reached: one on all addresses, by loopback.
fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}

/// The body of a success.
async fn ask(address: SocketAddr, method: Method, path: &str) -> Result<String, Failure> {
    let url = format!("{method} http://{address}{path}");
    let answer = timeout(PATIENCE, exchange(address, method, path)).await;
    let (status, body) = answer
        .map_err(|_| format!("{url}: no answer within {PATIENCE:?}"))?
        .map_err(|error| format!("{url}: {error}"))?;
    match status.is_success() {
        true if body.starts_with(ANSWER_BEGIN) => Ok(body),
        true => Err(format!("{url}: {status}, but not by a process of Weir").into()),
        false => Err(format!("{url}: {status}: {body}").into()),
    }
}

async fn exchange(
    address: SocketAddr,
    method: Method,
    path: &str,
) -> Result<(StatusCode, String), Failure> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, address.to_string())
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let answered = async move {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await?;
        let text = String::from_utf8_lossy(&body.to_bytes()).trim().to_owned();
        Ok((head.status, text))
    };
    // What went wrong with the connection shows in the answer.
    let (answered, _connection) = tokio::join!(answered, connection);
    answered
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    fn asked(answer: &'static str, probe: Probe) -> (Result<String, String>, String) {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let read = client.read(&mut request).unwrap();
            client.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        let answered = probe.answered(Some(address)).map_err(|e| e.to_string());
        (answered, server.join().unwrap())
    }

    #[test]
    fn a_ready_process_is_healthy() {
        let ready = "HTTP/1.1 200 OK\r\ncontent-length: 18\r\n\r\n{\"status\":\"ready\"}";
        let (answered, request) = asked(ready, Probe::Healthcheck);
        assert_eq!(answered.unwrap(), "{\"status\":\"ready\"}");
        assert!(request.starts_with("GET /ready HTTP/1.1\r\n"), "{request}");
    }

    #[test]
    fn one_that_is_not_ready_is_quoted() {
        let draining = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 8\r\n\r\ndraining";
        let (answered, _) = asked(draining, Probe::Healthcheck);
        let error = answered.unwrap_err();
        assert!(
            error.ends_with("503 Service Unavailable: draining"),
            "{error}"
        );
    }

    #[test]
    fn another_program_on_the_port_is_not_healthy() {
        for other in [
            "HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n<html>hi</html>",
            "HTTP/1.1 204 No Content\r\n\r\n",
        ] {
            let (answered, _) = asked(other, Probe::Healthcheck);
            let error = answered.unwrap_err();
            assert!(error.ends_with("not by a process of Weir"), "{error}");
        }
    }

    #[test]
    fn draining_is_a_post() {
        let drained = "HTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\n{\"status\":\"draining\"}";
        let (answered, request) = asked(drained, Probe::Drain(Duration::ZERO));
        assert_eq!(answered.unwrap(), "{\"status\":\"draining\"}");
        assert!(request.starts_with("POST /drain HTTP/1.1\r\n"), "{request}");
    }

    #[test]
    fn nobody_there_is_a_failure_that_says_where() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let error = Probe::Healthcheck.answered(Some(address)).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains(&format!("http://{address}/ready: ")),
            "{error}"
        );
        let error = Probe::Healthcheck.answered(None).unwrap_err().to_string();
        assert_eq!(error, "there is no HTTP listener to ask");
    }

    #[test]
    fn a_listener_on_all_addresses_is_asked_by_loopback() {
        let asked = |listener: &str| reachable(listener.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:5000"), "127.0.0.1:5000");
        assert_eq!(asked("[::]:5000"), "[::1]:5000");
        assert_eq!(asked("10.0.0.7:5000"), "10.0.0.7:5000");
    }
}
