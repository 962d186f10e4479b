//! Weighted choice: a client meets the same answer again, its network with it, whoever asks for it; and
//! over many clients the shares are the weights. In user space; the kernel's choice is held against it
//! by the differential test.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use dglb_common::{
    client::Client,
    layout::{KIND_A, NameWord},
    query::TYPE_A,
};
use dglb_tests::{
    frames::{Message, opt},
    fuzz::path,
    model::Choice,
    world::{self, SENDER},
};
use dglb_user::answer::{Answerer, Transport};
use hickory_proto::{op::Message as Response, rr::RData};

const SHARES: &[u8] = b"\x06shares\x01d\x03foo\x03com\0";
/// Weights of the default vantage (`world::dns_b_direct`): 1, 5 and 10 of 16.
const WEIGHTS: [(Ipv4Addr, f64); 3] = [
    (Ipv4Addr::new(192, 0, 2, 80), 1.0 / 16.0),
    (Ipv4Addr::new(192, 0, 2, 81), 5.0 / 16.0),
    (Ipv4Addr::new(192, 0, 2, 82), 10.0 / 16.0),
];

fn ask(answerer: &Answerer, source: IpAddr, message: &Message) -> Ipv4Addr {
    let answered = answerer.answer_message(&message.octets(), source, Transport::Udp);
    let response = Response::from_vec(&answered.expect("an answer").octets).expect("readable");
    let [record] = &response.answers[..] else {
        panic!("one address: {response:?}");
    };
    match &record.data {
        RData::A(address) => address.0,
        other => panic!("an address: {other:?}"),
    }
}

fn plain() -> Message {
    Message::plain(SHARES, TYPE_A)
}

fn naming(client: IpAddr, len: u8) -> Message {
    plain().with(opt::record(1232, false, &[opt::client_subnet(client, len)]))
}

#[test]
fn a_network_meets_the_same_answer_again() {
    let answerer = path::answerer(&world::dns_b_direct());
    for network in 0..200_u8 {
        let host = |last| IpAddr::V4(Ipv4Addr::new(100, 64, network, last));
        let first = ask(&answerer, host(1), &plain());
        for last in [1, 2, 77, 254] {
            assert_eq!(
                ask(&answerer, host(last), &plain()),
                first,
                "{}",
                host(last)
            );
        }
        // Also when a resolver asks for it: the client counts, not who asks.
        for len in [24, 25, 32] {
            let message = naming(host(2), len);
            assert_eq!(ask(&answerer, SENDER.into(), &message), first, "/{len}");
        }
        let v6 = |last| {
            let network = 0x0900 + u16::from(network) * 0x100;
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, network, 0, 0, 0, last))
        };
        assert_eq!(
            ask(&answerer, v6(1), &plain()),
            ask(&answerer, v6(2), &plain())
        );
    }
}

#[test]
fn over_many_networks_the_shares_are_the_weights() {
    const NETWORKS: u32 = 8192;
    let answerer = path::answerer(&world::dns_b_direct());
    let mut met: BTreeMap<Ipv4Addr, u32> = BTreeMap::new();
    for network in 0..NETWORKS {
        let source = Ipv4Addr::from_bits(0x6440_0000 + (network << 8) + 9);
        *met.entry(ask(&answerer, source.into(), &plain()))
            .or_default() += 1;
    }
    for (site, share) in WEIGHTS {
        let seen = f64::from(met[&site]) / f64::from(NETWORKS);
        // A hash that is no better than chance: 2 % are nearly four standard deviations and more.
        assert!(
            (seen - share).abs() < 0.03,
            "{site}: {seen}, {share} wanted"
        );
    }
}

#[test]
fn over_a_million_networks_shares_are_within_one_percent() {
    const NETWORKS: u32 = 1 << 20;
    // No multiples of 1/128.
    let weights = vec![(0, 3), (1, 7), (2, 11)];
    for choice in [
        Choice::Weighted(weights.clone()),
        Choice::Sticky(weights.clone()),
    ] {
        let mut model = world::dns_b_direct();
        model.rankings[2].fill(Some(choice.clone()));
        let tables = model.tables();
        let entry = tables
            .name(&world::name("shares.d.foo.com"))
            .expect("a name");
        let (vantage, group) = (
            tables.settings.default_vantage,
            NameWord(entry.word).group(),
        );
        let mut met: BTreeMap<u8, u32> = BTreeMap::new();
        for network in 0..NETWORKS {
            let client = Client::v4((0x1000_0000 + (network << 8)).to_be_bytes());
            let (answer, _) = tables
                .answer(vantage, group, KIND_A, client)
                .expect("an answer");
            *met.entry(answer.octets[usize::from(answer.len) - 1])
                .or_default() += 1;
        }
        for (site, weight) in &weights {
            let seen = f64::from(met[&(80 + *site as u8)]) / f64::from(NETWORKS);
            let wanted = f64::from(*weight) / 21.0;
            assert!(
                (seen - wanted).abs() < 0.01,
                "{choice:?}: {seen}, {wanted} wanted"
            );
        }
    }
}

#[test]
fn a_weight_of_zero_is_never_met() {
    let mut model = world::dns_b_direct();
    let zero = Choice::Weighted(vec![(0, 1), (1, 0), (2, 1)]);
    model.rankings[2].fill(Some(zero));
    let answerer = path::answerer(&model);
    for network in 0..500_u32 {
        let source = Ipv4Addr::from_bits(0x6440_0000 + (network << 8) + 9);
        let met = ask(&answerer, source.into(), &plain());
        assert_ne!(met, WEIGHTS[1].0);
    }
}
