//! Queries as frames, as resolvers send them, and what is not a query.

use std::net::Ipv4Addr;

use dglb_common::checksum;
use hickory_proto::{
    op::{Edns, Message, Query},
    rr::{Name, RecordType},
};

/// Protocol numbers of the IPv4 header (RFC 790).
const TCP: u8 = 6;
/// See above.
const UDP: u8 = 17;

/// Both ends of a datagram.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// Who sends it,
    pub source: Ipv4Addr,
    /// from this port,
    pub port: u16,
    /// to this address.
    pub destination: Ipv4Addr,
}

/// A query's message, ID 0; its name may hold any octets, and is written as it is given.
pub fn question(name: &Name, kind: RecordType, with_opt: bool) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.id = 0;
    message.add_query(Query::query(name.clone(), kind));
    if with_opt {
        let mut edns = Edns::new();
        edns.set_max_payload(1232);
        message.edns = Some(edns);
    }
    message.to_vec().expect("a message")
}

/// The frame of a query with this ID.
pub fn query(ends: Ends, id: u16, message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    message[..2].copy_from_slice(&id.to_be_bytes());
    datagram(ends, 53, &message)
}

/// The frame of a datagram.
pub fn datagram(ends: Ends, port: u16, payload: &[u8]) -> Vec<u8> {
    let len = (8 + payload.len()) as u16;
    let mut udp = ends.port.to_be_bytes().to_vec();
    udp.extend_from_slice(&port.to_be_bytes());
    udp.extend_from_slice(&len.to_be_bytes());
    udp.extend_from_slice(&[0, 0]);
    udp.extend_from_slice(payload);
    let mut covered = [ends.source.octets(), ends.destination.octets()].concat();
    covered.extend_from_slice(&[0, UDP]);
    covered.extend_from_slice(&len.to_be_bytes());
    covered.extend_from_slice(&udp);
    let field = checksum::udp_field(u64::from(checksum::of(&covered)));
    udp[6..8].copy_from_slice(&field.to_ne_bytes());
    packet(ends, UDP, &udp)
}

/// The frame of a TCP segment of an HTTPS connection; its own checksum is not set.
pub fn segment(ends: Ends) -> Vec<u8> {
    let mut tcp = ends.port.to_be_bytes().to_vec();
    tcp.extend_from_slice(&443_u16.to_be_bytes());
    // Sequence and acknowledgement; 5 words, ACK; window, checksum, urgent pointer.
    tcp.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 4, 0, 0, 0, 0, 0]);
    packet(ends, TCP, &tcp)
}

fn packet(ends: Ends, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut ip = vec![0x45, 0];
    ip.extend_from_slice(&(20 + payload.len() as u16).to_be_bytes());
    ip.extend_from_slice(&[0, 0, 0x40, 0, 64, protocol, 0, 0]);
    ip.extend_from_slice(&ends.source.octets());
    ip.extend_from_slice(&ends.destination.octets());
    let field = !checksum::of(&ip);
    ip[10..12].copy_from_slice(&field.to_ne_bytes());
    let ethernet = [2, 0, 0, 0, 0, 0x53, 2, 0, 0, 0, 0, 1, 8, 0];
    [ethernet.as_slice(), &ip, payload].concat()
}

/// What the reflector makes of a frame: both ends change places.
pub fn reflected(frame: &[u8]) -> Vec<u8> {
    let mut back = frame.to_vec();
    for (one, other, len) in [(0, 6, 6), (26, 30, 4), (34, 36, 2)] {
        back[one..one + len].copy_from_slice(&frame[other..other + len]);
        back[other..other + len].copy_from_slice(&frame[one..one + len]);
    }
    back
}
