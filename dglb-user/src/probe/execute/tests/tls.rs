//! Against servers with certificates of their own.

use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use super::Outcome;
use crate::probe::{
    execute::{Executor, Preparer, icmp::Pinger},
    failure::Failure,
    spec::{self, Kind, Spec, Tls},
};

/// An authority, and a server's certificate by it.
struct Certificates {
    authority_pem: String,
    server: CertificateDer<'static>,
    key: Vec<u8>,
}

fn certificates(name: &str, is_expired: bool) -> Certificates {
    certificates_of(vec![name.to_owned()], is_expired)
}

fn certificates_of(names: Vec<String>, is_expired: bool) -> Certificates {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_certificate = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(names).unwrap();
    if is_expired {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    }
    let certificate = params.signed_by(&key, &issuer).unwrap();
    Certificates {
        authority_pem: authority_certificate.pem(),
        server: certificate.der().clone(),
        key: key.serialize_der(),
    }
}

/// Answers every HTTP request over TLS with 200 and `ok`; gives its port.
async fn server(certificates: &Certificates) -> u16 {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certificates.key.clone()));
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificates.server.clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A client that does not like the certificate goes.
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(octet) = stream.read_u8().await else {
                    break;
                };
                head.push(octet);
            }
            let octets = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            stream.write_all(octets).await.unwrap();
            let _ = stream.shutdown().await;
        }
    });
    port
}

fn https(port: u16, host: &str, verify: bool) -> Spec {
    Spec {
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        timeout_ms: 60_000,
        kind: Kind::Http(spec::Http {
            tls: Some(Tls { verify }),
            port,
            host: host.into(),
            method: "GET".into(),
            headers: Vec::new(),
            pages: vec!["/".into()],
            status: vec![200],
            body: None,
            max_body: 100,
            load: None,
        }),
    }
}

/// Probes, with what `pem` holds as the only authorities.
async fn probe(pem: &str, spec: Spec) -> Outcome {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(pem.as_bytes()).unwrap();
    let executor = Executor::new(Some(file.path()), Pinger::default());
    executor.execute(&Preparer::default().prepare(spec)).await
}

#[tokio::test]
async fn a_certificate_that_is_right_is_a_success_and_its_time_stands_apart() {
    for name in ["www.example.com", "127.0.0.1"] {
        let certificates = certificates(name, false);
        let port = server(&certificates).await;
        for host in [name.to_owned(), format!("{name}:{port}")] {
            let outcome = probe(&certificates.authority_pem, https(port, &host, true)).await;
            let times = outcome.expect(&host).times;
            let tls = times.tls_us.expect("a time");
            assert!(tls > 0 && tls <= times.total_us && times.connect_us.is_some());
        }
    }
}

#[tokio::test]
async fn a_certificate_that_is_wrong_is_a_failure_of_its_own() {
    let right = certificates("www.example.com", false);
    let other = certificates("www.example.com", false);
    let expired = certificates("www.example.com", true);
    for (served, trusted, host, said) in [
        (&right, &right, "other.example.com", "not valid for name"),
        (
            &right,
            &other,
            "www.example.com",
            "invalid peer certificate",
        ),
        (&expired, &expired, "www.example.com", "expired"),
    ] {
        let port = server(served).await;
        let outcome = probe(&trusted.authority_pem, https(port, host, true)).await;
        match outcome {
            Err(Failure::Tls(text)) => assert!(text.contains(said), "{text}"),
            other => panic!("{other:?}"),
        }
        let outcome = probe(&trusted.authority_pem, https(port, host, false)).await;
        assert!(
            outcome.is_ok(),
            "the owner does not want to know: {outcome:?}"
        );
    }
}

/// rustls names all names of the certificate. A message to the daemon has a bound; a site must not be able to
/// break it, for that ends the process.
#[tokio::test]
async fn a_certificate_with_thousands_of_names_is_told_in_short() {
    let names = (0..4000).map(|name| format!("{name}.example"));
    let many = certificates_of(names.collect(), false);
    let port = server(&many).await;
    let outcome = probe(&many.authority_pem, https(port, "www.example.com", true)).await;
    match outcome {
        Err(failure @ Failure::Tls(_)) => {
            assert!(failure.is_bounded(), "{failure}");
            assert!(
                failure.to_string().contains("not valid for name"),
                "{failure}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_no_tls_is_a_failure_of_tls() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let outcome = probe(
        &certificates("a.example", false).authority_pem,
        https(port, "a.example", false),
    )
    .await;
    assert!(
        matches!(outcome, Err(Failure::Tls(_) | Failure::Reset)),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn authorities_that_can_t_be_read_are_trouble_of_this_host() {
    let right = certificates("www.example.com", false);
    let port = server(&right).await;
    for pem in [
        "",
        "no certificate",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let outcome = probe(pem, https(port, "www.example.com", true)).await;
        match outcome {
            Err(Failure::Local(text)) => assert!(text.contains("probe.ca_file"), "{text}"),
            other => panic!("{other:?}"),
        }
    }
}
