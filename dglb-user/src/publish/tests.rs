//! The publisher over tables in memory.

use std::cell::Cell;

use dglb_common::{
    client::Client,
    layout::{KIND_A, KIND_AAAA, ranking_place},
};

use super::*;
use crate::capacity::{DEFAULT_RESOLVERS, TableFull};
use crate::event::Selection;

const DNS_B: &str = include_str!("../../../docs/examples/dns-b.toml");
const DNS_LB: &str = include_str!("../../../docs/examples/dns-lb.toml");
/// Addresses of the two DNS-LBs in the example.
const LB1: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const LB2: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
const RESOLVER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 53));
/// Longer than any lease.
const LONG: u64 = 3_600_000_000_000;

fn publisher(toml: &str) -> Publisher {
    let config = Config::from_text("node.toml", toml).expect("an example");
    let built = build::build(&config, Default::default(), &build::Restored::default());
    let (tables, held) = built.expect("it fits").divide();
    Publisher::new(
        Arc::new(config),
        Arc::new(RwLock::new(tables)),
        held,
        Box::new(InMemory),
        mpsc::channel(4).0,
        Timings::default(),
    )
}

/// The index of the DNS-LB that serves for `source`.
fn served_by(publisher: &Publisher, source: IpAddr) -> Option<u32> {
    let tables = publisher.tables();
    tables.serving(tables.vantage_of(source))
}

/// The last octets of the only record that a client is answered with, as long as an address.
fn address(publisher: &Publisher, kind: u32, client: Client) -> Vec<u8> {
    let tables = publisher.tables();
    let (answer, _) = tables.answer(0, 0, kind, client).expect("an answer");
    let end = usize::from(answer.len);
    let octets = if kind == KIND_A { 4 } else { 16 };
    answer.octets[end - octets..end].to_vec()
}

const CLIENT: Client = Client::v4([192, 0, 2, 1]);

#[test]
fn an_announced_resolver_is_mapped_until_it_is_withdrawn_by_its_own() {
    let mut publisher = publisher(DNS_B);
    assert_eq!(served_by(&publisher, RESOLVER), Some(0), "the default");
    assert_eq!(
        publisher.announce("lb2.isp2.example", LB2, &[RESOLVER]),
        Ok(())
    );
    assert_eq!(served_by(&publisher, RESOLVER), Some(1));
    assert_eq!(publisher.withdraw("lb1.isp1.example", &[RESOLVER]), Ok(()));
    assert_eq!(
        served_by(&publisher, RESOLVER),
        Some(1),
        "not lb1's to give up"
    );
    assert_eq!(publisher.withdraw("lb2.isp2.example", &[RESOLVER]), Ok(()));
    assert_eq!(served_by(&publisher, RESOLVER), Some(0));
}

#[test]
fn a_resolver_by_ipv6_has_its_whole_network_and_no_more() {
    let mut publisher = publisher(DNS_B);
    let at = |text: &str| -> IpAddr { text.parse().expect(text) };
    let announced = [at("2001:db8:0:7::53"), at("2001:db8:0:7::54")];
    assert_eq!(
        publisher.announce("lb2.isp2.example", LB2, &announced),
        Ok(())
    );
    assert_eq!(publisher.tables().resolvers.len(), 1);
    assert_eq!(served_by(&publisher, at("2001:db8:0:7:1234::1")), Some(1));
    assert_eq!(served_by(&publisher, at("2001:db8:0:8::53")), Some(0));
    assert_eq!(
        publisher.withdraw("lb2.isp2.example", &announced[..1]),
        Ok(())
    );
    assert_eq!(served_by(&publisher, announced[1]), Some(0));
}

#[test]
fn a_full_table_takes_what_it_knows_and_nothing_new() {
    let mut publisher = publisher(DNS_B);
    publisher
        .tables
        .write()
        .expect("not poisoned")
        .room
        .resolvers = 1;
    let other = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 54));
    assert_eq!(
        publisher.announce("lb2.isp2.example", LB2, &[RESOLVER]),
        Ok(())
    );
    assert_eq!(
        publisher.announce("lb1.isp1.example", LB1, &[RESOLVER]),
        Ok(())
    );
    let refused = publisher.announce("lb1.isp1.example", LB1, &[RESOLVER, other]);
    assert_eq!(
        refused,
        Err(Rejection::Full(TableFull::Resolvers {
            size: 1,
            needed: None
        }))
    );
    assert_eq!(publisher.tables().resolvers.len(), 1);
    assert_eq!(
        self::publisher(DNS_B).tables().room.resolvers,
        DEFAULT_RESOLVERS
    );
}

#[test]
fn a_stranger_is_refused_and_changes_nothing() {
    let mut publisher = publisher(DNS_B);
    let refused = publisher.announce("lb9.isp9.example", LB2, &[RESOLVER]);
    assert_eq!(
        refused,
        Err(Rejection::UnknownNode("lb9.isp9.example".to_owned()))
    );
    publisher.renew("lb9.isp9.example");
    assert_eq!(served_by(&publisher, RESOLVER), Some(0));
}

#[test]
fn a_node_at_another_address_is_not_up() {
    let mut publisher = publisher(DNS_B);
    publisher.renew("lb1.isp1.example");
    assert_eq!(
        publisher.announce("lb2.isp2.example", LB2, &[RESOLVER]),
        Ok(())
    );
    let deadline = |publisher: &Publisher| publisher.tables().vantages[1].deadline;
    let before = deadline(&publisher);
    assert_ne!(before, 0, "it has a lease");
    let refused = publisher.announce("lb2.isp2.example", LB1, &[RESOLVER]);
    assert!(
        matches!(refused, Err(Rejection::OtherAddress { .. })),
        "{refused:?}"
    );
    publisher.leases.expire(monotonic_ns() + LONG);
    publisher.renew("lb2.isp2.example");
    assert_eq!(
        deadline(&publisher),
        before,
        "its renewal did not count, so nothing was written"
    );
    assert_eq!(
        publisher.announce("lb2.isp2.example", LB2, &[RESOLVER]),
        Ok(())
    );
    assert_eq!(served_by(&publisher, RESOLVER), Some(1), "it is back");
}

#[test]
fn the_backup_serves_once_the_heartbeat_is_behind_the_deadline() {
    let named = DNS_B.replacen(
        "address = \"203.0.113.7\"",
        "address = \"203.0.113.7\"\nbackup = \"lb1.isp1.example\"",
        1,
    );
    let mut publisher = publisher(&named);
    publisher.renew("lb1.isp1.example");
    assert_eq!(
        publisher.announce("lb2.isp2.example", LB2, &[RESOLVER]),
        Ok(())
    );
    publisher.tick(&Counters::default());
    assert_eq!(served_by(&publisher, RESOLVER), Some(1));
    let later = monotonic_ns() + LONG;
    publisher.tables.write().expect("not poisoned").heartbeat = later;
    assert_eq!(served_by(&publisher, RESOLVER), Some(0), "nobody wrote");
}

#[test]
fn the_address_follows_what_is_to_be_served() {
    let mut publisher = publisher(DNS_LB);
    publisher.serve(0, 0, &Serving::both(Selection::List(vec![1]), 60));
    assert_eq!(
        address(&publisher, KIND_A, CLIENT),
        [203, 0, 113, 80],
        "tokyo"
    );
    publisher.serve(0, 0, &Serving::both(Selection::List(vec![0]), 60));
    assert_eq!(
        address(&publisher, KIND_A, CLIENT),
        [192, 0, 2, 80],
        "frankfurt"
    );
}

#[test]
fn a_query_for_what_is_watched_is_told_once() {
    let mut publisher = publisher(DNS_LB);
    let (sender, mut asked) = mpsc::channel(4);
    publisher.tell(sender);
    publisher.serve(0, 0, &Serving::both(Selection::List(vec![0]), 60));
    publisher.take(Event::Watch { service: 0 });
    let group = publisher.services[0].as_ref().expect("a service").group;
    let is_watched = |publisher: &Publisher| {
        let tables = publisher.tables();
        [KIND_A, KIND_AAAA].map(|kind| tables.word(0, group, kind).is_watched())
    };
    assert_eq!(is_watched(&publisher), [true, true]);
    publisher.serve(0, 0, &Serving::both(Selection::List(vec![1]), 60));
    assert_eq!(is_watched(&publisher), [true, true], "whatever is served");
    assert_eq!(address(&publisher, KIND_A, CLIENT), [203, 0, 113, 80]);
    for _ in 0..3 {
        publisher.take(Event::Asked { group });
    }
    assert_eq!(is_watched(&publisher), [false, false]);
    assert_eq!(asked.try_recv(), Ok(Asked(0)));
    assert!(asked.try_recv().is_err(), "once");
    assert_eq!(address(&publisher, KIND_A, CLIENT), [203, 0, 113, 80]);
}

#[test]
fn without_room_to_tell_a_query_what_is_watched_stays_so() {
    let mut publisher = publisher(DNS_LB);
    let (sender, mut asked) = mpsc::channel(1);
    publisher.tell(sender.clone());
    publisher.serve(0, 0, &Serving::both(Selection::List(vec![0]), 60));
    publisher.take(Event::Watch { service: 0 });
    let group = publisher.services[0].as_ref().expect("a service").group;
    sender.try_send(Asked(7)).expect("room");
    publisher.take(Event::Asked { group });
    assert!(publisher.tables().word(0, group, KIND_A).is_watched());
    assert_eq!(asked.try_recv(), Ok(Asked(7)));
    publisher.take(Event::Asked { group });
    assert_eq!(asked.try_recv(), Ok(Asked(0)));
    assert!(!publisher.tables().word(0, group, KIND_A).is_watched());
}

#[test]
fn answers_that_come_and_go_need_no_more_slots_than_there_are() {
    let mut publisher = publisher(DNS_LB);
    let in_use = publisher.tables().answers.len() as u32;
    publisher.tables.write().expect("not poisoned").room.answers = in_use + 6;
    for round in 0..100 {
        let list = [vec![0, 1], vec![1, 0], vec![1], vec![0]][round % 4].clone();
        publisher.serve(0, 0, &Serving::both(Selection::List(list.clone()), 60));
        let expected = [[203, 0, 113, 80], [192, 0, 2, 80]];
        // The last record of the list.
        let last = expected[usize::from(list.last() == Some(&0))];
        assert_eq!(address(&publisher, KIND_A, CLIENT), last, "round {round}");
    }
    assert!(publisher.tables().answers.len() as u32 <= in_use + 6);
}

#[test]
fn without_a_free_slot_the_last_answer_stays() {
    let mut publisher = publisher(DNS_LB);
    publisher.serve(0, 0, &Serving::both(Selection::List(vec![0]), 60));
    let in_use = publisher.tables().answers.len() as u32;
    publisher.tables.write().expect("not poisoned").room.answers = in_use;
    publisher.serve(0, 0, &Serving::both(Selection::List(vec![1, 0]), 60));
    assert_eq!(address(&publisher, KIND_A, CLIENT), [192, 0, 2, 80]);
}

#[test]
fn a_slot_that_was_given_out_for_a_ranking_without_room_is_no_answer() {
    let mut publisher = publisher(DNS_LB);
    publisher.serve(0, 0, &Serving::both(Selection::List(vec![0]), 60));
    let in_use = publisher.tables().answers.len() as u32;
    // Room for the smaller one of its two sizes.
    publisher.tables.write().expect("not poisoned").room.answers = in_use + 1;
    publisher.serve(0, 0, &Serving::both(Selection::List(vec![1, 0]), 60));
    assert_eq!(address(&publisher, KIND_A, CLIENT), [192, 0, 2, 80]);
    // Which is all of this one.
    publisher.serve(0, 0, &Serving::both(Selection::List(vec![1]), 60));
    assert_eq!(address(&publisher, KIND_A, CLIENT), [203, 0, 113, 80]);
}

#[test]
fn an_answer_that_the_kernel_refused_is_written_when_it_is_wanted_again() {
    let mut publisher = publisher(DNS_LB);
    publisher.serve(0, 0, &Serving::both(Selection::List(vec![0]), 60));
    let left = Cell::new(0);
    publisher.data_path = Box::new(Refusing { left });
    publisher.serve(0, 0, &Serving::both(Selection::List(vec![1]), 60));
    assert_eq!(address(&publisher, KIND_A, CLIENT), [192, 0, 2, 80]);
    publisher.data_path = Box::new(InMemory);
    publisher.serve(0, 0, &Serving::both(Selection::List(vec![1]), 60));
    assert_eq!(address(&publisher, KIND_A, CLIENT), [203, 0, 113, 80]);
}

/// A data path that counts, and refuses what comes after some changes.
struct Refusing {
    left: Cell<usize>,
}

impl DataPath for Refusing {
    fn apply(&mut self, changes: &[Change]) -> Result<(), DataPathError> {
        let left = self.left.get();
        self.left.set(left.saturating_sub(changes.len()));
        if changes.len() <= left {
            return Ok(());
        }
        Err(DataPathError {
            reason: "no room".to_owned(),
            made: left,
        })
    }

    fn beat(&mut self, _now_ns: u64) -> Result<(), DataPathError> {
        Ok(())
    }

    fn count(&mut self, _counters: &Counters) -> Result<(), DataPathError> {
        Ok(())
    }

    fn needs_grace(&self) -> bool {
        false
    }

    fn grace(&mut self) -> Result<(), DataPathError> {
        Ok(())
    }
}

#[test]
fn what_the_kernel_refused_is_in_no_table() {
    let mut publisher = publisher(DNS_B);
    let left = Cell::new(1);
    publisher.data_path = Box::new(Refusing { left });
    let other = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 54));
    let refused = publisher.announce("lb2.isp2.example", LB2, &[RESOLVER, other]);
    assert_eq!(refused, Err(Rejection::Tables("no room".to_owned())));
    assert_eq!(publisher.tables().resolvers.len(), 1, "what it took");
    assert_eq!(publisher.tables().vantages[1].deadline, 0, "no lease");
}

#[tokio::test]
async fn a_dns_lbs_publisher_runs_and_takes_rankings() {
    let publisher = publisher(DNS_LB);
    let tables = Arc::clone(&publisher.tables);
    let reference = |place: u32| {
        let tables = tables.read().expect("not poisoned");
        let (_, index) = ranking_place(tables.settings.groups, 0, 0, place);
        tables.rankings[index as usize]
    };
    assert!(!reference(KIND_A).is_ready());
    let (sender, events) = mpsc::channel(4);
    let stop = CancellationToken::new();
    let running = tokio::spawn(publisher.run(events, Counters::default, stop.clone()));
    let event = Event::Serve {
        service: 0,
        vantage: 0,
        serving: Serving::both(Selection::List(vec![0]), 60),
        probed_ns: Some(1),
    };
    sender.send(event).await.expect("the publisher runs");
    while !reference(KIND_AAAA).is_ready() {
        assert!(!running.is_finished(), "the publisher ended");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_ne!(tables.read().expect("not poisoned").heartbeat, 0);
    stop.cancel();
    running.await.expect("no panic");
}
