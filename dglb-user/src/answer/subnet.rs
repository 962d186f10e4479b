//! Client Subnet (RFC 7871), from those resolvers that the operator lists: read, and answered.
//!
//! From anybody else the option is unknown to us: neither read nor echoed (RFC 6891 §6.1.2).

use std::net::IpAddr;

use dglb_common::{client::Client, layout::Settings};

use crate::tables;

/// Address family numbers (RFC 7871 §6).
const FAMILY_IPV4: u16 = 1;
const FAMILY_IPV6: u16 = 2;
/// Octets in front of the address: family, two lengths.
const HEAD: usize = 4;

/// A well-formed option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClientSubnet {
    family: u16,
    source_len: u8,
    /// The leading octets of the address; zeros behind.
    address: [u8; 16],
}

impl ClientSubnet {
    /// Reads the option's data. `None`: it is malformed. RFC 7871 §7.2.1: "A query with a wrongly
    /// formatted option (e.g., an unknown FAMILY) MUST be rejected and a FORMERR response MUST be returned
    /// to the sender".
    pub(super) fn read(data: &[u8]) -> Option<Self> {
        let (&[family_0, family_1, source_len, scope], octets) =
            data.split_first_chunk::<HEAD>()?;
        let family = u16::from_be_bytes([family_0, family_1]);
        let bits = match family {
            FAMILY_IPV4 => 32,
            FAMILY_IPV6 => 128,
            _ => return None,
        };
        // §6: in queries the scope "MUST be set to 0"; the address "MUST be truncated to the number of
        // bits indicated by the SOURCE PREFIX-LENGTH field, padding with 0 bits to pad to the end of the
        // last octet needed".
        if source_len > bits || scope != 0 || octets.len() != octets_of(source_len) {
            return None;
        }
        let unused = (8 - source_len % 8) % 8;
        let is_padded = octets
            .last()
            .is_none_or(|last| last.trailing_zeros() >= u32::from(unused));
        let mut address = [0; 16];
        address[..octets.len()].copy_from_slice(octets);
        is_padded.then_some(Self {
            family,
            source_len,
            address,
        })
    }

    /// The option's data in a response: as asked, with the scope (§7.2.1).
    pub(super) fn in_response(&self, scope: u8) -> Vec<u8> {
        let mut data = self.family.to_be_bytes().to_vec();
        data.extend_from_slice(&[self.source_len, scope]);
        data.extend_from_slice(&self.address[..octets_of(self.source_len)]);
        data
    }

    /// The client, unless the resolver says nothing of it by a length of 0 (§7.1.2).
    pub(super) fn client(&self) -> Option<(Client, u8)> {
        let [a, b, c, d, ..] = self.address;
        let client = match self.family {
            FAMILY_IPV4 => Client::v4([a, b, c, d]),
            _ => Client::v6(self.address),
        };
        (self.source_len != 0).then_some((client, self.source_len))
    }
}

/// Octets that `bits` bits take.
fn octets_of(bits: u8) -> usize {
    usize::from(bits).div_ceil(8)
}

/// Whether the operator lists `source` as one whose Client Subnet is believed (RFC 7871 §7.2).
pub(super) fn is_believed(settings: &Settings, source: IpAddr) -> bool {
    let (senders, count) = match source {
        IpAddr::V4(_) => (&settings.subnet_senders_v4, settings.subnet_sender_count_v4),
        IpAddr::V6(_) => (&settings.subnet_senders_v6, settings.subnet_sender_count_v6),
    };
    let client = tables::client(source);
    let mut senders = senders.iter().take(count as usize);
    senders.any(|sender| client.is_in(sender))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &[u8]) -> Option<ClientSubnet> {
        ClientSubnet::read(data)
    }

    #[test]
    fn what_was_asked_is_echoed_with_the_scope() {
        let v4 = [0, 1, 22, 0, 198, 51, 100];
        let echoed = read(&v4).map(|subnet| subnet.in_response(24));
        assert_eq!(echoed, Some(vec![0, 1, 22, 24, 198, 51, 100]));
        let mut v6 = vec![0, 2, 128, 0];
        v6.extend_from_slice(&[0xff; 16]);
        let echoed = read(&v6).map(|subnet| subnet.in_response(0));
        assert_eq!(echoed, Some(v6));
    }

    #[test]
    fn no_bits_are_nobody() {
        let nothing = read(&[0, 2, 0, 0]).expect("well-formed");
        assert_eq!(nothing.client(), None);
        assert_eq!(nothing.in_response(0), [0, 2, 0, 0]);
        let v4 = read(&[0, 1, 1, 0, 128]).expect("well-formed");
        assert_eq!(v4.client(), Some((Client::v4([128, 0, 0, 0]), 1)));
    }

    #[test]
    fn what_is_malformed_is_none() {
        let malformed: &[&[u8]] = &[
            &[],
            &[0],
            &[0, 1],
            &[0, 1, 24],
            // Families that nobody assigned.
            &[0, 0, 0, 0],
            &[0, 3, 0, 0],
            &[1, 1, 0, 0],
            // Longer than an address.
            &[0, 1, 33, 0, 1, 2, 3, 4, 0],
            &[
                0, 2, 129, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0,
            ],
            // A scope in a query.
            &[0, 1, 24, 1, 198, 51, 100],
            // Too few and too many octets.
            &[0, 1, 24, 0, 198, 51],
            &[0, 1, 24, 0, 198, 51, 100, 0],
            &[0, 1, 0, 0, 0],
            &[0, 1, 25, 0, 198, 51, 100],
            // §6: "non-zero ADDRESS bits set beyond SOURCE PREFIX-LENGTH".
            &[0, 1, 22, 0, 198, 51, 0b0000_0001],
            &[0, 1, 22, 0, 198, 51, 0b0000_0010],
            &[0, 2, 57, 0, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0x40],
        ];
        for data in malformed {
            assert_eq!(read(data), None, "{data:?}");
        }
    }
}
