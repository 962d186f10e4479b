//! The DNS-B's side against peers that behave and peers that do not.

use std::net::Ipv4Addr;

use tokio::{io::DuplexStream, task::JoinHandle, time::advance};

use super::*;
use crate::{
    event::Rejection,
    map_protocol::{
        frames::ReadError,
        message::Frame,
        testing::{
            EPOCH, LB_ADDRESS, Peer, Publisher, announce, hello, ok, refusal, resolvers, withdraw,
        },
        wire::MAX_MESSAGE_LEN,
    },
};

const LEASE: Duration = Duration::from_secs(10);

/// A server without a listener: connections are handed to it.
struct Fixture {
    server: Arc<Server>,
    publisher: Publisher,
}

impl Fixture {
    fn new() -> Self {
        let (events, receiver) = mpsc::channel(4);
        let name = "dns-b.example".parse().unwrap();
        let stop = CancellationToken::new();
        let server = Arc::new(Server::new(Limits::default(), name, LEASE, events, stop));
        Self {
            server,
            publisher: Publisher(receiver),
        }
    }

    fn connect(&self) -> Peer<DuplexStream> {
        self.connect_with_buffer(64 * 1024).0
    }

    fn connect_with_buffer(&self, octets: usize) -> (Peer<DuplexStream>, JoinHandle<()>) {
        let (ours, theirs) = tokio::io::duplex(octets);
        let address: SocketAddr = "192.0.2.1:40000".parse().unwrap();
        let slot = self.server.connections.admit(address.ip()).unwrap();
        let server = Arc::clone(&self.server);
        let session = tokio::spawn(async move { server.run(theirs, address, slot).await });
        (Peer::new(ours), session)
    }

    /// A peer with a session.
    async fn session(&mut self, name: &str) -> Peer<DuplexStream> {
        let mut peer = self.connect();
        peer.open(name).await;
        self.publisher.expect_renewal(name).await;
        peer
    }

    /// The good peer is served as ever.
    async fn expect_served(&mut self, good: &mut Peer<DuplexStream>, name: &str) {
        let sequence = good.say(announce([99])).await;
        assert_eq!(
            self.publisher.answer_announce(name, Ok(())).await,
            resolvers([99])
        );
        good.expect_ok(sequence).await;
    }
}

/// Octets of a message as a peer would send it.
fn octets(sequence: u32, message: Message) -> Vec<u8> {
    Frame {
        sequence,
        epoch: EPOCH,
        message,
    }
    .encode()
}

#[tokio::test(start_paused = true)]
async fn hello_is_answered_with_name_and_lease() {
    let mut fixture = Fixture::new();
    let mut peer = fixture.connect();
    peer.say(hello("lb-a")).await;
    let answer = peer.hear().await;
    assert_eq!((answer.sequence, answer.epoch), (1, EPOCH));
    let expected = Message::HelloAck {
        node: "dns-b.example".parse().unwrap(),
        lease: LEASE,
    };
    assert_eq!(answer.message, expected);
    fixture.publisher.expect_renewal("lb-a").await;
}

#[tokio::test(start_paused = true)]
async fn an_announcement_is_acknowledged_only_when_effective() {
    let mut fixture = Fixture::new();
    let mut peer = fixture.session("lb-a").await;
    let sequence = peer.say(announce([1, 2, 3])).await;
    let Event::Announce {
        node,
        dns_lb,
        resolvers: announced,
        done,
    } = fixture.publisher.next().await
    else {
        panic!("no announcement");
    };
    assert_eq!(
        (node.as_str(), dns_lb, announced),
        ("lb-a", LB_ADDRESS, resolvers([1, 2, 3]))
    );
    let early = tokio::time::timeout(Duration::from_secs(9), peer.hear()).await;
    assert!(early.is_err(), "{early:?} before the publisher answered");
    done.send(Ok(())).unwrap();
    peer.expect_ok(sequence).await;
}

#[tokio::test(start_paused = true)]
async fn withdrawals_and_renewals_reach_the_publisher() {
    let mut fixture = Fixture::new();
    let mut peer = fixture.session("lb-a").await;
    let withdrawal = peer.say(withdraw([1])).await;
    assert_eq!(
        fixture.publisher.answer_withdraw("lb-a").await,
        resolvers([1])
    );
    peer.expect_ok(withdrawal).await;
    let renewal = peer.say(Message::Renew(None)).await;
    fixture.publisher.expect_renewal("lb-a").await;
    peer.expect_ok(renewal).await;
}

#[tokio::test(start_paused = true)]
async fn each_rejection_reaches_the_dns_lb_and_the_session_goes_on() {
    let mut fixture = Fixture::new();
    let mut peer = fixture.session("lb-x").await;
    let other_address = Rejection::OtherAddress {
        node: "lb-x".into(),
        configured: Ipv4Addr::LOCALHOST,
        announced: LB_ADDRESS,
    };
    let full = crate::capacity::TableFull::Resolvers {
        size: 1,
        needed: None,
    };
    for (rejection, code) in [
        (Rejection::UnknownNode("lb-x".into()), Code::UnknownNode),
        (other_address, Code::OtherAddress),
        (full.into(), Code::TableFull),
        (Rejection::Tables("no space".into()), Code::TablesNotWritten),
    ] {
        let reason = rejection.to_string();
        let sequence = peer.say(announce([1])).await;
        fixture
            .publisher
            .answer_announce("lb-x", Err(rejection))
            .await;
        assert_eq!(peer.hear().await.message, refusal(sequence, code, &reason));
    }
    fixture.expect_served(&mut peer, "lb-x").await;
}

#[tokio::test(start_paused = true)]
async fn what_comes_first_must_be_hello() {
    let mut fixture = Fixture::new();
    for message in [announce([1]), withdraw([1]), Message::Renew(None), ok(1)] {
        let mut peer = fixture.connect();
        peer.say(message).await;
        let reason = peer.expect_cut(Code::Unexpected).await;
        assert!(reason.contains("must be hello"), "{reason}");
    }
    assert!(fixture.publisher.0.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn hello_must_come_within_its_time() {
    let fixture = Fixture::new();
    let began = tokio::time::Instant::now();
    fixture.connect().expect_cut(Code::Timeout).await;
    let mut half = fixture.connect();
    half.raw(&octets(1, hello("lb-a"))[..50]).await;
    half.expect_cut(Code::Timeout).await;
    assert!(began.elapsed() < Duration::from_secs(13));
}

#[tokio::test(start_paused = true)]
async fn garbage_is_cut_with_a_reason_and_others_are_served() {
    let mut fixture = Fixture::new();
    let mut good = fixture.session("lb-good").await;
    let mut zeroes = fixture.connect();
    zeroes.raw(&[0; 48]).await;
    let reason = zeroes.expect_cut(Code::Malformed).await;
    assert!(reason.contains("not the map protocol"), "{reason}");
    let mut http = fixture.connect();
    http.raw(b"GET / HTTP/1.1\r\nHost: dns-b.example\r\nAccept: */*\r\n\r\n")
        .await;
    http.expect_cut(Code::Malformed).await;
    let mut later = fixture.session("lb-bad").await;
    later.raw(&[0xFF; 500]).await;
    later.expect_cut(Code::Malformed).await;
    fixture.expect_served(&mut good, "lb-good").await;
}

#[tokio::test(start_paused = true)]
async fn half_a_message_and_then_silence_is_cut() {
    let mut fixture = Fixture::new();
    let mut good = fixture.session("lb-good").await;
    for cut_at in [1, 47, 48, 79] {
        let mut peer = fixture.session("lb-half").await;
        peer.raw(&octets(2, announce([1, 2, 3]))[..cut_at]).await;
        peer.expect_cut(Code::Timeout).await;
        let renewal = good.say(Message::Renew(None)).await;
        fixture.publisher.expect_renewal("lb-good").await;
        good.expect_ok(renewal).await;
    }
    fixture.expect_served(&mut good, "lb-good").await;
}

#[tokio::test(start_paused = true)]
async fn a_message_octet_by_octet_is_understood_if_quick_enough() {
    let mut fixture = Fixture::new();
    let mut peer = fixture.session("lb-a").await;
    for octet in octets(2, announce([1, 2])) {
        peer.raw(&[octet]).await;
        advance(Duration::from_millis(10)).await;
    }
    fixture.publisher.answer_announce("lb-a", Ok(())).await;
    peer.expect_ok(2).await;
    // And no slower than that: each octet in time does not make the whole.
    for octet in octets(3, announce([1, 2])) {
        if !peer.raw_if_taken(&[octet]).await {
            break;
        }
        advance(Duration::from_millis(200)).await;
    }
    peer.expect_cut(Code::Timeout).await;
}

#[tokio::test(start_paused = true)]
async fn versions_not_spoken_are_refused_as_such() {
    let fixture = Fixture::new();
    let mut header_2 = fixture.connect();
    let mut frame = octets(1, hello("lb-a"));
    frame[2] = 2;
    header_2.raw(&frame).await;
    header_2.expect_cut(Code::UnsupportedVersion).await;
    let mut offers_0 = fixture.connect();
    let mut frame = octets(1, hello("lb-a"));
    frame[48] = 0;
    offers_0.raw(&frame).await;
    offers_0.expect_cut(Code::UnsupportedVersion).await;
    let mut offers_9 = fixture.connect();
    let mut frame = octets(1, hello("lb-a"));
    frame[48] = 9;
    offers_9.raw(&frame).await;
    // Version 1 is chosen of 1 to 9.
    let answer = offers_9.hear().await;
    assert_eq!(answer.encode()[48], 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_larger_than_its_type_allows_is_refused_before_it_comes() {
    let mut fixture = Fixture::new();
    for (message, body_len) in [
        (announce([1]), u16::MAX),
        (announce([1]), (MAX_MESSAGE_LEN - 48 + 16) as u16),
        (announce([1]), 15),
        (Message::Renew(None), 1),
        (hello("lb-a"), 256),
    ] {
        let mut peer = fixture.session("lb-big").await;
        let mut frame = octets(2, message);
        frame[6..8].copy_from_slice(&body_len.to_be_bytes());
        peer.raw(&frame[..48]).await;
        peer.expect_cut(Code::Malformed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_cut_and_others_are_served() {
    let mut fixture = Fixture::new();
    let mut good = fixture.session("lb-good").await;
    let mut flood = fixture.session("lb-flood").await;
    let taker = tokio::spawn(async move {
        let mut publisher = fixture.publisher;
        let mut renewals = 0;
        while let Event::Renew { .. } = publisher.next().await {
            renewals += 1;
        }
        (
            renewals,
            Fixture {
                server: fixture.server,
                publisher,
            },
        )
    });
    for _ in 0..600 {
        flood.say(Message::Renew(None)).await;
    }
    flood.expect_cut(Code::TooManyMessages).await;
    // Ends the taker; its sender is dropped unanswered, as it is no renewal.
    good.say(announce([1])).await;
    let (renewals, _fixture) = taker.await.unwrap();
    assert!((399..=400).contains(&renewals), "{renewals}");
}

#[tokio::test(start_paused = true)]
async fn a_steady_stream_below_the_limit_is_served() {
    let mut fixture = Fixture::new();
    let mut peer = fixture.session("lb-a").await;
    for _ in 0..2000 {
        let sequence = peer.say(Message::Renew(None)).await;
        fixture.publisher.expect_renewal("lb-a").await;
        peer.expect_ok(sequence).await;
        advance(Duration::from_millis(6)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_cut_and_others_are_served() {
    let mut fixture = Fixture::new();
    let mut good = fixture.session("lb-good").await;
    let (mut slow, session) = fixture.connect_with_buffer(128);
    slow.open("lb-slow").await;
    fixture.publisher.expect_renewal("lb-slow").await;
    for _ in 0..3 {
        slow.say(Message::Renew(None)).await;
        fixture.publisher.expect_renewal("lb-slow").await;
    }
    // Two answers of 53 octets fit, the third does not.
    fixture.expect_served(&mut good, "lb-good").await;
    tokio::time::timeout(Duration::from_secs(6), session)
        .await
        .unwrap()
        .unwrap();
    slow.expect_ok(2).await;
    slow.expect_ok(3).await;
    let rest = slow.hear_or().await;
    assert!(rest.is_err(), "{rest:?} within a message half written");
    fixture.expect_served(&mut good, "lb-good").await;
}

#[tokio::test(start_paused = true)]
async fn no_error_message_stands_within_another_message() {
    let mut fixture = Fixture::new();
    let (mut slow, _session) = fixture.connect_with_buffer(128);
    slow.open("lb-a").await;
    fixture.publisher.expect_renewal("lb-a").await;
    for _ in 0..3 {
        slow.say(Message::Renew(None)).await;
        fixture.publisher.expect_renewal("lb-a").await;
    }
    // The third answer is half written when the session is replaced.
    let mut new = fixture.session("lb-a").await;
    slow.expect_ok(2).await;
    slow.expect_ok(3).await;
    let rest = slow.hear_or().await;
    assert!(matches!(rest, Err(ReadError::ClosedWithin)), "{rest:?}");
    fixture.expect_served(&mut new, "lb-a").await;
}

#[tokio::test(start_paused = true)]
async fn silence_for_three_leases_is_cut() {
    let mut fixture = Fixture::new();
    let mut peer = fixture.session("lb-a").await;
    let began = tokio::time::Instant::now();
    peer.expect_cut(Code::Timeout).await;
    let silence = began.elapsed();
    assert!(silence >= LEASE * 3 && silence < LEASE * 4, "{silence:?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_has_one_session_the_newest() {
    let mut fixture = Fixture::new();
    let mut other = fixture.session("lb-other").await;
    let mut old = fixture.session("lb-a").await;
    old.say(announce([1])).await;
    let Event::Announce {
        done: unanswered, ..
    } = fixture.publisher.next().await
    else {
        panic!("no announcement");
    };
    let mut new = fixture.session("lb-a").await;
    let reason = old.expect_cut(Code::Replaced).await;
    assert!(reason.contains("one node, one name"), "{reason}");
    assert!(
        unanswered.is_closed(),
        "the old session still waits for its answer"
    );
    fixture.expect_served(&mut new, "lb-a").await;
    fixture.expect_served(&mut other, "lb-other").await;
}

#[tokio::test(start_paused = true)]
async fn messages_that_belong_elsewhere_are_cut() {
    let mut fixture = Fixture::new();
    let hello_ack = Message::HelloAck {
        node: "lb-a".parse().unwrap(),
        lease: LEASE,
    };
    for message in [hello("lb-a"), hello_ack, ok(1)] {
        let mut peer = fixture.session("lb-a").await;
        peer.say(message).await;
        peer.expect_cut(Code::Unexpected).await;
    }
}

#[tokio::test(start_paused = true)]
async fn numbers_follow_each_other_within_one_epoch() {
    let mut fixture = Fixture::new();
    for (sequence, epoch, code) in [(1, EPOCH, "number 1"), (3, EPOCH, "number 3")] {
        let mut peer = fixture.session("lb-a").await;
        peer.raw(
            &Frame {
                sequence,
                epoch,
                message: Message::Renew(None),
            }
            .encode(),
        )
        .await;
        let reason = peer.expect_cut(Code::Malformed).await;
        assert!(reason.contains(code), "{reason}");
    }
    let mut peer = fixture.session("lb-a").await;
    let other_epoch = Frame {
        sequence: 2,
        epoch: EPOCH + 1,
        message: Message::Renew(None),
    };
    peer.raw(&other_epoch.encode()).await;
    assert!(peer.expect_cut(Code::Malformed).await.contains("epoch"));
    // A later connection may go on where an earlier one ended, over the end of 32 bits too.
    let mut peer = fixture.connect();
    peer.sequence = u32::MAX - 1;
    peer.open("lb-a").await;
    fixture.publisher.expect_renewal("lb-a").await;
    peer.sequence = 0;
    let sequence = peer.say(Message::Renew(None)).await;
    fixture.publisher.expect_renewal("lb-a").await;
    peer.expect_ok(sequence).await;
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_does_not_answer_costs_the_session() {
    let mut fixture = Fixture::new();
    let mut peer = fixture.session("lb-a").await;
    peer.say(announce([1])).await;
    let Event::Announce { done, .. } = fixture.publisher.next().await else {
        panic!("no announcement");
    };
    peer.expect_cut(Code::Internal).await;
    drop(done);
    let mut peer = fixture.session("lb-a").await;
    peer.say(withdraw([1])).await;
    drop(fixture.publisher.next().await);
    peer.expect_cut(Code::Internal).await;
    let Fixture { server, publisher } = fixture;
    drop(publisher);
    let mut peer = Fixture {
        server,
        publisher: Publisher(mpsc::channel(1).1),
    }
    .connect();
    peer.say(hello("lb-a")).await;
    peer.expect_cut(Code::Internal).await;
}

#[tokio::test(start_paused = true)]
async fn stopping_is_said_before_and_after_hello() {
    let mut fixture = Fixture::new();
    let mut peer = fixture.session("lb-a").await;
    let mut waiting = fixture.connect();
    fixture.server.stop.cancel();
    peer.expect_cut(Code::Stopping).await;
    waiting.expect_cut(Code::Stopping).await;
}

/// Over TCP, with the listener.
mod tcp {
    use super::*;

    async fn listen(limits: Limits) -> (SocketAddr, Publisher, CancellationToken, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (events, receiver) = mpsc::channel(4);
        let stop = CancellationToken::new();
        let name = "dns-b.example".parse().unwrap();
        let task = tokio::spawn(serve_within(
            limits,
            listener,
            name,
            LEASE,
            events,
            stop.clone(),
        ));
        (address, Publisher(receiver), stop, task)
    }

    async fn connect(address: SocketAddr) -> Peer<TcpStream> {
        Peer::new(TcpStream::connect(address).await.unwrap())
    }

    #[tokio::test]
    async fn too_many_connections_are_told_so_and_the_good_session_goes_on() {
        let limits = Limits {
            connections_per_source: 3,
            ..Limits::default()
        };
        let (address, mut publisher, stop, task) = listen(limits).await;
        let mut good = connect(address).await;
        good.open("lb-good").await;
        publisher.expect_renewal("lb-good").await;
        let idle = [connect(address).await, connect(address).await];
        for _ in 0..20 {
            let mut refused = connect(address).await;
            let reason = refused.expect_cut(Code::TooManyConnections).await;
            assert!(reason.starts_with("127.0.0.1 has 3"), "{reason}");
        }
        let sequence = good.say(announce([1])).await;
        publisher.answer_announce("lb-good", Ok(())).await;
        good.expect_ok(sequence).await;
        drop(idle);
        // The places are free again once the server has seen the peers go.
        let mut late = loop {
            let mut late = connect(address).await;
            late.say(hello("lb-late")).await;
            if let Ok(Frame {
                message: Message::HelloAck { .. },
                ..
            }) = late.hear_or().await
            {
                break late;
            }
            tokio::task::yield_now().await;
        };
        publisher.expect_renewal("lb-late").await;
        stop.cancel();
        task.await.unwrap();
        good.expect_cut(Code::Stopping).await;
        late.expect_cut(Code::Stopping).await;
    }

    #[tokio::test]
    async fn bad_peers_of_all_kinds_at_once_and_a_good_one() {
        let (address, mut publisher, stop, task) = listen(Limits::default()).await;
        let mut good = connect(address).await;
        good.open("lb-good").await;
        publisher.expect_renewal("lb-good").await;
        let garbage = tokio::spawn(async move {
            let mut peer = connect(address).await;
            peer.raw_if_taken(&[0xA5; 100_000]).await;
            peer.expect_cut(Code::Malformed).await;
        });
        let vanished = tokio::spawn(async move {
            for _ in 0..30 {
                let mut peer = connect(address).await;
                peer.raw(&octets(1, hello("lb-half"))[..20]).await;
            }
        });
        let oversized = tokio::spawn(async move {
            let mut peer = connect(address).await;
            let mut frame = octets(1, hello("lb-big"));
            frame[6] = 0xFF;
            peer.raw(&frame).await;
            peer.expect_cut(Code::Malformed).await;
        });
        for _ in 0..100 {
            let sequence = good.say(announce([1, 2])).await;
            publisher.answer_announce("lb-good", Ok(())).await;
            good.expect_ok(sequence).await;
        }
        for bad in [garbage, vanished, oversized] {
            bad.await.unwrap();
        }
        stop.cancel();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_flood_over_tcp_hears_the_reason() {
        let (address, mut publisher, stop, task) = listen(Limits::default()).await;
        let drain = tokio::spawn(async move { while publisher.0.recv().await.is_some() {} });
        let mut flood = connect(address).await;
        flood.open("lb-flood").await;
        let mut burst = Vec::new();
        for sequence in 2..3000 {
            burst.extend(octets(sequence, Message::Renew(None)));
        }
        flood.raw_if_taken(&burst).await;
        flood.expect_cut(Code::TooManyMessages).await;
        stop.cancel();
        task.await.unwrap();
        drain.await.unwrap();
    }
}
