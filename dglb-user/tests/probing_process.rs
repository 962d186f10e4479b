//! The process `dglb probe` itself, started as the daemon starts it.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr},
    os::fd::AsRawFd as _,
    time::Duration,
};

use dglb_user::probe::{
    failure::Failure,
    handle::{self, Handle, Program},
    message::{FromProber, Success, ToProber},
    spec::{Http, Kind, Match, Spec},
};
use rustix::{
    io::{FdFlags, fcntl_setfd},
    process::{Pid, Signal, kill_process},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Never reached by a test that passes.
const AMPLE: Duration = Duration::from_secs(60);
const AMPLE_MS: u32 = 60_000;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn start(concurrency: usize) -> Handle {
    let program = Program {
        path: env!("CARGO_BIN_EXE_dglb").into(),
        user: "nobody".into(),
        concurrency,
        ca_file: None,
    };
    handle::start(program, CancellationToken::new())
}

/// Starts it, and waits until it is there; its process id too.
async fn started(concurrency: usize) -> (Handle, u32) {
    let mut handle = start(concurrency);
    assert_eq!(next(&mut handle).await, FromProber::Up);
    (handle, child())
}

/// The only child of this thread, in which a test's runtime runs.
fn child() -> u32 {
    let children = fs::read_to_string("/proc/thread-self/children").expect("proc");
    children.trim().parse().expect("one child")
}

async fn next(handle: &mut Handle) -> FromProber {
    let next = timeout(AMPLE, handle.results.recv()).await;
    next.expect("in time").expect("it runs")
}

async fn order(handle: &Handle, order: ToProber) {
    handle.orders.send(order).await.expect("it runs");
}

async fn define(handle: &Handle, target: u32, kind: Kind) {
    let spec = Box::new(Spec {
        address: LOCALHOST,
        timeout_ms: AMPLE_MS,
        kind,
    });
    order(handle, ToProber::Define { target, spec }).await;
}

async fn outcome(handle: &mut Handle) -> (u32, Result<Success, Failure>) {
    match next(handle).await {
        FromProber::Done {
            target, outcome, ..
        } => (target, outcome),
        other => panic!("{other:?}"),
    }
}

async fn probed(handle: &mut Handle, target: u32) -> Result<Success, Failure> {
    order(handle, ToProber::Probe { target }).await;
    let (done, outcome) = outcome(handle).await;
    assert_eq!(done, target);
    outcome
}

fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        assert_ne!(
            std::env::var("DGLB_SKIP_IS_FAILURE").as_deref(),
            Ok("1"),
            "not root"
        );
        println!("SKIPPED: not root");
    }
    is_root
}

#[tokio::test]
async fn it_has_no_rights_and_nothing_open_but_its_own() {
    if !is_root() {
        return;
    }
    // What the daemon was started with may have lost its mark "close on exec", or never had it.
    let inherited = tempfile::NamedTempFile::new().expect("a file");
    fcntl_setfd(inherited.as_file(), FdFlags::empty()).expect("it is kept");
    assert!(inherited.as_file().as_raw_fd() > 2);
    let (_handle, id) = started(10).await;

    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("it lives");
    let status: BTreeMap<&str, &str> = status
        .lines()
        .filter_map(|line| line.split_once(":\t"))
        .collect();
    for ids in ["Uid", "Gid", "Groups"] {
        let mut ids = status[ids].split_whitespace();
        assert!(ids.all(|id| id == "65534"), "{status:?}");
    }
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        let bits = u64::from_str_radix(status[set].trim(), 16).expect("bits");
        assert_eq!(bits, 0, "{set}");
    }
    assert_eq!(status["NoNewPrivs"].trim(), "1");

    let mut open: Vec<String> = Vec::new();
    for entry in fs::read_dir(format!("/proc/{id}/fd")).expect("it lives") {
        let entry = entry.expect("a descriptor");
        let number: u32 = entry
            .file_name()
            .to_string_lossy()
            .parse()
            .expect("a number");
        if number > 2 {
            let link = fs::read_link(entry.path()).expect("open");
            open.push(link.to_string_lossy().into_owned());
        }
    }
    let sockets = open
        .iter()
        .filter(|link| link.starts_with("socket:"))
        .count();
    let others: Vec<_> = open
        .iter()
        .filter(|link| !link.starts_with("socket:") && !link.starts_with("anon_inode:[event"))
        .collect();
    assert!(others.is_empty(), "{open:?}");
    // Its own end, two for ICMP, and the pair by which the runtime hears of signals (one end twice).
    assert!(sockets <= 6, "{open:?}");
}

#[tokio::test]
async fn it_is_killed_and_another_one_probes() {
    let (mut handle, id) = started(10).await;
    let listener = TcpListener::bind((LOCALHOST, 0)).await.expect("bound");
    let port = listener.local_addr().expect("bound").port();
    define(&handle, 1, Kind::Tcp { port }).await;
    assert!(probed(&mut handle, 1).await.is_ok());

    let raw = Pid::from_raw(id.cast_signed()).expect("a process id");
    kill_process(raw, Signal::KILL).expect("killed");
    match next(&mut handle).await {
        FromProber::Down { reason } => assert!(reason.contains("signal: 9"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(next(&mut handle).await, FromProber::Up);
    assert_ne!(child(), id);
    // It knows nothing of before.
    let unknown = probed(&mut handle, 1).await;
    assert!(matches!(unknown, Err(Failure::Local(_))), "{unknown:?}");
    define(&handle, 1, Kind::Tcp { port }).await;
    assert!(probed(&mut handle, 1).await.is_ok());
}

#[tokio::test]
async fn it_pings_though_it_could_not_open_the_sockets() {
    if !is_root() {
        return;
    }
    let (mut handle, _) = started(10).await;
    for (target, address) in [(1, "127.0.0.1"), (2, "::1")] {
        let spec = Box::new(Spec {
            address: address.parse().expect("an address"),
            timeout_ms: AMPLE_MS,
            kind: Kind::Icmp,
        });
        order(&handle, ToProber::Define { target, spec }).await;
        let success = probed(&mut handle, target).await.expect(address);
        assert!(success.times.connect_us.is_some());
    }
}

#[tokio::test]
async fn a_probe_too_many_is_trouble_of_this_host_and_the_others_go_on() {
    let (mut handle, _) = started(2).await;
    // It accepts, and answers when it is told to.
    let listener = TcpListener::bind((LOCALHOST, 0)).await.expect("bound");
    let port = listener.local_addr().expect("bound").port();
    for target in 1..=3 {
        define(&handle, target, Kind::Http(a_page(port, None))).await;
    }
    for target in [1, 2] {
        order(&handle, ToProber::Probe { target }).await;
    }
    let (mut one, _) = listener.accept().await.expect("a probe");
    let (mut other, _) = listener.accept().await.expect("a probe");
    order(&handle, ToProber::Probe { target: 3 }).await;
    for stream in [&mut one, &mut other] {
        answer(stream, "ok").await;
    }
    let mut failed = Vec::new();
    for _ in 0..3 {
        match outcome(&mut handle).await {
            (target, Err(Failure::Local(_))) => failed.push(target),
            (_, outcome) => assert!(outcome.is_ok(), "{outcome:?}"),
        }
    }
    assert_eq!(failed, [3]);
}

/// Half a minute of a processor, if it were let.
#[tokio::test]
async fn an_expression_of_the_worst_kind_stops_nobody_and_not_the_end() {
    let (mut handle, id) = started(10).await;
    let listener = TcpListener::bind((LOCALHOST, 0)).await.expect("bound");
    let port = listener.local_addr().expect("bound").port();
    let worst = Match::Regex("(?-u)(.*a.{30}|.*b.{29}){1,60}c".into());
    define(&handle, 1, Kind::Http(a_page(port, Some(worst)))).await;
    define(&handle, 2, Kind::Tcp { port }).await;
    order(&handle, ToProber::Probe { target: 1 }).await;
    let (mut stream, _) = listener.accept().await.expect("a probe");
    answer(&mut stream, &"ab".repeat(1 << 18)).await;
    // The probe has read all of it when it closes.
    let _ = stream.read(&mut [0]).await;
    assert!(
        probed(&mut handle, 2).await.is_ok(),
        "done while the other searches"
    );
    let raw = Pid::from_raw(id.cast_signed()).expect("a process id");
    drop((handle.orders, handle.results));
    timeout(AMPLE, handle.task)
        .await
        .expect("in time")
        .expect("it ends");
    assert!(kill_process(raw, Signal::KILL).is_err(), "it is reaped");
}

fn a_page(port: u16, body: Option<Match>) -> Http {
    Http {
        tls: None,
        port,
        host: "www.example.com".into(),
        method: "GET".into(),
        headers: Vec::new(),
        pages: vec!["/".into()],
        status: vec![200],
        body,
        max_body: 1 << 20,
        load: None,
    }
}

/// Reads a request, and answers with this body.
async fn answer(stream: &mut tokio::net::TcpStream, body: &str) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a request"));
    }
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.expect("it reads");
    stream.write_all(body.as_bytes()).await.expect("it reads");
}
