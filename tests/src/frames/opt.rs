//! OPT records (RFC 6891) with every option that resolvers send, and some that none sends.

use std::net::IpAddr;

use super::Random;

/// Option codes that need a name here.
const NSID: u16 = 3;
const CLIENT_SUBNET: u16 = 8;
const COOKIE: u16 = 10;
const KEEPALIVE: u16 = 11;
const PADDING: u16 = 12;

/// An OPT record of version 0 with these options.
pub fn record(payload: u16, dnssec_ok: bool, options: &[Vec<u8>]) -> Vec<u8> {
    let mut record = vec![0, 0, 41];
    record.extend_from_slice(&payload.to_be_bytes());
    record.extend_from_slice(&[0, 0, if dnssec_ok { 0x80 } else { 0 }, 0]);
    let len = options.iter().map(Vec::len).sum::<usize>() as u16;
    record.extend_from_slice(&len.to_be_bytes());
    record.extend(options.iter().flatten());
    record
}

/// An option.
pub fn option(code: u16, data: &[u8]) -> Vec<u8> {
    let mut option = code.to_be_bytes().to_vec();
    option.extend_from_slice(&(data.len() as u16).to_be_bytes());
    option.extend_from_slice(data);
    option
}

/// Client Subnet as RFC 7871 §6 wants it in a query: no more octets than needed, bits behind zero.
pub fn client_subnet(address: IpAddr, len: u8) -> Vec<u8> {
    let (family, mut octets) = match address {
        IpAddr::V4(address) => (1, address.octets().to_vec()),
        IpAddr::V6(address) => (2, address.octets().to_vec()),
    };
    octets.truncate(usize::from(len).div_ceil(8));
    if !len.is_multiple_of(8)
        && let Some(last) = octets.last_mut()
    {
        *last &= 0xff << (8 - len % 8);
    }
    let data = [&[0, family, len, 0][..], &octets].concat();
    option(CLIENT_SUBNET, &data)
}

/// A COOKIE as BIND sends it with every query: the client's half (RFC 7873 §4).
pub fn cookie(random: &mut Random) -> Vec<u8> {
    option(COOKIE, &random.octets(8))
}

/// An OPT record as resolvers send it, sometimes with options that few send; `clients` are addresses
/// that Client Subnet may have.
pub(super) fn random(random: &mut Random, clients: &[IpAddr], names_clients: bool) -> Vec<u8> {
    let payloads = [0, 511, 512, 513, 600, 1232, 1232, 1233, 1400, 4096, 65_535];
    let mut options = Vec::new();
    for _ in 0..random.pick(&[0, 0, 1, 1, 1, 2, 3, 9]) {
        options.push(any_option(random, clients));
    }
    if names_clients && !random.one_in(5) {
        let at = random.below(options.len() + 1);
        options.insert(at, any_client_subnet(random, clients));
    }
    let mut opt = record(random.pick(&payloads), random.one_in(2), &options);
    // Bits that have no meaning yet are ignored (RFC 6891 §6.1.4).
    if random.one_in(16) {
        opt[5] = random.bits() as u8;
        opt[7] |= random.below(128) as u8;
        opt[8] = random.bits() as u8;
    }
    opt
}

fn any_option(random: &mut Random, clients: &[IpAddr]) -> Vec<u8> {
    match random.below(20) {
        0..=7 => cookie(random),
        8..=9 => {
            let len = random.pick(&[0, 7, 9, 16, 24, 40, 41]);
            option(COOKIE, &random.octets(len))
        }
        10 => option(NSID, &[]),
        11 => option(KEEPALIVE, &[]),
        12 => {
            let len = random.pick(&[0, 1, 40, 300]);
            option(PADDING, &vec![0; len])
        }
        13..=14 => {
            let len = random.below(20);
            option(65_001, &random.octets(len))
        }
        15 => {
            let (code, len) = (random.bits() as u16, random.below(4));
            option(code, &random.octets(len))
        }
        _ => any_client_subnet(random, clients),
    }
}

/// Mostly right; else wrong in one way.
fn any_client_subnet(random: &mut Random, clients: &[IpAddr]) -> Vec<u8> {
    let address = random.pick(clients);
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let common: &[u8] = if address.is_ipv4() {
        &[24, 24, 32, 17, 8, 25]
    } else {
        &[56, 56, 64, 48, 128, 60, 36]
    };
    let len = match random.below(4) {
        0 => random.below(bits + 1) as u8,
        1 if random.one_in(4) => 0,
        _ => random.pick(common),
    };
    let right = client_subnet(address, len);
    if !random.one_in(5) {
        return right;
    }
    let mut data = right[4..].to_vec();
    match random.below(9) {
        // Family.
        0 => data[1] = random.pick(&[0, 1, 2, 3, 16, 255]),
        1 => data[0] = 1,
        // SOURCE PREFIX-LENGTH that the address does not have, or the family.
        2 => data[2] = data[2].wrapping_add(random.pick(&[1, 8, 0xff, 0xf8])),
        3 => data[2] = random.pick(&[33, 129, 255]),
        // SCOPE PREFIX-LENGTH "MUST be set to 0 in queries".
        4 => data[3] = random.pick(&[1, 24, 255]),
        // A bit behind the prefix.
        5 => {
            if let Some(last) = data[4..].last_mut() {
                *last |= 1;
            }
        }
        // An octet too few or too many.
        6 => data.truncate(data.len() - 1),
        7 => data.push(0),
        // Hardly anything.
        _ => {
            let kept = random.below(5);
            data.truncate(kept);
        }
    }
    option(CLIENT_SUBNET, &data)
}
