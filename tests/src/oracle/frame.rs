//! Frames: what stands below DNS in a reply.

use std::net::Ipv4Addr;

use dglb_common::counters::Counter;

use super::{Transport, judge};
use crate::model::Model;

/// Judges a whole reply frame. Gives the row that it belongs to.
///
/// # Errors
/// What is wrong, in a sentence.
pub fn judge_reply(model: &Model, frame: &[u8], reply: &[u8]) -> Result<Counter, String> {
    let query = payload(frame).ok_or("a reply to a frame that holds no whole datagram")?;
    if reply.len() < 42 {
        return Err("the reply has no room for its headers".to_owned());
    }
    let expect = |what: &str, right: bool| {
        right
            .then_some(())
            .ok_or_else(|| format!("{what}: {:02x?}", &reply[..42]))
    };
    let len = (reply.len() - 14) as u16;
    expect(
        "MAC addresses are not swapped",
        reply[..6] == frame[6..12] && reply[6..12] == frame[..6],
    )?;
    expect("EtherType", reply[12..14] == [8, 0])?;
    expect("version, IHL, DSCP or ECN", reply[14..16] == [0x45, 0])?;
    expect("total length", reply[16..18] == len.to_be_bytes())?;
    expect("identification 0, DF", reply[18..22] == [0, 0, 0x40, 0])?;
    expect("TTL 64, UDP", reply[22..24] == [64, 17])?;
    expect("IPv4 checksum", internet_sum(&reply[14..34]) == 0xffff)?;
    expect(
        "addresses are not swapped",
        reply[26..30] == frame[30..34] && reply[30..34] == frame[26..30],
    )?;
    expect(
        "ports are not swapped",
        reply[34..36] == [0, 53] && reply[36..38] == frame[34..36],
    )?;
    expect("UDP length", reply[38..40] == (len - 20).to_be_bytes())?;
    let mut checked = reply[26..34].to_vec();
    checked.extend_from_slice(&[0, 17]);
    checked.extend_from_slice(&reply[38..40]);
    checked.extend_from_slice(&reply[34..]);
    expect("UDP checksum is absent", reply[40..42] != [0, 0])?;
    expect("UDP checksum", internet_sum(&checked) == 0xffff)?;
    let source = Ipv4Addr::new(frame[26], frame[27], frame[28], frame[29]);
    judge(model, source, Transport::Udp, query, Some(&reply[42..]))?
        .ok_or_else(|| "a reply to what is no query".to_owned())
}

/// The DNS message of a frame that may be answered; by the lengths in its headers, without options.
pub fn payload(frame: &[u8]) -> Option<&[u8]> {
    let total = usize::from(u16::from_be_bytes([*frame.get(16)?, *frame.get(17)?]));
    let packet = frame.get(14..14 + total)?;
    let sound = frame[12..15] == [8, 0, 0x45]
        && packet.len() >= 28
        && packet[6] & 0x3f == 0
        && packet[7] == 0
        && packet[9] == 17
        && packet[22..24] == [0, 53];
    let udp_len = usize::from(u16::from_be_bytes([*packet.get(24)?, *packet.get(25)?]));
    sound.then(|| packet.get(28..20 + udp_len))?
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
