//! The page's files, embedded in release builds; debug builds read them from the disk.
//!
//! `/nodes/…` and `/topics` are the same page: the address holds its state. Names of files under
//! `/assets/` hold a hash of what is in them, so they are kept for ever; the rest is asked for
//! again, with an ETag.

use super::Route;
use super::answer::{Answer, ApiError, body_of};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH};
use http::{HeaderMap, Response, StatusCode};
use rust_embed::{EmbeddedFile, RustEmbed};
use std::fmt::Write;
use warp::Filter;
use warp::path::FullPath;

const INDEX: &str = "index.html";
const FOR_EVER: &str = "public, max-age=31536000, immutable";
const ASK_AGAIN: &str = "no-cache";

/// What `npm run build` left; nothing, if it did not run.
#[derive(RustEmbed)]
#[folder = "web/dist"]
#[allow_missing = true]
struct Files;

pub(super) fn routes() -> Route {
    warp::path::full()
        .and(warp::get())
        .and(warp::header::headers_cloned())
        .map(|path: FullPath, headers: HeaderMap| file_at(path.as_str(), &headers))
        .boxed()
}

fn file_at(path: &str, headers: &HeaderMap) -> Answer {
    let name = path.trim_start_matches('/');
    let is_page = name.is_empty() || name == "topics" || name.starts_with("nodes/");
    if is_page {
        return page(headers);
    }
    match Files::get(name) {
        Some(file) => answer(name, &file, headers),
        None if is_browser(headers) => {
            let mut missing = page(headers);
            *missing.status_mut() = StatusCode::NOT_FOUND;
            missing
        }
        None => ApiError::not_found("there is no such address").into_answer(),
    }
}

fn page(headers: &HeaderMap) -> Answer {
    match Files::get(INDEX) {
        Some(index) => answer(INDEX, &index, headers),
        None => body_of(StatusCode::OK, "text/html; charset=utf-8", NOT_BUILT),
    }
}

/// Whether a person is looking, whom the page tells what JSON tells a program.
fn is_browser(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

fn answer(name: &str, file: &EmbeddedFile, headers: &HeaderMap) -> Answer {
    let etag = etag(file);
    let known = headers.get(IF_NONE_MATCH);
    let unchanged = known.is_some_and(|known| is_listed(known, &etag));
    let mut answer = if unchanged {
        Response::new(bytes::Bytes::new().into())
    } else {
        Response::new(bytes::Bytes::copy_from_slice(&file.data).into())
    };
    if unchanged {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let caching = if name.starts_with("assets/") {
        FOR_EVER
    } else {
        ASK_AGAIN
    };
    let fields = answer.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        fields.insert(ETAG, etag);
    }
    answer
}

fn is_listed(known: &HeaderValue, etag: &str) -> bool {
    let tags = known.to_str().unwrap_or_default().split(',');
    tags.map(str::trim)
        .any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

/// 128 bits of the file's hash.
fn etag(file: &EmbeddedFile) -> String {
    let hash = file.metadata.sha256_hash();
    let mut etag = String::from("\"");
    for byte in &hash[..16] {
        let _infallible = write!(etag, "{byte:02x}");
    }
    etag.push('"');
    etag
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

const NOT_BUILT: &str = "\
<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>Weir: the page is not built</title>
<h1>The page is not in this binary</h1>
<p>Everything else works: <a href=\"/api/fleet\">/api/fleet</a>, <a href=\"/metrics\">/metrics</a>.</p>
<p>To build the page, run this in the checkout, and then build weir-ui again:</p>
<pre>cd consumer-ui/web
npm ci
npm run build</pre>
</html>
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_recognised_in_a_list() {
        let listed = |list| is_listed(&HeaderValue::from_static(list), "\"b\"");
        assert!(listed("\"b\"") && listed("\"a\", W/\"b\"") && listed("*"));
        assert!(!listed("\"a\"") && !listed("b"));
    }

    #[test]
    fn only_what_is_embedded_is_served() {
        for path in [
            "/../Cargo.toml",
            "/..%2fCargo.toml",
            "//etc/passwd",
            "/assets/none.js",
        ] {
            let answer = file_at(path, &HeaderMap::new());
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        }
        for path in ["/", "/topics", "/nodes/a%20b"] {
            assert_eq!(file_at(path, &HeaderMap::new()).status(), StatusCode::OK);
        }
    }
}
