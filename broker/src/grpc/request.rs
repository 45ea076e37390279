//! What every request must be before a service gets it.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body_util::Full;
use tonic::Status;
use tonic::body::Body;

const NOT_GRPC: &str = "this port speaks gRPC: POST over HTTP/2 with content-type application/grpc; \
    the broker's HTTP API listens on another port\n";

/// Whether it is gRPC at all.
pub(super) fn is_grpc<B>(request: &Request<B>) -> bool {
    request.version() == Version::HTTP_2
        && request.method() == Method::POST
        && is_grpc_content(request.headers())
}

/// `application/grpc`, alone or with `+proto`: other formats, and gRPC-Web's framing, are not offered.
fn is_grpc_content(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| {
        ["application/grpc", "application/grpc+proto"].contains(&essence.trim())
    })
}

/// The answer to what is no gRPC, in the words of HTTP, which is what its sender speaks.
pub(super) fn not_grpc() -> Response<Body> {
    let mut refusal = Response::new(Body::new(Full::from(NOT_GRPC)));
    *refusal.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    refusal.headers_mut().insert(CONTENT_TYPE, text);
    refusal
}

/// Of `/<service>/<method>`.
pub(super) fn service_name<B>(request: &Request<B>) -> &str {
    let path = request.uri().path();
    path.split('/').nth(1).unwrap_or_default()
}

pub(super) fn unknown_service<B>(request: &Request<B>) -> Status {
    Status::unimplemented(format!(
        "there is no service {:?}; reflection lists those that there are",
        service_name(request)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(version: Version, method: Method, content_type: &str) -> Request<()> {
        let mut request = Request::new(());
        *request.version_mut() = version;
        *request.method_mut() = method;
        let content_type = HeaderValue::from_str(content_type).unwrap();
        request.headers_mut().insert(CONTENT_TYPE, content_type);
        request
    }

    #[test]
    fn only_grpc_over_http2_passes() {
        let check =
            |version, method, content_type| is_grpc(&request(version, method, content_type));
        for accepted in ["application/grpc", "application/grpc+proto; charset=utf-8"] {
            assert!(check(Version::HTTP_2, Method::POST, accepted));
            assert!(!check(Version::HTTP_11, Method::POST, accepted));
            assert!(!check(Version::HTTP_2, Method::GET, accepted));
        }
        for refused in [
            "application/json",
            "application/grpc-web",
            "application/grpc+json",
            "",
        ] {
            assert!(!check(Version::HTTP_2, Method::POST, refused), "{refused}");
        }
    }

    #[test]
    fn the_service_is_the_first_part_of_the_path() {
        let named = |path: &str| {
            let request = Request::builder().uri(path).body(()).unwrap();
            service_name(&request).to_owned()
        };
        assert_eq!(named("/broker.Broker/SendTask"), "broker.Broker");
        assert_eq!(named("http://h:1/a.B/C"), "a.B");
        assert_eq!(named("/"), "");
    }
}
