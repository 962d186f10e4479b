//! Frames: what stands below DNS in a reply.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dglb_common::counters::Counter;

use super::{Arrival, judge_at};
use crate::model::Model;

/// A frame that may be answered, by the lengths in its headers.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Octets of MAC addresses and VLAN tags.
    link: usize,
    /// Octets of the IP header.
    ip_header: usize,
    /// Octets of the IP packet.
    pub packet_octets: usize,
    /// Who sent it.
    pub source: IpAddr,
    /// The DNS message.
    pub message: &'a [u8],
}

/// Judges a whole reply frame. Gives the row that it belongs to.
///
/// # Errors
/// What is wrong, in a sentence.
pub fn judge_reply(model: &Model, frame: &[u8], reply: &[u8]) -> Result<Counter, String> {
    let query = datagram(frame).ok_or("a reply to a frame that holds no whole datagram")?;
    let Datagram {
        link, ip_header, ..
    } = query;
    let udp_at = link + 2 + ip_header;
    if reply.len() < udp_at + 8 {
        return Err("the reply has no room for its headers".to_owned());
    }
    let expect = |what: &str, right: bool| {
        right
            .then_some(())
            .ok_or_else(|| format!("{what}: {:02x?}", &reply[..udp_at + 8]))
    };
    expect(
        "MAC addresses are not swapped",
        reply[..6] == frame[6..12] && reply[6..12] == frame[..6],
    )?;
    expect(
        "VLAN tags and EtherType are not the query's",
        reply[12..link + 2] == frame[12..link + 2],
    )?;
    let packet = &reply[link + 2..];
    let asked = &frame[link + 2..];
    let udp = &packet[ip_header..];
    let len = (packet.len() as u16).to_be_bytes();
    let udp_len = (udp.len() as u16).to_be_bytes();
    let addresses = if ip_header == 20 {
        expect("version, IHL, DSCP or ECN", packet[..2] == [0x45, 0])?;
        expect("total length", packet[2..4] == len)?;
        expect("identification 0, DF", packet[4..8] == [0, 0, 0x40, 0])?;
        expect("TTL 64, UDP", packet[8..10] == [64, 17])?;
        expect("IPv4 checksum", internet_sum(&packet[..20]) == 0xffff)?;
        12..20
    } else {
        let first = [0x60, 0, 0, 0];
        expect("version, traffic class, flow label", packet[..4] == first)?;
        expect("payload length", packet[4..6] == udp_len)?;
        expect("UDP, hop limit 64", packet[6..8] == [17, 64])?;
        8..40
    };
    let (one, other) = addresses
        .clone()
        .partition::<Vec<_>, _>(|at| *at < addresses.start + addresses.len() / 2);
    let swapped = one.iter().zip(&other);
    expect(
        "addresses are not swapped",
        swapped
            .clone()
            .all(|(&a, &b)| packet[a] == asked[b] && packet[b] == asked[a]),
    )?;
    let port = &asked[ip_header..ip_header + 2];
    expect(
        "ports are not swapped",
        udp[..2] == [0, 53] && udp[2..4] == *port,
    )?;
    expect("UDP length", udp[4..6] == udp_len)?;
    let mut checked = packet[addresses].to_vec();
    checked.extend_from_slice(&[0, 17]);
    checked.extend_from_slice(&udp_len);
    checked.extend_from_slice(udp);
    expect("UDP checksum is absent", udp[6..8] != [0, 0])?;
    expect("UDP checksum", internet_sum(&checked) == 0xffff)?;
    expect(
        "more than three times the octets of the query",
        packet.len() <= 3 * query.packet_octets,
    )?;
    let arrival = Arrival {
        source: query.source,
        room: Some(3 * query.packet_octets - ip_header - 8),
    };
    judge_at(model, arrival, query.message, Some(&udp[8..]))?
        .ok_or_else(|| "a reply to what is no query".to_owned())
}

/// The DNS message of a frame that may be answered; by the lengths in its headers.
pub fn payload(frame: &[u8]) -> Option<&[u8]> {
    datagram(frame).map(|datagram| datagram.message)
}

/// What a frame that may be answered holds: at most two VLAN tags, IP without options or extension
/// headers, UDP to port 53.
pub fn datagram(frame: &[u8]) -> Option<Datagram<'_>> {
    let ethertype = |at: usize| frame.get(at..at + 2);
    let link = match (ethertype(12)?, ethertype(16)) {
        ([0x81, 0] | [0x88, 0xa8], Some([0x81, 0])) => 20,
        ([0x81, 0], _) => 16,
        _ => 12,
    };
    let rest = frame.get(link + 2..)?;
    let word = |at: usize| {
        let octets = rest.get(at..at + 2)?;
        Some(usize::from(u16::from_be_bytes([octets[0], octets[1]])))
    };
    match ethertype(link)? {
        [0x08, 0] => {
            let packet = rest.get(..word(2)?)?;
            let sound = packet.len() >= 28
                && packet[0] == 0x45
                && packet[6] & 0x3f == 0
                && packet[7] == 0
                && packet[9] == 17
                && packet[22..24] == [0, 53];
            let source = <[u8; 4]>::try_from(rest.get(12..16)?).ok()?;
            let message = packet.get(28..20 + word(24)?)?;
            sound.then_some(Datagram {
                link,
                ip_header: 20,
                packet_octets: packet.len(),
                source: Ipv4Addr::from(source).into(),
                message,
            })
        }
        [0x86, 0xdd] => {
            let packet = rest.get(..40 + word(4)?)?;
            let sound = packet.len() >= 48
                && packet[0] >> 4 == 6
                && packet[6] == 17
                && packet[42..44] == [0, 53]
                && word(44) == word(4);
            let source = <[u8; 16]>::try_from(rest.get(8..24)?).ok()?;
            let message = packet.get(48..)?;
            sound.then_some(Datagram {
                link,
                ip_header: 40,
                packet_octets: packet.len(),
                source: Ipv6Addr::from(source).into(),
                message,
            })
        }
        _ => None,
    }
}

/// RFC 1071 §4.1, a big-endian word at a time.
fn internet_sum(octets: &[u8]) -> u16 {
    let words = octets.chunks(2);
    let mut sum: u32 = words
        .map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)))
        .sum();
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
