//! What the agent says of itself over HTTP, where it is told to listen: probes, and its own metrics.
//! The host's figures go to the broker only.
//!
//! | route | 200 | else 503 |
//! |---|---|---|
//! | `GET /startup` | it listens | |
//! | `GET /health` | it looks at the host when it is due | a look is overdue by a minute |
//! | `GET /ready` | it has looked at least once | |
//! | `GET /metrics` | always | |

use crate::collectors::Health;
use crate::publisher::PublisherState;
use crate::pulse::Pulse;
use crate::run::since_boot;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use metrics_exporter_prometheus::formatting::{
    sanitize_label_value, write_help_line, write_type_line,
};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use std::time::Duration;
use tower_service::Service;
use weir_service::http::HttpLimits;

type Answer = Response<Full<Bytes>>;

/// For a few probes and a scraper or two, which ask at once and read at once. Whoever does not must give
/// way soon: an agent whose probes find no place is restarted.
pub(crate) fn limits() -> HttpLimits {
    HttpLimits {
        max_connections: 128,
        first_byte_timeout: Duration::from_secs(2),
        header_read_timeout: Duration::from_secs(5),
        max_header_bytes: 8 * 1024,
        write_timeout: Duration::from_secs(5),
        drain_timeout: Duration::from_secs(1),
        max_h2_streams: 8,
    }
}

/// The pages, as a service for [`weir_service::http::serve`].
#[derive(Clone, Debug)]
pub(crate) struct Pages {
    pub(crate) pulse: Pulse,
    pub(crate) publisher: PublisherState,
    pub(crate) collectors: Health,
}

impl Service<Request<Incoming>> for Pages {
    type Response = Answer;
    type Error = Infallible;
    type Future = Ready<Result<Answer, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        ready(Ok(self.page(request.method(), request.uri().path())))
    }
}

impl Pages {
    fn page(&self, method: &Method, path: &str) -> Answer {
        let page = match path {
            "/startup" => status(StatusCode::OK, "started"),
            "/health" if self.pulse.is_overdue(since_boot()) => {
                status(StatusCode::SERVICE_UNAVAILABLE, "overdue")
            }
            "/health" => status(StatusCode::OK, "healthy"),
            "/ready" if self.pulse.looks() == 0 => {
                status(StatusCode::SERVICE_UNAVAILABLE, "starting")
            }
            "/ready" => status(StatusCode::OK, "ready"),
            "/metrics" => text(self.metrics()),
            _ => {
                let message = "there is no such address: /startup, /health, /ready, /metrics";
                return error(StatusCode::NOT_FOUND, "not_found", message);
            }
        };
        match *method {
            Method::GET | Method::HEAD => page,
            _ => error(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this address takes GET",
            ),
        }
    }

    fn metrics(&self) -> String {
        let publisher = self.publisher.get();
        let mut page = String::new();
        let mut family = |name: &str, kind: &str, help: &str, values: &[(String, u64)]| {
            write_help_line(&mut page, name, None, None, help);
            write_type_line(&mut page, name, None, None, kind);
            for (labels, value) in values {
                let _infallible = writeln!(page, "{name}{labels} {value}");
            }
            page.push('\n');
        };
        let version = format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
        let plain = |value| [(String::new(), value)];
        let collectors: Vec<_> = self
            .collectors
            .by_collector()
            .into_iter()
            .map(by_collector)
            .collect();
        family(
            "weir_agent_build_info",
            "gauge",
            "The agent's version; always 1",
            &[(version, 1)],
        );
        family(
            "weir_agent_looks_total",
            "counter",
            "Times that the agent looked at the host",
            &plain(self.pulse.looks()),
        );
        family(
            "weir_agent_buffered_bytes",
            "gauge",
            "Bytes of samples that wait for the broker",
            &plain(publisher.buffered_bytes),
        );
        family(
            "weir_agent_dropped_samples_total",
            "counter",
            "Samples given up because they found no room or were refused",
            &plain(publisher.dropped_samples),
        );
        family(
            "weir_agent_collector_success",
            "gauge",
            "1 if the collector could read its files, else 0",
            &collectors,
        );
        page
    }
}

fn by_collector((collector, success): (String, bool)) -> (String, u64) {
    let collector = sanitize_label_value(&collector);
    (format!("{{collector=\"{collector}\"}}"), u64::from(success))
}

fn status(code: StatusCode, status: &str) -> Answer {
    let version = env!("CARGO_PKG_VERSION");
    let body = serde_json::json!({ "status": status, "version": version });
    body_of(code, "application/json", body.to_string())
}

fn error(code: StatusCode, word: &str, message: &str) -> Answer {
    let body = serde_json::json!({ "error": { "code": word, "message": message } });
    body_of(code, "application/json", body.to_string())
}

fn text(page: String) -> Answer {
    body_of(
        StatusCode::OK,
        "text/plain; version=0.0.4; charset=utf-8",
        page,
    )
}

fn body_of(code: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = code;
    let content_type = HeaderValue::from_static(content_type);
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collectors::CollectError;
    use std::path::Path;

    fn pages() -> Pages {
        Pages {
            pulse: Pulse::default(),
            publisher: PublisherState::default(),
            collectors: Health::default(),
        }
    }

    #[test]
    fn an_agent_is_ready_once_it_has_looked() {
        let pages = pages();
        let answered = |path| pages.page(&Method::GET, path).status().as_u16();
        assert_eq!(
            (
                answered("/startup"),
                answered("/ready"),
                answered("/health")
            ),
            (200, 503, 200)
        );
        pages.pulse.beat(since_boot());
        assert_eq!((answered("/ready"), answered("/health")), (200, 200));
        assert_eq!(answered("/nothing"), 404);
        let posted = pages.page(&Method::POST, "/ready").status().as_u16();
        assert_eq!(posted, 405);
    }

    #[test]
    fn one_that_stopped_looking_is_not_healthy() {
        let pages = pages();
        pages.pulse.beat(Duration::ZERO);
        let health = pages.page(&Method::GET, "/health").status();
        let up_for_two_minutes = since_boot() > Duration::from_secs(120);
        assert_eq!(health.is_server_error(), up_for_two_minutes);
    }

    #[test]
    fn the_metrics_name_the_collectors() {
        let pages = pages();
        let unreadable = CollectError::parse(Path::new("/proc/1/mountinfo"), "odd".into());
        pages.collectors.note("cpu", Ok(()));
        pages.collectors.note::<()>("mounts", Err(unreadable));
        let page = pages.metrics();
        assert!(page.contains("# TYPE weir_agent_looks_total counter\nweir_agent_looks_total 0\n"));
        assert!(page.contains("weir_agent_collector_success{collector=\"mounts\"} 0\n"));
    }
}
