//! Connections on a paused clock, and sockets of the machine's loopback.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use dglb_common::counters::Counter;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    net::{TcpStream, UdpSocket},
    task::JoinHandle,
    time,
};
use tokio_util::sync::CancellationToken;

use super::{
    BindError, Protocol, Service, Sockets, UserCounters,
    connection::{self, Ended},
    serve,
    tcp::Limits,
};
use crate::answer::tests::{example, query};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const NAME: &str = "www.g.foo.com";

/// More than any of these tests takes: one that hangs fails.
const PATIENCE: Duration = Duration::from_secs(60);

fn service() -> Service {
    Service {
        answerer: Arc::new(example("dns-lb.toml")),
        counters: Arc::default(),
    }
}

/// A connection of ours, and its client's end with room for `room` octets each way.
fn connect(limits: Limits, room: usize) -> (DuplexStream, JoinHandle<Ended>) {
    let (client, server) = duplex(room);
    let task =
        tokio::spawn(async move { connection::run(&service(), &limits, server, LOOPBACK).await });
    (client, task)
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

async fn read_message(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Vec<u8> {
    let len = stream.read_u16().await.expect("a length");
    let mut message = vec![0; usize::from(len)];
    stream.read_exact(&mut message).await.expect("a message");
    message
}

#[tokio::test(start_paused = true)]
async fn queries_sent_at_once_are_answered_each() {
    // RFC 7766 §6.2.1.1: "clients SHOULD pipeline their queries".
    let (mut client, task) = connect(Limits::default(), 4096);
    let queries: Vec<u8> = (0..20).flat_map(|id| framed(&query(id, NAME))).collect();
    client.write_all(&queries).await.expect("room");
    for id in 0..20_u16 {
        assert_eq!(read_message(&mut client).await[..2], id.to_be_bytes());
    }
    drop(client);
    assert_eq!(task.await.expect("no panic"), Ended::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_query_in_single_octets_is_answered() {
    // RFC 7766 §8: a length or a message need not come in one piece.
    let (mut client, _task) = connect(Limits::default(), 4096);
    for octet in framed(&query(5, NAME)) {
        client.write_all(&[octet]).await.expect("room");
        time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(read_message(&mut client).await[..2], [0, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_closed_after_the_idle_time() {
    let begin = time::Instant::now();
    let (_client, task) = connect(Limits::default(), 4096);
    assert_eq!(task.await.expect("no panic"), Ended::Idle);
    assert_eq!(begin.elapsed().as_secs(), Limits::default().idle.as_secs());
}

#[tokio::test(start_paused = true)]
async fn octets_that_trickle_do_not_hold_a_connection() {
    let (mut client, task) = connect(Limits::default(), 4096);
    let begin = time::Instant::now();
    let message = framed(&query(5, NAME));
    for octet in &message[..message.len() - 1] {
        if client.write_all(&[*octet]).await.is_err() {
            break;
        }
        time::sleep(Duration::from_secs(2)).await;
    }
    assert_eq!(task.await.expect("no panic"), Ended::Idle);
    assert!(begin.elapsed() >= Limits::default().idle);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_no_responses_is_closed() {
    // Room for requests, and for little more than one response.
    let (mut client, task) = connect(Limits::default(), 128);
    let sender = tokio::spawn(async move {
        loop {
            if client.write_all(&framed(&query(5, NAME))).await.is_err() {
                return;
            }
        }
    });
    assert_eq!(task.await.expect("no panic"), Ended::NotTaken);
    sender.await.expect("ends when the connection does");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_query_closes_the_connection() {
    let mut response = query(5, NAME);
    response[2] |= 0x80;
    for message in [&b""[..], b"GET / HTTP", &response] {
        let (mut client, task) = connect(Limits::default(), 4096);
        client.write_all(&framed(message)).await.expect("room");
        assert_eq!(task.await.expect("no panic"), Ended::NoQuery, "{message:?}");
        assert_eq!(client.read(&mut [0; 8]).await.expect("closed"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_shorter_than_promised_is_not_answered() {
    let (mut client, task) = connect(Limits::default(), 4096);
    let message = framed(&query(5, NAME));
    client
        .write_all(&message[..message.len() - 1])
        .await
        .expect("room");
    client.shutdown().await.expect("open");
    assert_eq!(task.await.expect("no panic"), Ended::Closed);
    assert_eq!(client.read(&mut [0; 8]).await.expect("closed"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_has_an_end() {
    let limits = Limits {
        queries: 3,
        ..Limits::default()
    };
    let (mut client, task) = connect(limits, 4096);
    for id in 0..3 {
        client
            .write_all(&framed(&query(id, NAME)))
            .await
            .expect("room");
        read_message(&mut client).await;
    }
    assert_eq!(task.await.expect("no panic"), Ended::Used);
}

/// A served node on the loopback.
struct Served {
    at: SocketAddr,
    counters: Arc<UserCounters>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Served {
    fn start() -> Self {
        Self::start_at(LOOPBACK)
    }

    fn start_at(address: IpAddr) -> Self {
        let sockets = Sockets::bind(&[address], 0).expect("a free port");
        let at = sockets.local_addresses()[0];
        let counters = Arc::<UserCounters>::default();
        let stop = CancellationToken::new();
        let answerer = Arc::new(example("dns-lb.toml"));
        let task = tokio::spawn(serve(
            answerer,
            sockets,
            Arc::clone(&counters),
            stop.clone(),
        ));
        Self {
            at,
            counters,
            stop,
            task,
        }
    }

    async fn ask_udp(&self, message: &[u8]) -> Vec<u8> {
        let socket = UdpSocket::bind((self.at.ip(), 0))
            .await
            .expect("a free port");
        socket.connect(self.at).await.expect("loopback");
        socket.send(message).await.expect("loopback");
        let mut response = vec![0; 2000];
        let received = time::timeout(PATIENCE, socket.recv(&mut response)).await;
        let len = received.expect("in time").expect("a response");
        response.truncate(len);
        response
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.at).await.expect("listening")
    }
}

async fn ask_tcp(stream: &mut TcpStream, message: &[u8]) -> Vec<u8> {
    stream.write_all(&framed(message)).await.expect("open");
    time::timeout(PATIENCE, read_message(stream))
        .await
        .expect("in time")
}

#[tokio::test]
async fn udp_and_tcp_give_the_same_answer_and_count_it() {
    let served = Served::start();
    let query = query(9, NAME);
    let by_udp = served.ask_udp(&query).await;
    let by_tcp = ask_tcp(&mut served.connect().await, &query).await;
    assert_eq!(by_udp, by_tcp);
    let counted = served.counters.snapshot();
    assert_eq!((counted.lb_address, served.counters.received()), (2, 2));
    assert_eq!(
        Counter::ALL
            .iter()
            .map(|counter| counter.of(&counted))
            .sum::<u64>(),
        2
    );
}

#[tokio::test]
async fn ipv6_is_answered_and_its_sockets_take_no_ipv4() {
    let served = Served::start_at(Ipv6Addr::LOCALHOST.into());
    let query = query(9, NAME);
    let by_udp = served.ask_udp(&query).await;
    let by_tcp = ask_tcp(&mut served.connect().await, &query).await;
    assert_eq!(by_udp, by_tcp);
    assert_eq!(served.counters.snapshot().lb_address, 2);
    let all = Sockets::bind(&[Ipv6Addr::UNSPECIFIED.into()], 0).expect("a free port");
    let port = all.local_addresses()[0].port();
    Sockets::bind(&[LOOPBACK], port).expect("IPv4 is free beside it");
}

#[tokio::test]
async fn garbage_stops_nothing() {
    let served = Served::start();
    let socket = UdpSocket::bind((LOOPBACK, 0)).await.expect("a free port");
    for len in [0, 1, 11, 12, 600, 9000] {
        socket
            .send_to(&vec![0xff; len], served.at)
            .await
            .expect("loopback");
        let mut stream = served.connect().await;
        // The other end may close before all is written.
        let _ = stream.write_all(&framed(&vec![0xff; len])).await;
    }
    assert_eq!(served.ask_udp(&query(3, NAME)).await[..2], [0, 3]);
    assert_eq!(
        ask_tcp(&mut served.connect().await, &query(4, NAME)).await[..2],
        [0, 4]
    );
}

#[tokio::test]
async fn one_source_cannot_take_all_connections() {
    let served = Served::start();
    let mut open = Vec::new();
    for id in 0..Limits::default().per_source as u16 {
        let mut stream = served.connect().await;
        ask_tcp(&mut stream, &query(id, NAME)).await;
        open.push(stream);
    }
    let mut refused = served.connect().await;
    let read = time::timeout(PATIENCE, refused.read(&mut [0; 8]))
        .await
        .expect("in time");
    // Closed or reset, by what the client had sent.
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    let other = tokio::net::TcpSocket::new_v4().expect("a socket");
    other.bind(([127, 0, 0, 2], 0).into()).expect("loopback");
    let mut other = other.connect(served.at).await.expect("listening");
    assert_eq!(ask_tcp(&mut other, &query(77, NAME)).await[..2], [0, 77]);
}

#[tokio::test]
async fn it_stops_when_asked_with_connections_open() {
    let served = Served::start();
    let mut stream = served.connect().await;
    ask_tcp(&mut stream, &query(1, NAME)).await;
    served.stop.cancel();
    time::timeout(PATIENCE, served.task)
        .await
        .expect("in time")
        .expect("no panic");
    assert_eq!(stream.read(&mut [0; 8]).await.expect("closed"), 0);
    Sockets::bind(&[LOOPBACK], served.at.port()).expect("free again");
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_remedy() {
    let holder = UdpSocket::bind((LOOPBACK, 0)).await.expect("a free port");
    let port = holder.local_addr().expect("bound").port();
    let error = Sockets::bind(&[LOOPBACK], port).expect_err("taken");
    assert_eq!((error.protocol, error.port), (Protocol::Udp, port));
    let text = error.to_string();
    for part in ["UDP", "127.0.0.1", &port.to_string(), "ss -lnp"] {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn an_address_of_no_interface_is_named_with_the_remedy() {
    let error: BindError = Sockets::bind(&[[192, 0, 2, 1].into()], 0).expect_err("not ours");
    let text = error.to_string();
    assert!(
        text.contains("192.0.2.1") && text.contains("ip address add"),
        "{text}"
    );
}
