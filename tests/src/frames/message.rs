//! DNS queries in octets.

use super::Random;

/// A query, its parts apart so that each can be spoilt.
#[derive(Clone, Debug)]
pub struct Message {
    /// The header, counts included.
    pub header: [u8; 12],
    /// QNAME.
    pub name: Vec<u8>,
    /// QTYPE and QCLASS.
    pub rest: [u8; 4],
    /// Records of the additional section, whole.
    pub additionals: Vec<Vec<u8>>,
}

impl Message {
    /// A query for `name`, letters as they are, without EDNS.
    pub fn plain(name: &[u8], qtype: u16) -> Self {
        let mut rest = [0, 0, 0, 1];
        rest[..2].copy_from_slice(&qtype.to_be_bytes());
        Self {
            header: [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0],
            name: name.to_vec(),
            rest,
            additionals: Vec::new(),
        }
    }

    /// A query for `name`, letters in random case, with the header bits that resolvers set.
    pub fn random(random: &mut Random, name: &[u8]) -> Self {
        let mut message = Self::plain(&in_random_case(random, name), qtype(random));
        message.header[..2].copy_from_slice(&random.bits().to_be_bytes()[..2]);
        // RD; AD and CD.
        message.header[2] = random.below(2) as u8;
        message.header[3] = random.pick(&[0, 0, 0x10, 0x20, 0x30]);
        message
    }

    /// The same with one more record in the additional section.
    pub fn with(mut self, record: Vec<u8>) -> Self {
        self.additionals.push(record);
        self.header[11] += 1;
        self
    }

    /// The message.
    pub fn octets(&self) -> Vec<u8> {
        let mut octets = self.header.to_vec();
        octets.extend_from_slice(&self.name);
        octets.extend_from_slice(&self.rest);
        octets.extend(self.additionals.iter().flatten());
        octets
    }
}

/// A, AAAA and HTTPS mostly, as resolvers ask; each other type now and then.
fn qtype(random: &mut Random) -> u16 {
    const SOME: [u16; 30] = [
        0, 2, 5, 6, 12, 13, 15, 16, 33, 35, 39, 41, 43, 44, 46, 47, 48, 50, 51, 52, 59, 60, 62, 64,
        127, 128, 255, 256, 257, 258,
    ];
    match random.below(16) {
        0..=4 => 1,
        5..=7 => 28,
        8..=9 => 65,
        10 => 2,
        11 => 6,
        12 => random.pick(&SOME),
        13 => random.below(65_536) as u16,
        14 => random.below(130) as u16,
        _ => 248 + random.below(12) as u16,
    }
}

fn in_random_case(random: &mut Random, name: &[u8]) -> Vec<u8> {
    let bits = if random.one_in(2) { random.bits() } else { 0 };
    // Length octets stay: none is a letter, as they are below 64.
    let turn = |(index, octet): (usize, &u8)| {
        if octet.is_ascii_alphabetic() && bits >> (index % 64) & 1 == 1 {
            octet ^ 0x20
        } else {
            *octet
        }
    };
    name.iter().enumerate().map(turn).collect()
}

/// One to many labels in front, up to the longest name.
pub(super) fn with_labels_before(random: &mut Random, name: &[u8]) -> Vec<u8> {
    let most = if random.one_in(4) {
        255
    } else {
        (name.len() + 20).min(255)
    };
    let mut name = name.to_vec();
    loop {
        let room = most - name.len().min(most);
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
