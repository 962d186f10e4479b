//! The DNS-LB's side against DNS-Bs that behave and DNS-Bs that do not, and both sides together.

use tokio::{
    io::DuplexStream,
    net::TcpListener,
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, advance},
};

use super::*;
use crate::{
    config::ResolverSource,
    event::{Event, Rejection},
    map_protocol::{
        Code, GOODBYE_TIMEOUT, PUBLISH_TIMEOUT,
        frames::ReadError,
        message::{Frame, Message},
        serve,
        testing::{
            LB_ADDRESS, Peer, Publisher, announce, claim, hello, hello_ack, ok, refusal, resolvers,
            withdraw,
        },
        wire::VERSION,
    },
    resolvers::follow,
};

const RENEW: Duration = Duration::from_secs(3);
const LEASE: Duration = Duration::from_secs(10);

/// A client whose connections are handed to it.
struct Fixture {
    client: Option<Client>,
    list: watch::Sender<Vec<IpAddr>>,
    status: watch::Receiver<Status>,
    stop: CancellationToken,
}

type Running = JoinHandle<(Client, Lost)>;

impl Fixture {
    fn new(listed: Vec<IpAddr>) -> Self {
        let (list, resolvers) = watch::channel(listed);
        let (status_sender, status) = watch::channel(Status::default());
        let client = Client {
            dns_b: "192.0.2.1:5353".parse().unwrap(),
            identity: Identity::new("lb-a".parse().unwrap(), LB_ADDRESS).unwrap(),
            renew: RENEW,
            resolvers,
            status: status_sender,
            ledger: Ledger::new(),
            last_trouble: None,
        };
        Self {
            client: Some(client),
            list,
            status,
            stop: CancellationToken::new(),
        }
    }

    /// A connection; the test is the DNS-B.
    fn connect(&mut self) -> (Peer<DuplexStream>, Running) {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let mut client = self.client.take().unwrap();
        let mut dns_b = Peer::new(ours);
        dns_b.epoch = client.ledger.epoch;
        let stop = self.stop.clone();
        let running = tokio::spawn(async move {
            let lost = session::run(&mut client, theirs, &stop).await;
            (client, lost)
        });
        (dns_b, running)
    }

    /// A session after hello.
    async fn session(&mut self, lease: Duration) -> (Peer<DuplexStream>, Running) {
        let (mut dns_b, running) = self.connect();
        assert_eq!(dns_b.hear().await.message, hello("lb-a"));
        dns_b.say(hello_ack("dns-b.example", lease)).await;
        (dns_b, running)
    }
}

/// The next message that is no renewal; renewals are acknowledged.
async fn next_change(dns_b: &mut Peer<DuplexStream>) -> Frame {
    loop {
        let frame = dns_b.hear().await;
        if !matches!(frame.message, Message::Renew(_)) {
            return frame;
        }
        dns_b.say(ok(frame.sequence)).await;
    }
}

async fn accept(dns_b: &mut Peer<DuplexStream>, change: Message) {
    let frame = next_change(dns_b).await;
    assert_eq!(frame.message, change);
    dns_b.say(ok(frame.sequence)).await;
}

async fn wait_for(
    status: &mut watch::Receiver<Status>,
    wanted: impl Fn(&Status) -> bool,
) -> Status {
    let waited = timeout(Duration::from_secs(60), status.wait_for(wanted)).await;
    waited.expect("the status never came").unwrap().clone()
}

fn effective(count: usize) -> impl Fn(&Status) -> bool {
    move |status| matches!(status, Status::Effective { resolvers, .. } if *resolvers == count)
}

#[tokio::test(start_paused = true)]
async fn all_are_announced_then_the_differences() {
    let mut fixture = Fixture::new(resolvers([2, 1, 2]));
    let (mut dns_b, _running) = fixture.session(LEASE).await;
    let first = next_change(&mut dns_b).await;
    assert_eq!(first.message, announce([1, 2]));
    assert!(matches!(*fixture.status.borrow(), Status::Connected { .. }));
    dns_b.say(ok(first.sequence)).await;
    wait_for(&mut fixture.status, effective(2)).await;
    fixture.list.send_replace(resolvers([2, 3]));
    accept(&mut dns_b, announce([3])).await;
    accept(&mut dns_b, withdraw([1])).await;
    wait_for(&mut fixture.status, effective(2)).await;
    fixture.list.send_replace(Vec::new());
    accept(&mut dns_b, withdraw([2, 3])).await;
    wait_for(&mut fixture.status, effective(0)).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_unicast_is_never_announced() {
    let odd = ["0.0.0.0", "224.0.0.1", "255.255.255.255", "10.0.0.1"];
    let mut fixture = Fixture::new(odd.map(|address| address.parse().unwrap()).to_vec());
    let (mut dns_b, _running) = fixture.session(LEASE).await;
    accept(&mut dns_b, announce([1])).await;
    wait_for(&mut fixture.status, effective(1)).await;
    assert!(Identity::new("lb-a".parse().unwrap(), Ipv4Addr::BROADCAST).is_err());
}

#[tokio::test(start_paused = true)]
async fn many_resolvers_come_in_several_messages_no_faster_than_allowed() {
    let many: Vec<_> = (0..5000_u32)
        .map(|n| Ipv4Addr::from(0x0A00_0000 + n).into())
        .collect();
    let mut fixture = Fixture::new(many.clone());
    let (mut dns_b, _running) = fixture.session(LEASE).await;
    let began = Instant::now();
    let mut announced = Vec::new();
    for _ in 0..5 {
        let frame = next_change(&mut dns_b).await;
        let Message::Announce(claim) = &frame.message else {
            panic!("{frame:?}")
        };
        announced.extend_from_slice(claim.resolvers());
        dns_b.say(ok(frame.sequence)).await;
    }
    assert_eq!(announced, many);
    assert!(began.elapsed() >= Duration::from_millis(40));
    wait_for(&mut fixture.status, effective(5000)).await;
}

#[tokio::test(start_paused = true)]
async fn renewals_come_as_often_as_set_or_as_the_lease_demands() {
    for (lease, every) in [
        (LEASE, RENEW),
        (Duration::from_secs(3), Duration::from_secs(1)),
    ] {
        let mut fixture = Fixture::new(Vec::new());
        let (mut dns_b, _running) = fixture.session(lease).await;
        let mut last = None;
        for _ in 0..5 {
            let frame = dns_b.hear().await;
            assert_eq!(frame.message, Message::Renew(None));
            dns_b.say(ok(frame.sequence)).await;
            let now = Instant::now();
            if let Some(last) = last.replace(now) {
                let pause = now - last;
                assert!(
                    pause >= every && pause < every + Duration::from_millis(50),
                    "{pause:?}"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_tiny_lease_does_not_make_a_flood() {
    let mut fixture = Fixture::new(Vec::new());
    let (mut dns_b, _running) = fixture.session(Duration::from_millis(1)).await;
    let began = Instant::now();
    for _ in 0..20 {
        let renewal = dns_b.hear().await.sequence;
        dns_b.say(ok(renewal)).await;
    }
    assert!(began.elapsed() >= Duration::from_millis(1900));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_shown_and_retried_slowly_or_when_the_list_changes() {
    let mut fixture = Fixture::new(resolvers([1]));
    let (mut dns_b, _running) = fixture.session(LEASE).await;
    let first = next_change(&mut dns_b).await;
    dns_b
        .say(refusal(
            first.sequence,
            Code::UnknownNode,
            "no \"lb-a\" here\n",
        ))
        .await;
    let refused = wait_for(&mut fixture.status, |s| matches!(s, Status::Refused { .. })).await;
    let Status::Refused {
        dns_b: name,
        reason,
    } = refused
    else {
        panic!("{refused:?}")
    };
    assert_eq!(name.as_str(), "dns-b.example");
    assert_eq!(reason, r#"unknown-node: no \"lb-a\" here\n"#);
    let refused_at = Instant::now();
    let second = next_change(&mut dns_b).await;
    assert_eq!(second.message, announce([1]));
    assert!(refused_at.elapsed() >= Duration::from_secs(30));
    dns_b
        .say(refusal(second.sequence, Code::Other(200), ""))
        .await;
    let refused_at = Instant::now();
    fixture.list.send_replace(resolvers([1, 2]));
    accept(&mut dns_b, announce([1, 2])).await;
    assert!(refused_at.elapsed() < Duration::from_secs(1));
    wait_for(&mut fixture.status, effective(2)).await;
}

#[tokio::test(start_paused = true)]
async fn the_next_session_announces_all_anew_and_numbers_on() {
    let mut fixture = Fixture::new(resolvers([1, 2]));
    let (mut dns_b, running) = fixture.session(LEASE).await;
    accept(&mut dns_b, announce([1, 2])).await;
    wait_for(&mut fixture.status, effective(2)).await;
    drop(dns_b);
    let (client, lost) = running.await.unwrap();
    assert!(matches!(lost, Lost::Read(ReadError::Closed)), "{lost}");
    let last = client.ledger.last_sequence;
    fixture.client = Some(client);
    fixture.list.send_replace(resolvers([2]));
    let (mut dns_b, _running) = fixture.connect();
    assert_eq!(dns_b.hear().await.sequence, last + 1);
    dns_b.say(hello_ack("dns-b.example", LEASE)).await;
    accept(&mut dns_b, announce([2])).await;
    accept(&mut dns_b, withdraw([1])).await;
}

#[tokio::test(start_paused = true)]
async fn a_dns_b_that_answers_hello_wrongly_is_left() {
    let ack = |lease| hello_ack("dns-b.example", lease);
    for (what, message, code) in [
        ("acknowledge", ok(1), Some(Code::Unexpected)),
        ("hello", hello("dns-b.example"), Some(Code::Unexpected)),
        ("announce", announce([1]), Some(Code::Unexpected)),
        (
            "error",
            Message::Error {
                code: Code::TooManyConnections,
                reason: Default::default(),
            },
            None,
        ),
    ] {
        let mut fixture = Fixture::new(resolvers([1]));
        let (mut dns_b, running) = fixture.connect();
        dns_b.hear().await;
        dns_b.say(message).await;
        match code {
            Some(code) => drop(dns_b.expect_cut(code).await),
            None => dns_b.expect_closed().await,
        }
        let (_, lost) = running.await.unwrap();
        assert_eq!(
            matches!(lost, Lost::Cut(Code::TooManyConnections, _)),
            code.is_none(),
            "{what}"
        );
        assert_eq!(*fixture.status.borrow(), Status::Disconnected);
    }
    for (octet, value, code) in [
        (0, 0, Code::Malformed),
        (2, VERSION + 1, Code::UnsupportedVersion),
        (48, VERSION + 1, Code::UnsupportedVersion),
        (15, 0x55, Code::Malformed),
        (40, 1, Code::Malformed),
    ] {
        let mut fixture = Fixture::new(resolvers([1]));
        let (mut dns_b, running) = fixture.connect();
        dns_b.hear().await;
        let frame = Frame {
            sequence: 1,
            epoch: dns_b.epoch & !0xFF,
            message: ack(LEASE),
        };
        let mut octets = frame.encode();
        octets[octet] = value;
        if octet != 15 {
            octets[12..16].copy_from_slice(&dns_b.epoch.to_be_bytes());
        } else {
            octets[12] ^= 0xFF;
        }
        dns_b.raw(&octets).await;
        dns_b.expect_cut(code).await;
        running.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn hello_without_answer_is_given_up() {
    let mut fixture = Fixture::new(resolvers([1]));
    let (mut dns_b, running) = fixture.connect();
    dns_b.hear().await;
    let began = Instant::now();
    dns_b.raw(&[0xD6]).await;
    dns_b.expect_cut(Code::Timeout).await;
    drop(dns_b);
    let (_, lost) = running.await.unwrap();
    assert!(
        matches!(lost, Lost::NoHelloAck | Lost::Read(ReadError::Unfinished)),
        "{lost}"
    );
    assert!(began.elapsed() < Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn a_dns_b_that_hangs_is_left_within_about_a_lease() {
    let mut fixture = Fixture::new(Vec::new());
    let (mut dns_b, running) = fixture.session(LEASE).await;
    let began = Instant::now();
    let renewal = dns_b.hear().await;
    assert_eq!(renewal.message, Message::Renew(None));
    dns_b.expect_cut(Code::Timeout).await;
    assert!(
        began.elapsed() <= LEASE + GOODBYE_TIMEOUT,
        "{:?}",
        began.elapsed()
    );
    let (_, lost) = running.await.unwrap();
    assert!(
        matches!(lost, Lost::NoAnswer(sequence) if sequence == renewal.sequence),
        "{lost}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_announcement_may_take_the_publishers_time_but_not_for_ever() {
    let mut fixture = Fixture::new(resolvers([1]));
    let (mut dns_b, running) = fixture.session(LEASE).await;
    let began = Instant::now();
    // The DNS-B reads on, and answers nothing.
    let reason = loop {
        let message = dns_b.hear().await.message;
        if let Message::Error { code, reason } = message {
            assert_eq!(code, Code::Timeout);
            break reason;
        }
    };
    assert!(
        began.elapsed() >= LEASE,
        "{reason:?} after {:?}",
        began.elapsed()
    );
    assert!(began.elapsed() <= LEASE + PUBLISH_TIMEOUT + GOODBYE_TIMEOUT);
    drop(dns_b);
    let (_, lost) = running.await.unwrap();
    assert!(matches!(lost, Lost::NoAnswer(_)), "{lost}");
}

#[tokio::test(start_paused = true)]
async fn acknowledgements_of_nothing_and_other_nonsense_end_the_session() {
    for (message, code) in [
        (ok(4711), Code::Malformed),
        (refusal(4711, Code::TableFull, "full"), Code::Malformed),
        (hello_ack("dns-b.example", LEASE), Code::Unexpected),
        (Message::Withdraw(claim([1])), Code::Unexpected),
        (Message::Renew(None), Code::Unexpected),
    ] {
        let mut fixture = Fixture::new(resolvers([1]));
        let (mut dns_b, running) = fixture.session(LEASE).await;
        accept(&mut dns_b, announce([1])).await;
        dns_b.say(message).await;
        loop {
            match dns_b.hear().await.message {
                Message::Error { code: said, .. } => break assert_eq!(said, code),
                Message::Renew(_) => (),
                other => panic!("{other:?}"),
            }
        }
        drop(dns_b);
        running.await.unwrap();
    }
    let mut fixture = Fixture::new(resolvers([1]));
    let (mut dns_b, running) = fixture.session(LEASE).await;
    let change = next_change(&mut dns_b).await;
    dns_b.sequence += 1;
    dns_b.say(ok(change.sequence)).await;
    drop(dns_b);
    let (_, lost) = running.await.unwrap();
    assert!(matches!(lost, Lost::Sequence { .. }), "{lost}");
}

#[tokio::test(start_paused = true)]
async fn stopping_is_said_to_the_dns_b_without_a_withdrawal() {
    let mut fixture = Fixture::new(resolvers([1]));
    let (mut dns_b, running) = fixture.session(LEASE).await;
    accept(&mut dns_b, announce([1])).await;
    wait_for(&mut fixture.status, effective(1)).await;
    fixture.stop.cancel();
    loop {
        match dns_b.hear().await.message {
            Message::Error { code, .. } => break assert_eq!(code, Code::Stopping),
            Message::Renew(_) => (),
            other => panic!("{other:?}"),
        }
    }
    advance(Duration::from_secs(2)).await;
    let (_, lost) = running.await.unwrap();
    assert!(matches!(lost, Lost::Stopping), "{lost}");
}

/// Client and server over TCP.
mod both {
    use super::*;

    struct DnsB {
        address: SocketAddr,
        publisher: Publisher,
        stop: CancellationToken,
        task: JoinHandle<()>,
    }

    impl DnsB {
        async fn listen(address: &str) -> Self {
            let listener = TcpListener::bind(address).await.unwrap();
            let address = listener.local_addr().unwrap();
            let (events, receiver) = mpsc::channel(4);
            let stop = CancellationToken::new();
            let name = "dns-b.example".parse().unwrap();
            let task = tokio::spawn(serve(listener, name, LEASE, events, stop.clone()));
            Self {
                address,
                publisher: Publisher(receiver),
                stop,
                task,
            }
        }

        async fn stop(self) -> SocketAddr {
            self.stop.cancel();
            self.task.await.unwrap();
            self.address
        }
    }

    struct DnsLb {
        status: watch::Receiver<Status>,
        stop: CancellationToken,
        task: JoinHandle<()>,
    }

    impl DnsLb {
        fn start(dns_b: SocketAddr, name: &str, list: watch::Receiver<Vec<IpAddr>>) -> Self {
            let identity = Identity::new(name.parse().unwrap(), LB_ADDRESS).unwrap();
            let (sender, status) = watch::channel(Status::default());
            let stop = CancellationToken::new();
            let task = tokio::spawn(run_client(
                dns_b,
                identity,
                RENEW,
                list,
                sender,
                stop.clone(),
            ));
            Self { status, stop, task }
        }

        async fn stop(self) {
            self.stop.cancel();
            self.task.await.unwrap();
            assert_eq!(*self.status.borrow(), Status::Disconnected);
        }
    }

    #[tokio::test]
    async fn announced_effective_withdrawn() {
        let mut dns_b = DnsB::listen("127.0.0.1:0").await;
        let (list, receiver) = watch::channel(resolvers([1, 2]));
        let mut lb = DnsLb::start(dns_b.address, "LB-a", receiver);
        let Event::Announce {
            node,
            dns_lb,
            resolvers: announced,
            done,
        } = dns_b.publisher.next_change().await
        else {
            panic!("no announcement");
        };
        assert_eq!(
            (node.as_str(), dns_lb, announced),
            ("lb-a", LB_ADDRESS, resolvers([1, 2]))
        );
        let connected = wait_for(&mut lb.status, |s| *s != Status::Disconnected).await;
        assert!(
            matches!(connected, Status::Connected { .. }),
            "not effective yet: {connected:?}"
        );
        done.send(Ok(())).unwrap();
        wait_for(&mut lb.status, effective(2)).await;
        list.send_replace(resolvers([2]));
        assert_eq!(
            dns_b.publisher.answer_withdraw("lb-a").await,
            resolvers([1])
        );
        wait_for(&mut lb.status, effective(1)).await;
        lb.stop().await;
        dns_b.stop().await;
    }

    #[tokio::test]
    async fn a_rejection_comes_through_with_its_reason() {
        let mut dns_b = DnsB::listen("127.0.0.1:0").await;
        let (_list, receiver) = watch::channel(resolvers([1]));
        let mut lb = DnsLb::start(dns_b.address, "lb-x", receiver);
        let rejection = Rejection::UnknownNode("lb-x".into());
        dns_b
            .publisher
            .answer_announce("lb-x", Err(rejection.clone()))
            .await;
        let refused = wait_for(&mut lb.status, |s| matches!(s, Status::Refused { .. })).await;
        let Status::Refused { reason, .. } = refused else {
            panic!("{refused:?}")
        };
        assert!(
            reason.starts_with("unknown-node: no dns-lb named"),
            "{reason}"
        );
        lb.stop().await;
        dns_b.stop().await;
    }

    #[tokio::test]
    async fn all_is_announced_again_to_a_dns_b_that_was_restarted() {
        // Nobody listens at first.
        let address = DnsB::listen("127.0.0.1:0").await.stop().await;
        let (_list, receiver) = watch::channel(resolvers([1, 2]));
        let mut lb = DnsLb::start(address, "lb-a", receiver);
        for _ in 0..3 {
            let mut dns_b = DnsB::listen(&address.to_string()).await;
            let announced = dns_b.publisher.answer_announce("lb-a", Ok(())).await;
            assert_eq!(announced, resolvers([1, 2]));
            wait_for(&mut lb.status, effective(2)).await;
            dns_b.stop().await;
            wait_for(&mut lb.status, |s| *s == Status::Disconnected).await;
        }
        lb.stop().await;
    }

    #[tokio::test]
    async fn the_lines_of_a_resolv_conf_are_announced_and_withdrawn() {
        let mut dns_b = DnsB::listen("127.0.0.1:0").await;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("resolv.conf");
        std::fs::write(&path, "nameserver 10.0.0.1\nnameserver 10.0.0.2\n").unwrap();
        let stop = CancellationToken::new();
        let (list, task) = follow(&ResolverSource::ResolvConf(path.clone()), stop.clone()).await;
        let mut lb = DnsLb::start(dns_b.address, "lb-a", list);
        let announced = dns_b.publisher.answer_announce("lb-a", Ok(())).await;
        assert_eq!(announced, resolvers([1, 2]));
        wait_for(&mut lb.status, effective(2)).await;
        std::fs::write(&path, "nameserver 10.0.0.2\nnameserver 10.0.0.3\n").unwrap();
        assert_eq!(
            dns_b.publisher.answer_announce("lb-a", Ok(())).await,
            resolvers([3])
        );
        assert_eq!(
            dns_b.publisher.answer_withdraw("lb-a").await,
            resolvers([1])
        );
        wait_for(&mut lb.status, effective(2)).await;
        stop.cancel();
        task.await.unwrap();
        lb.stop().await;
        dns_b.stop().await;
    }
}
