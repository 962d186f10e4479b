//! The headers in front of the message: what of the query's is kept, and the reply's.

use dglb_common::{
    checksum,
    packet::{Datagram, Frame, IPV4_TO_DNS, IPV6_TO_DNS, NAME, Question},
};
use network_types::ip::{IpProto, Ipv4Hdr, Ipv6Hdr};

/// Hop limit of replies (RFC 1700, "IP time to live parameter").
const TTL: u8 = 64;
/// Octets of an Ethernet header with two VLAN tags.
const MAX_LINK: usize = 22;

/// What of the query is needed once its place has been overwritten. Whole words as they stand in the
/// frame: arrays of octets would be kept and written octet by octet.
pub struct Saved {
    /// Destination MAC address, and the first two octets of the source's.
    ethernet_0: u64,
    /// The other four octets of the source's.
    ethernet_8: u32,
    /// EtherType and VLAN tags, and what is behind them.
    ethernet_12: u64,
    /// The last two octets of two VLAN tags with the EtherType.
    ethernet_20: u16,
    /// IPv4 source and destination address.
    v4: u64,
    /// IPv6 source and destination address.
    v6: [u64; 4],
    /// UDP source and destination port.
    ports: u32,
    /// ID and flags.
    pub dns: u32,
    /// The last 8 octets of the question; of a short one, octets of the DNS header with it.
    pub question_end: u64,
}

impl Saved {
    /// Of a query that is whole.
    #[inline(always)]
    pub fn of(frame: &Frame<'_>, datagram: &Datagram, question: &Question) -> Option<Self> {
        let ethernet = View(frame.at::<[u8; MAX_LINK]>(0)?.cast());
        let ip = frame.skip(datagram.ip);
        let (v4, v6, ports, dns) = if datagram.client.is_v6 != 0 {
            let ip = View(ip.at::<[u8; IPV6_TO_DNS + 4]>(0)?.cast());
            let v6 = [ip.read(8), ip.read(16), ip.read(24), ip.read(32)];
            (0, v6, ip.read(Ipv6Hdr::LEN), ip.read(IPV6_TO_DNS))
        } else {
            let ip = View(ip.at::<[u8; IPV4_TO_DNS + 4]>(0)?.cast());
            (
                ip.read(12),
                [0; 4],
                ip.read(Ipv4Hdr::LEN),
                ip.read(IPV4_TO_DNS),
            )
        };
        let dns_part = frame.skip(datagram.dns());
        Some(Self {
            ethernet_0: ethernet.read(0),
            ethernet_8: ethernet.read(8),
            ethernet_12: ethernet.read(12),
            ethernet_20: ethernet.read(20),
            v4,
            v6,
            ports,
            dns,
            question_end: dns_part.read(NAME - 8 + question.octets())?,
        })
    }
}

/// A part of the frame that was compared with its end as a whole, by [`Frame::at`].
#[derive(Clone, Copy)]
struct View(*mut u8);

impl View {
    #[inline(always)]
    fn read<T: Copy>(self, offset: usize) -> T {
        // SAFETY: as said above; offsets are constants within the part, and `T` plain data.
        unsafe { self.0.add(offset).cast::<T>().read_unaligned() }
    }

    #[inline(always)]
    fn write<T: Copy>(self, offset: usize, value: T) {
        // SAFETY: as above.
        unsafe { self.0.add(offset).cast::<T>().write_unaligned(value) };
    }
}

/// Writes Ethernet, IP, UDP and DNS header; `octets` are those of the datagram, `sum` is that of the
/// message without its header.
#[inline(always)]
pub fn write(
    frame: &Frame<'_>,
    datagram: &Datagram,
    saved: &Saved,
    octets: usize,
    header: [u32; 3],
    sum: u64,
) -> Option<()> {
    // Destination and source change places: 6 octets each, of which the first word has 8.
    let (first, second) = (
        saved.ethernet_0.to_le(),
        u64::from(saved.ethernet_8.to_le()),
    );
    let ethernet = View(frame.at::<[u8; MAX_LINK]>(0)?.cast());
    ethernet.write(0, (first >> 48 | second << 16 | first << 48).to_le());
    ethernet.write(8, ((first >> 16) as u32).to_le());
    // As long as with two tags; with less, the IP header is written over it.
    ethernet.write(12, saved.ethernet_12);
    ethernet.write(20, saved.ethernet_20);
    let ip = frame.skip(datagram.ip);
    let octets = octets as u16;
    let sum = sum + header.into_iter().map(u64::from).sum::<u64>();
    if datagram.client.is_v6 != 0 {
        let ip = View(ip.at::<[u8; IPV6_TO_DNS + NAME]>(0)?.cast());
        let sum = sum + write_ipv6(ip, saved, octets);
        write_udp_dns(ip, Ipv6Hdr::LEN, saved, octets, header, sum);
    } else {
        let ip = View(ip.at::<[u8; IPV4_TO_DNS + NAME]>(0)?.cast());
        let sum = sum + write_ipv4(ip, saved, octets);
        write_udp_dns(ip, Ipv4Hdr::LEN, saved, octets, header, sum);
    }
    Some(())
}

/// Writes the IPv4 header; gives the sum of the UDP pseudo header (RFC 768).
#[inline(always)]
fn write_ipv4(ip: View, saved: &Saved, octets: u16) -> u64 {
    let protocol = IpProto::Udp as u8;
    let addresses = checksum::add_word(0, saved.v4);
    let [len_0, len_1] = (octets + Ipv4Hdr::LEN as u16).to_be_bytes();
    // Version, IHL, DSCP and ECN 0, length; identification 0, DF; TTL, protocol, checksum.
    let length = u32::from_ne_bytes([0x45, 0, len_0, len_1]);
    let fragment = u32::from_ne_bytes([0, 0, 0x40, 0]);
    let sum = addresses
        + u64::from(length)
        + u64::from(fragment)
        + u64::from(u16::from_ne_bytes([TTL, protocol]));
    let [check_0, check_1] = (!checksum::fold(sum)).to_ne_bytes();
    let life = u32::from_ne_bytes([TTL, protocol, check_0, check_1]);
    ip.write(0, length);
    ip.write(4, fragment);
    ip.write(8, life);
    ip.write(12, saved.v4.rotate_left(32));
    addresses + u64::from(u16::from_ne_bytes([0, protocol])) + u64::from(octets.to_be())
}

/// Writes the IPv6 header (RFC 8200 §3); gives the sum of the pseudo header (RFC 8200 §8.1).
#[inline(always)]
fn write_ipv6(ip: View, saved: &Saved, octets: u16) -> u64 {
    let protocol = IpProto::Udp as u8;
    let [len_0, len_1] = octets.to_be_bytes();
    let [source_0, source_1, destination_0, destination_1] = saved.v6;
    ip.write(
        0,
        u64::from_ne_bytes([0x60, 0, 0, 0, len_0, len_1, protocol, TTL]),
    );
    ip.write(8, destination_0);
    ip.write(16, destination_1);
    ip.write(24, source_0);
    ip.write(32, source_1);
    let mut sum = u64::from(u16::from_ne_bytes([0, protocol])) + u64::from(octets.to_be());
    for word in saved.v6 {
        sum = checksum::add_word(sum, word);
    }
    sum
}

/// Writes the UDP header at `at`, and the DNS header behind it. `sum` is that of all the rest.
#[inline(always)]
fn write_udp_dns(ip: View, at: usize, saved: &Saved, octets: u16, header: [u32; 3], sum: u64) {
    let ports = saved.ports.rotate_left(16);
    let sum = sum + u64::from(ports) + u64::from(octets.to_be());
    let [len_0, len_1] = octets.to_be_bytes();
    let [check_0, check_1] = checksum::udp_field(sum).to_ne_bytes();
    ip.write(at, ports);
    ip.write(at + 4, u32::from_ne_bytes([len_0, len_1, check_0, check_1]));
    ip.write(at + 8, header[0]);
    ip.write(at + 12, header[1]);
    ip.write(at + 16, header[2]);
}
