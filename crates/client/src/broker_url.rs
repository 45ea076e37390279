use crate::ClientError;
use http::Uri;

/// The part of every address before its path, and host and port.
pub(crate) fn parse_url(url: &str) -> Result<(String, String), ClientError> {
    let invalid = |reason: &str| ClientError::InvalidUrl {
        url: url.to_owned(),
        reason: reason.to_owned(),
    };
    let uri: Uri = url.parse().map_err(|_| invalid("not a URL"))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => return Err(invalid("TLS is not supported yet; use http://")),
        _ => return Err(invalid("it must begin with http://")),
    }
    let authority = uri.authority().ok_or_else(|| invalid("no host"))?;
    let names_port = authority.as_str().len() > authority.host().len();
    let authority = authority.as_str();
    if authority.contains('@') {
        return Err(invalid("a user in the URL is not supported"));
    }
    // Otherwise 80 would be asked.
    if names_port && uri.port_u16().is_none_or(|port| port == 0) {
        return Err(invalid("a port is a number from 1 to 65535"));
    }
    if uri.query().is_some() {
        return Err(invalid("a query is not allowed"));
    }
    let prefix = uri.path().trim_end_matches('/');
    Ok((format!("http://{authority}{prefix}"), authority.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked_before_the_first_call() {
        let base = |url| parse_url(url).map(|(base, _)| base);
        assert_eq!(base("http://h:5000/"), Ok("http://h:5000".into()));
        assert_eq!(
            base("http://[::1]:1/weir"),
            Ok("http://[::1]:1/weir".into())
        );
        for url in [
            "",
            "h:5000",
            "https://h",
            "ftp://h",
            "http://u@h",
            "http://h/?a",
            "http://h:99999",
            "http://h:0",
            "http://h:",
            "http://[::1]:65536",
            "/v1",
        ] {
            assert!(
                matches!(base(url), Err(ClientError::InvalidUrl { .. })),
                "{url}"
            );
        }
    }
}
