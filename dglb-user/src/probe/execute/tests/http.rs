//! Against servers on loopback that speak octets, so that they can be as wrong as we like.

use std::{net::SocketAddrV4, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};

use super::{Outcome, get};
use crate::probe::{
    failure::Failure,
    spec::{self, Kind, Spec},
};

/// Never reached by a test that passes.
const AMPLE: Duration = Duration::from_secs(60);

/// Octets that a body may have here.
const MAX_BODY: u32 = 1 << 20;

/// A plain GET; its parts can be changed.
#[derive(Clone)]
pub struct Get {
    address: SocketAddrV4,
    timeout: Duration,
    http: spec::Http,
}

impl Get {
    fn spec(&self) -> Spec {
        Spec {
            address: (*self.address.ip()).into(),
            timeout_ms: self.timeout.as_millis() as u32,
            kind: Kind::Http(spec::Http {
                port: self.address.port(),
                ..self.http.clone()
            }),
        }
    }
}

fn a_get(address: SocketAddrV4) -> Get {
    Get {
        address,
        timeout: AMPLE,
        http: spec::Http {
            tls: None,
            port: 0,
            host: "www.example.com".into(),
            method: "GET".into(),
            headers: Vec::new(),
            pages: vec!["/health?deep=1".into()],
            status: vec![200, 204],
            body: None,
            max_body: MAX_BODY,
            load: None,
        },
    }
}

async fn get_it(wanted: &Get) -> Outcome {
    get(wanted.spec()).await
}

/// A server of one connection: reads the request's head, then does as told.
struct Server {
    address: SocketAddrV4,
    request: JoinHandle<String>,
}

async fn server<F, W>(behave: F) -> Server
where
    F: FnOnce(TcpStream) -> W + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = v4(&listener);
    let request = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_head(&mut stream).await;
        behave(stream).await;
        request
    });
    Server { address, request }
}

fn v4(listener: &TcpListener) -> SocketAddrV4 {
    match listener.local_addr().unwrap() {
        std::net::SocketAddr::V4(address) => address,
        std::net::SocketAddr::V6(_) => unreachable!("bound to an IPv4 address"),
    }
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// A server that sends `octets` and then ends the connection properly.
async fn says(octets: impl Into<Vec<u8>>) -> Server {
    let octets = octets.into();
    server(async move |mut stream| {
        // The prober may have had enough before all was sent.
        let _ = stream.write_all(&octets).await;
    })
    .await
}

async fn outcome_of(octets: impl Into<Vec<u8>>) -> Outcome {
    get_it(&a_get(says(octets).await.address)).await
}

fn with_body(framing: &str, body: &[u8]) -> Vec<u8> {
    let mut octets = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n").into_bytes();
    octets.extend_from_slice(body);
    octets
}

#[tokio::test]
async fn a_whole_response_is_a_success_however_it_is_framed() {
    for octets in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nup to the connection's end",
        b"HTTP/1.0 200 OK\r\n\r\nold",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        let outcome = outcome_of(octets).await;
        assert!(outcome.is_ok(), "{outcome:?} for {}", octets.escape_ascii());
    }
}

#[tokio::test]
async fn the_request_is_what_the_configuration_says() {
    let server = says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert!(get_it(&a_get(server.address)).await.is_ok());
    let request = server.request.await.unwrap();
    let mut lines: Vec<_> = request.trim_end().split("\r\n").collect();
    assert_eq!(lines.remove(0), "GET /health?deep=1 HTTP/1.1");
    lines.sort_unstable();
    let agent = format!("user-agent: dglb/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        lines,
        ["connection: close", "host: www.example.com", &agent]
    );
}

#[tokio::test]
async fn a_success_does_not_wait_for_the_site_to_close() {
    let server = server(async |mut stream| {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .await
            .unwrap();
        // Ends when the prober has closed.
        let _ = stream.read_u8().await;
    })
    .await;
    assert!(get_it(&a_get(server.address)).await.is_ok());
    server.request.await.unwrap();
}

#[tokio::test]
async fn the_time_covers_the_whole_body() {
    let server = server(async |mut stream| {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")
            .await
            .unwrap();
        for octet in b"abc" {
            tokio::time::sleep(Duration::from_millis(50)).await;
            stream.write_all(&[*octet]).await.unwrap();
        }
    })
    .await;
    let success = get_it(&a_get(server.address)).await.unwrap();
    assert!(success.times.total_us >= 150_000, "{success:?}");
    assert!(success.times.first_byte_us.unwrap() < success.times.total_us);
}

/// "first byte" (DESIGN §8), which is long before the end of a head that trickles.
#[tokio::test]
async fn the_first_octet_has_a_time_of_its_own() {
    let pause = Duration::from_millis(150);
    let server = server(async move |mut stream| {
        stream.write_all(b"H").await.unwrap();
        tokio::time::sleep(pause).await;
        stream
            .write_all(b"TTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .await
            .unwrap();
    })
    .await;
    let times = get_it(&a_get(server.address)).await.unwrap().times;
    let first = Duration::from_micros(times.first_byte_us.expect("it came").into());
    let total = Duration::from_micros(times.total_us.into());
    assert!(first + pause <= total, "{first:?} of {total:?}");
}

#[tokio::test]
async fn both_families_are_asked() {
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        let octets = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(octets).await.unwrap();
    });
    let mut spec = a_get(SocketAddrV4::new([127, 0, 0, 1].into(), port)).spec();
    spec.address = std::net::Ipv6Addr::LOCALHOST.into();
    assert!(get(spec).await.is_ok());
}

#[tokio::test]
async fn another_status_is_a_failure_with_its_number() {
    for status in [201, 206, 304, 404, 500, 503, 999] {
        let octets = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(outcome_of(octets).await, Err(Failure::Status(status)));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let location = v4(&elsewhere);
    let octets =
        format!("HTTP/1.1 302 Found\r\nLocation: http://{location}/\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(outcome_of(octets.clone()).await, Err(Failure::Status(302)));

    let mut expects_it = a_get(says(octets).await.address);
    expects_it.http.status = vec![302];
    assert!(get_it(&expects_it).await.is_ok());

    // The first connection there is ours, not a prober's.
    let ours = TcpStream::connect(location).await.unwrap();
    let (_, peer) = elsewhere.accept().await.unwrap();
    assert_eq!(peer, ours.local_addr().unwrap());
}

#[tokio::test]
async fn nobody_listening_is_refused() {
    // An address of its own, where no other test takes the freed port.
    let listener = TcpListener::bind("127.66.0.1:0").await.unwrap();
    let address = v4(&listener);
    drop(listener);
    assert_eq!(get_it(&a_get(address)).await, Err(Failure::Refused));
}

#[tokio::test]
async fn an_address_that_cannot_be_reached_is_an_error_of_the_socket() {
    let outcome = get_it(&a_get("255.255.255.255:80".parse().unwrap())).await;
    assert!(matches!(outcome, Err(Failure::Io(_))), "{outcome:?}");
}

/// Sends `octets` and then resets the connection.
async fn resets_after(octets: &'static [u8]) -> Outcome {
    let server = server(async move |mut stream| {
        stream.write_all(octets).await.unwrap();
        stream.set_zero_linger().unwrap();
    })
    .await;
    get_it(&a_get(server.address)).await
}

#[tokio::test]
async fn a_reset_is_a_reset_wherever_it_comes() {
    for octets in [
        &b""[..],
        b"HTTP/1.1 20",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nup to the connection's end",
    ] {
        let outcome = resets_after(octets).await;
        assert_eq!(
            outcome,
            Err(Failure::Reset),
            "after {}",
            octets.escape_ascii()
        );
    }
}

#[tokio::test]
async fn an_end_before_the_end_is_abnormal_and_told_apart_in_mid_body() {
    for (octets, failure) in [
        (&b""[..], Failure::Malformed),
        (b"HTTP/1.1 200 OK\r\nContent-Le", Failure::Malformed),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf",
            Failure::Aborted,
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            Failure::Aborted,
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nhalf",
            Failure::Aborted,
        ),
    ] {
        let outcome = outcome_of(octets).await;
        assert_eq!(outcome, Err(failure), "after {}", octets.escape_ascii());
    }
}

#[tokio::test]
async fn what_is_not_http_is_malformed() {
    for octets in [
        &b"SSH-2.0-OpenSSH_9.2p1\r\n"[..],
        b"\0\x01\x02\xff\xfe",
        b"<html>hello</html>",
        b"HTTP/9.1 200 OK\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    ] {
        let outcome = outcome_of(octets).await;
        assert_eq!(
            outcome,
            Err(Failure::Malformed),
            "for {}",
            octets.escape_ascii()
        );
    }
}

/// A body that goes on wrongly is no body that ends too early.
#[tokio::test]
async fn what_is_not_http_in_mid_body_is_malformed_too() {
    for chunk in ["xyz\r\n", "fffffffffffffffff\r\n", "1\r\nabc\r\n", "\r\n"] {
        let framing = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n";
        let outcome = outcome_of(format!("{framing}{chunk}")).await;
        assert_eq!(outcome, Err(Failure::Malformed), "for {chunk:?}");
    }
}

#[tokio::test]
async fn a_head_without_an_end_is_malformed() {
    let server = server(async |mut stream| {
        let mut octets = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while octets.is_ok() {
            octets = stream
                .write_all(b"a: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n")
                .await;
        }
    })
    .await;
    assert_eq!(
        get_it(&a_get(server.address)).await,
        Err(Failure::Malformed)
    );
}

#[tokio::test]
async fn a_body_may_have_a_mebibyte_and_no_octet_more() {
    let body = vec![b'x'; MAX_BODY as usize + 1];
    let (fits, too_large) = (&body[1..], &body[..]);
    let length = |body: &[u8]| with_body(&format!("Content-Length: {}", body.len()), body);
    assert!(outcome_of(length(fits)).await.is_ok());
    assert_eq!(outcome_of(length(too_large)).await, Err(Failure::TooLarge));
    assert!(outcome_of(with_body("a: b", fits)).await.is_ok());
    assert_eq!(
        outcome_of(with_body("a: b", too_large)).await,
        Err(Failure::TooLarge)
    );
}

#[tokio::test]
async fn an_endless_body_is_too_large_and_no_longer_read() {
    let (sent, mut ended) = mpsc::channel(1);
    let server = server(async move |mut stream| {
        let mut result = stream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await;
        while result.is_ok() {
            result = stream.write_all(b"10\r\n0123456789abcdef\r\n").await;
        }
        sent.send(result.is_err()).await.unwrap();
    })
    .await;
    assert_eq!(get_it(&a_get(server.address)).await, Err(Failure::TooLarge));
    assert_eq!(ended.recv().await, Some(true));
}

/// A server that does not end by itself; the timeout must.
async fn times_out<F, W>(behave: F)
where
    F: FnOnce(TcpStream) -> W + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let server = server(behave).await;
    let mut impatient = a_get(server.address);
    impatient.timeout = Duration::from_millis(300);
    assert_eq!(get_it(&impatient).await, Err(Failure::TimedOut));
    server.request.abort();
}

#[tokio::test]
async fn silence_after_the_request_times_out() {
    times_out(async |_stream| std::future::pending().await).await;
}

#[tokio::test]
async fn silence_in_the_body_times_out() {
    times_out(async |mut stream| {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
            .await
            .unwrap();
        std::future::pending().await
    })
    .await;
}

/// The timeout is for all of it, not for each octet.
#[tokio::test]
async fn a_body_that_trickles_times_out() {
    times_out(async |mut stream| {
        let mut result = stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            .await;
        while result.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
            result = stream.write_all(b"x").await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_nobody_accepts_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut impatient = a_get(v4(&listener));
    impatient.timeout = Duration::from_millis(300);
    assert_eq!(get_it(&impatient).await, Err(Failure::TimedOut));
}

#[tokio::test]
async fn a_timeout_closes_the_connection() {
    let (sent, mut closed) = mpsc::channel(1);
    times_out_and_reports(sent).await;
    assert_eq!(closed.recv().await, Some(true));
}

async fn times_out_and_reports(sent: mpsc::Sender<bool>) {
    let server = server(async move |mut stream| {
        // End of file or an error: both mean that the prober let go.
        let gone = !matches!(stream.read(&mut [0; 1]).await, Ok(1..));
        sent.send(gone).await.unwrap();
    })
    .await;
    let mut impatient = a_get(server.address);
    impatient.timeout = Duration::from_millis(300);
    assert_eq!(get_it(&impatient).await, Err(Failure::TimedOut));
}

#[tokio::test]
async fn what_cannot_stand_in_a_request_is_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = v4(&listener);
    for path in [
        "",
        "health",
        "*",
        "http://other.example/",
        "/a b",
        "/a\r\nX: y",
        "/a\0",
        "/a#b",
    ] {
        let mut wanted = a_get(address);
        wanted.http.pages = vec![path.into()];
        assert_eq!(
            get_it(&wanted).await,
            Err(Failure::NotSendable),
            "path {path:?}"
        );
    }
    for host in ["a\r\nX: y", "a\n", "a\0b"] {
        let mut wanted = a_get(address);
        wanted.http.host = host.into();
        assert_eq!(
            get_it(&wanted).await,
            Err(Failure::NotSendable),
            "host {host:?}"
        );
    }
    let ours = TcpStream::connect(address).await.unwrap();
    let (_, peer) = listener.accept().await.unwrap();
    assert_eq!(peer, ours.local_addr().unwrap());
}

/// A server of any number of connections, each with so many responses; gives the paths that were asked for, a
/// list a connection.
async fn keeps(
    responses_each: usize,
    body: &'static str,
) -> (SocketAddrV4, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = v4(&listener);
    let (sender, paths) = mpsc::channel(16);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            for _ in 0..responses_each {
                let mut first = [0; 1];
                if stream.peek(&mut first).await.unwrap_or(0) == 0 {
                    break;
                }
                let head = read_head(&mut stream).await;
                let path = head.split(' ').nth(1).unwrap().to_owned();
                sender.send(path).await.unwrap();
                let octets = with_body(
                    &format!("X-Load: load=7; weight=3\r\nContent-Length: {}", body.len()),
                    body.as_bytes(),
                );
                stream.write_all(&octets).await.unwrap();
            }
            sender.send("end".into()).await.unwrap();
        }
    });
    (address, paths)
}

#[tokio::test]
async fn a_page_set_goes_over_one_connection_or_as_many_as_the_site_wants() {
    for (responses_each, expected) in [
        (9, vec!["/a", "/b", "/c", "end"]),
        (1, vec!["/a", "end", "/b", "end", "/c", "end"]),
        (2, vec!["/a", "/b", "end", "/c", "end"]),
    ] {
        let (address, mut paths) = keeps(responses_each, "ok").await;
        let mut wanted = a_get(address);
        wanted.http.pages = ["/a", "/b", "/c"].map(String::from).to_vec();
        let outcome = get_it(&wanted).await;
        assert!(outcome.is_ok(), "{outcome:?}");
        let mut seen = Vec::new();
        while seen.len() < expected.len() {
            seen.push(paths.recv().await.unwrap());
        }
        assert_eq!(seen, expected);
    }
}

#[tokio::test]
async fn the_body_must_match_and_only_the_first_page_s() {
    let (address, _paths) = keeps(9, "status: fine, version 12").await;
    let ask = async |body: Option<spec::Match>| {
        let mut wanted = a_get(address);
        wanted.http.body = body;
        get_it(&wanted).await.map(|_| ())
    };
    let text = |text: &str| Some(spec::Match::Text(text.into()));
    let regex = |pattern: &str| Some(spec::Match::Regex(pattern.into()));
    assert_eq!(ask(text("fine, v")).await, Ok(()));
    assert_eq!(ask(text("fine. v")).await, Err(Failure::Body), "no pattern");
    assert_eq!(ask(regex(r"version \d+$")).await, Ok(()));
    assert_eq!(ask(regex(r"version \d{3}")).await, Err(Failure::Body));
    let broken = ask(regex("(")).await;
    assert!(matches!(broken, Err(Failure::Local(_))), "{broken:?}");
}

#[tokio::test]
async fn a_site_says_how_loaded_it_is() {
    let (address, _paths) = keeps(9, r#"{"load": 0.5, "drain": true}"#).await;
    let ask = async |load| {
        let mut wanted = a_get(address);
        wanted.http.load = Some(load);
        get_it(&wanted).await.unwrap().load
    };
    let said = ask(spec::Load::Header("x-load".into())).await.unwrap();
    assert_eq!(
        (said.load, said.weight, said.drain),
        (Some(7.0), Some(3), false)
    );
    let said = ask(spec::Load::Json).await.unwrap();
    assert_eq!(
        (said.load, said.weight, said.drain),
        (Some(0.5), None, true)
    );
    assert!(ask(spec::Load::Header("x-other".into())).await.is_none());
}

#[tokio::test]
async fn a_load_without_sense_fails_no_probe() {
    for (header, body) in [
        ("X-Load: load=high", "{}"),
        ("X-Load: weight=-1", r#"{"load": -1}"#),
        ("X-Load: \u{e9}load=1e999", "[1, 2]"),
        ("X-Load: load=inf", ""),
    ] {
        let octets = with_body(
            &format!("{header}\r\nContent-Length: {}", body.len()),
            body.as_bytes(),
        );
        let mut wanted = a_get(says(octets.clone()).await.address);
        wanted.http.load = Some(spec::Load::Header("x-load".into()));
        let said = get_it(&wanted).await.expect(header).load;
        assert!(
            said.is_none_or(|said| said.load.is_none()),
            "{header}: {said:?}"
        );
        if body == "{}" {
            continue;
        }
        let mut wanted = a_get(says(octets).await.address);
        wanted.http.load = Some(spec::Load::Json);
        assert_eq!(get_it(&wanted).await.expect(body).load, None, "{body}");
    }
}

/// What a second request on a kept connection meets is the site's answer, if it began one.
#[tokio::test]
async fn an_answer_that_breaks_off_is_not_asked_for_again() {
    let server = server(async |mut stream| {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .await
            .unwrap();
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 20").await.unwrap();
    })
    .await;
    let mut wanted = a_get(server.address);
    wanted.http.pages = ["/a", "/b"].map(String::from).to_vec();
    assert_eq!(get_it(&wanted).await, Err(Failure::Malformed));
}

#[tokio::test]
async fn method_and_headers_are_the_owner_s() {
    let server = says("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n").await;
    let mut wanted = a_get(server.address);
    wanted.http.method = "HEAD".into();
    wanted.http.headers = vec![
        ("x-key".into(), "v".into()),
        ("user-agent".into(), "me".into()),
    ];
    assert!(get_it(&wanted).await.is_ok(), "HEAD has no body");
    let request = server.request.await.unwrap();
    assert!(
        request.starts_with("HEAD /health?deep=1 HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains("x-key: v\r\n") && request.contains("user-agent: me\r\n"),
        "{request}"
    );
    assert!(!request.contains("dglb"), "{request}");
}
