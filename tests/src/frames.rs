//! Frames from a seed: queries of each row of the answer table as resolvers send them, and the same
//! spoilt in every way that a parser can get wrong.

mod message;
mod names;
pub mod opt;
mod packet;
mod random;
mod spoil;
mod sweep;

use std::net::IpAddr;

use self::names::Names;
pub use self::{
    message::Message,
    packet::{OUTER_TAG, Packet, TAG},
    random::Random,
    sweep::sweep,
};
use crate::model::Model;

/// A frame, and what it is.
#[derive(Clone, Debug)]
pub struct Frame {
    /// In words.
    pub about: String,
    /// From the Ethernet header to the padding.
    pub octets: Vec<u8>,
}

impl Frame {
    /// A frame.
    pub fn new(about: &str, octets: Vec<u8>) -> Self {
        Self {
            about: about.to_owned(),
            octets,
        }
    }
}

/// An endless row of frames to one node, the same for the same seed.
#[derive(Clone, Debug)]
pub struct Frames {
    random: Random,
    destinations: Vec<IpAddr>,
    /// Who asks: each that the node knows, and strangers.
    sources: Vec<IpAddr>,
    /// Sources whose Client Subnet is believed.
    senders: Vec<IpAddr>,
    /// Addresses that stand in Client Subnet.
    clients: Vec<IpAddr>,
    names: Names,
}

impl Frames {
    /// Frames to the node of `model`.
    pub fn new(model: &Model, seed: u64) -> Self {
        let clients = model.clients();
        let mut sources = clients.clone();
        sources.extend(model.resolvers.keys());
        sources.retain(|source| is_host(*source));
        Self {
            random: Random(seed),
            destinations: model.config.node.addresses.clone(),
            sources,
            senders: model.subnet_senders(),
            clients,
            names: Names::new(model),
        }
    }

    /// A message as a resolver sends it.
    pub fn message(&mut self) -> Message {
        self.message_of(false)
    }

    /// The same; of one whose Client Subnet is believed if `names_clients`.
    fn message_of(&mut self, names_clients: bool) -> Message {
        let random = &mut self.random;
        let mut name = self.names.pick(random);
        if random.one_in(4) {
            name = message::with_labels_before(random, &name);
        }
        let message = Message::random(random, &name);
        if names_clients || random.below(10) < 7 {
            return message.with(opt::random(random, &self.clients, names_clients));
        }
        message
    }

    /// A frame as a resolver sends it.
    pub fn packet(&mut self) -> Packet {
        let is_sender = !self.senders.is_empty() && self.random.one_in(4);
        let among = if is_sender {
            &self.senders
        } else {
            &self.sources
        };
        let destination = self.random.pick(&self.destinations);
        let source = loop {
            let source = self.random.pick(among);
            if source.is_ipv4() == destination.is_ipv4() {
                break source;
            }
        };
        let message = self.message_of(is_sender).octets();
        Packet::random(&mut self.random, source, destination, message)
    }
}

impl Iterator for Frames {
    type Item = Frame;

    /// Seven of ten are sound.
    fn next(&mut self) -> Option<Frame> {
        if self.random.below(10) < 7 {
            return Some(Frame::new("sound", self.packet().octets()));
        }
        Some(spoil::frame(self))
    }
}

/// Whether one host can have the address.
fn is_host(address: IpAddr) -> bool {
    let is_broadcast =
        matches!(address, IpAddr::V4(v4) if v4.is_broadcast() || v4.octets()[0] == 0);
    !(address.is_loopback() || address.is_multicast() || address.is_unspecified() || is_broadcast)
}
