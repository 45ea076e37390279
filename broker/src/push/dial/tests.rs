use super::authority::Authority;
use super::*;
use std::io::Write;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn dialer(allowed: &str) -> Dialer {
    let allowed = allowed.parse().unwrap();
    let options = PushOptions {
        allowed,
        ..PushOptions::default()
    };
    Dialer::new(&options).unwrap()
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A port on which nobody listens.
async fn free_port() -> u16 {
    listener().await.1
}

async fn reason(dialer: &Dialer, host: &str, port: u16) -> String {
    dialer.connect(host, port).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_name_and_an_address_lead_to_the_listener() {
    let (listener, port) = listener().await;
    for host in ["127.0.0.1", "localhost"] {
        let stream = dialer("").connect(host, port).await.unwrap();
        assert!(stream.nodelay().unwrap(), "{host}");
        listener.accept().await.unwrap();
    }
}

#[tokio::test]
async fn a_refused_connection_names_where() {
    let port = free_port().await;
    let refused = reason(&dialer(""), "127.0.0.1", port).await;
    let expected = format!("cannot connect to 127.0.0.1:{port}: Connection refused");
    assert!(refused.starts_with(&expected), "{refused}");
    let refused = reason(&dialer("127.0.0.1"), "localhost", port).await;
    let expected = format!("cannot connect to localhost:{port}: 127.0.0.1: Connection refused");
    assert!(refused.starts_with(&expected), "{refused}");
}

#[tokio::test]
async fn an_address_that_is_not_allowed_is_not_connected_to() {
    assert_eq!(
        reason(&dialer(""), "169.254.169.254", 80).await,
        "the address 169.254.169.254 is not allowed; allowed: anything but link-local addresses"
    );
    let (_listener, port) = listener().await;
    assert_eq!(
        reason(&dialer("10.0.0.0/8"), "127.0.0.1", port).await,
        "the address 127.0.0.1 is not allowed; allowed: 10.0.0.0/8"
    );
}

#[tokio::test]
async fn a_name_is_checked_by_what_it_resolves_to() {
    let (_listener, port) = listener().await;
    let refused = reason(&dialer("10.0.0.0/8"), "localhost", port).await;
    assert!(
        refused.contains(" of localhost is not allowed; allowed: 10.0.0.0/8"),
        "{refused}"
    );
    // Other ways to write an address, which the resolver understands.
    for disguised in ["0xa9fea9fe", "2852039166", "169.254.43518"] {
        let refused = reason(&dialer(""), disguised, 80).await;
        let expected = format!("the address 169.254.169.254 of {disguised} is not allowed");
        assert!(refused.starts_with(&expected), "{refused}");
    }
}

#[tokio::test]
async fn a_name_that_cannot_exist_is_named() {
    // No resolver is asked for a part of more than 63 characters.
    let name = "x".repeat(64);
    let refused = reason(&dialer(""), &name, 80).await;
    assert!(
        refused.starts_with(&format!("cannot resolve {name}: ")),
        "{refused}"
    );
}

#[tokio::test]
async fn tls_with_a_certificate_of_the_operators_authority() {
    let authority = Authority::new();
    let (listener, port) = listener().await;
    let acceptor = authority.acceptor("localhost");
    let dialer = authority.dialer();
    let serve = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        assert_eq!(stream.get_ref().1.server_name(), Some("localhost"));
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        stream.write_all(b"hello").await.unwrap();
        stream.shutdown().await.unwrap();
    };
    let call = async {
        let mut stream = dialer.connect_tls("localhost", port).await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "hello");
    };
    tokio::join!(serve, call);
}

#[tokio::test]
async fn tls_with_another_certificate_is_refused_with_the_reason() {
    let authority = Authority::new();
    for (dialer, name, expected) in [
        (Authority::new().dialer(), "localhost", "UnknownIssuer"),
        (authority.dialer(), "elsewhere.test", "not valid for name"),
    ] {
        let (listener, port) = listener().await;
        let acceptor = authority.acceptor(name);
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            assert!(acceptor.accept(stream).await.is_err());
        };
        let call = async {
            let refused = dialer.connect_tls("localhost", port).await;
            let refused = refused.unwrap_err().to_string();
            assert!(
                refused.starts_with(&format!("no TLS with localhost:{port}: ")),
                "{refused}"
            );
            assert!(refused.contains(expected), "{refused}");
        };
        tokio::join!(serve, call);
    }
}

#[tokio::test]
async fn a_listener_that_speaks_no_tls_is_told_apart() {
    let authority = Authority::new();
    let (listener, port) = listener().await;
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        let _closed_or_reset = stream.read(&mut [0; 1024]).await;
    };
    let call = async {
        let refused = authority.dialer().connect_tls("localhost", port).await;
        let refused = refused.unwrap_err().to_string();
        assert!(
            refused.starts_with(&format!("no TLS with localhost:{port}: ")),
            "{refused}"
        );
    };
    tokio::join!(serve, call);
}

#[test]
fn a_file_without_certificates_is_refused_by_its_name() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let options = |path: &Path| PushOptions {
        ca_file: Some(path.to_owned()),
        ..PushOptions::default()
    };
    let refused = Dialer::new(&options(file.path())).unwrap_err().to_string();
    let name = file.path().display().to_string();
    assert_eq!(
        refused,
        format!("{name}: there is no certificate (PEM) in it")
    );

    file.write_all(b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")
        .unwrap();
    let refused = Dialer::new(&options(file.path())).unwrap_err().to_string();
    assert!(refused.starts_with(&name), "{refused}");

    let missing = Dialer::new(&options(Path::new("/no/such/file")))
        .unwrap_err()
        .to_string();
    assert!(missing.starts_with("/no/such/file: "), "{missing}");
}
