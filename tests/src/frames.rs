//! Frames from a seed: queries of each row of the answer table as resolvers send them, and the same
//! spoilt in every way that a parser can get wrong.

mod message;
mod packet;
mod spoil;

use std::net::Ipv4Addr;

use dglb_user::config::{Form, Role};

pub use self::{message::Message, packet::Packet};
use crate::{
    model::Model,
    world::{RESOLVER_1, RESOLVER_2, RESOLVER_3, STRANGER, UNKNOWN_LABEL},
};

/// A frame, and what it is.
#[derive(Clone, Debug)]
pub struct Frame {
    /// In words.
    pub about: String,
    /// From the Ethernet header to the padding.
    pub octets: Vec<u8>,
}

/// An endless row of frames to one node, the same for the same seed.
#[derive(Clone, Debug)]
pub struct Frames {
    random: Random,
    node: Ipv4Addr,
    /// Names whose answers are ready, in wire form: asked for most of the time.
    ready: Vec<Vec<u8>>,
    /// All names that matter, by kind; each kind as often as another.
    names: Vec<Vec<Vec<u8>>>,
}

impl Frames {
    /// Frames to the node of `model`.
    pub fn new(model: &Model, seed: u64) -> Self {
        Self {
            random: Random(seed),
            node: model.config.node.addresses[0],
            ready: ready(model),
            names: names(model),
        }
    }

    /// A message as a resolver sends it.
    pub fn message(&mut self) -> Message {
        let random = &mut self.random;
        let mut name = if random.below(4) < 3 {
            random.pick(&self.ready)
        } else {
            let kind = random.pick(&self.names);
            random.pick(&kind)
        };
        if random.one_in(4) {
            name = with_labels_before(random, &name);
        }
        Message::random(random, &name)
    }

    /// A frame as a resolver sends it.
    pub fn packet(&mut self) -> Packet {
        let message = self.message().octets();
        let sources = [RESOLVER_1, RESOLVER_2, RESOLVER_3, STRANGER];
        let source = self.random.pick(&sources);
        Packet::random(&mut self.random, source, self.node, message)
    }
}

impl Iterator for Frames {
    type Item = Frame;

    /// Seven of ten are sound.
    fn next(&mut self) -> Option<Frame> {
        if self.random.below(10) < 7 {
            return Some(Frame {
                about: "sound".to_owned(),
                octets: self.packet().octets(),
            });
        }
        Some(spoil::frame(self))
    }
}

/// The names that a node has ready answers for: N in form R; in form C N at a DNS-B, and the names of
/// known labels.
fn ready(model: &Model) -> Vec<Vec<u8>> {
    let (services, labels): (Vec<_>, Vec<_>) = match &model.config.role {
        Role::DnsB(node) => (
            (node.services.iter())
                .map(|service| (service.name.clone(), service.form, true))
                .collect(),
            node.dns_lbs.iter().map(|lb| lb.label).collect(),
        ),
        Role::DnsLb(node) => (
            (node.services.iter().zip(&model.rankings))
                .filter(|(_, ranking)| ranking.is_some())
                .map(|(service, _)| (service.name.clone(), service.form, false))
                .collect(),
            vec![node.label],
        ),
    };
    let mut names = Vec::new();
    for (name, form, has_alias) in services {
        if form == Form::Referral || has_alias {
            names.push(name.wire().to_vec());
        }
        if form == Form::Cname {
            let below = labels.iter().map(|label| name.child(label.characters()));
            names.extend(below.map(|name| name.wire().to_vec()));
        }
    }
    names
}

/// The names that matter to a node, by kind.
fn names(model: &Model) -> Vec<Vec<Vec<u8>>> {
    let (services, labels, others): (Vec<_>, Vec<_>, Vec<_>) = match &model.config.role {
        Role::DnsB(node) => (
            node.services
                .iter()
                .map(|service| service.name.clone())
                .collect(),
            node.dns_lbs.iter().map(|lb| lb.label.to_string()).collect(),
            node.zones
                .iter()
                .flat_map(|zone| zone.hosts.iter().map(|(host, _)| host).chain([&zone.apex]))
                .flat_map(|name| [Some(name.clone()), name.parent()])
                .flatten()
                .collect(),
        ),
        Role::DnsLb(node) => (
            node.services
                .iter()
                .map(|service| service.name.clone())
                .collect(),
            (node.stands_in_for.iter().map(|lb| lb.label))
                .chain([node.label])
                .map(|label| label.to_string())
                .collect(),
            node.services
                .iter()
                .filter_map(|service| service.name.parent())
                .collect(),
        ),
    };
    let below = |label: &str| -> Vec<Vec<u8>> {
        let all = services.iter();
        all.map(|service| service.child(label.as_bytes()).wire().to_vec())
            .collect()
    };
    let known: Vec<_> = labels.iter().flat_map(|label| below(label)).collect();
    let hosts = |names: &[Vec<u8>]| {
        names
            .iter()
            .map(|name| [b"\x02ns", &name[..]].concat())
            .collect()
    };
    let unknown = below(UNKNOWN_LABEL);
    let near = [
        "lb000000000000w",
        "lb00000000000",
        "nlb0000000000000",
        "nope",
        "ns",
    ];
    vec![
        services
            .iter()
            .map(|service| service.wire().to_vec())
            .collect(),
        hosts(&known),
        hosts(&unknown),
        known,
        unknown,
        near.iter().flat_map(|label| below(label)).collect(),
        others.iter().map(|name| name.wire().to_vec()).collect(),
        [&b"\0"[..], b"\x07example\0", b"\x03www\x06gg-foo\x03com\0"]
            .map(<[u8]>::to_vec)
            .to_vec(),
    ]
}

/// One to many labels in front, up to the longest name.
fn with_labels_before(random: &mut Random, name: &[u8]) -> Vec<u8> {
    let most = if random.one_in(4) {
        255
    } else {
        (name.len() + 20).min(255)
    };
    let mut name = name.to_vec();
    loop {
        let room = most - name.len();
        if room < 2 {
            return name;
        }
        let len = 1 + random.below((room - 1).min(63));
        let mut label = vec![len as u8];
        label.extend((0..len).map(|_| match random.below(12) {
            0 => random.below(256) as u8,
            1 => b'-',
            _ => b'a' + random.below(26) as u8,
        }));
        label.extend_from_slice(&name);
        name = label;
        if random.one_in(3) {
            return name;
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same everywhere.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `end`, which is above 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    /// True once in `times`.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of `all`.
    pub fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }
}
