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
    /// A query for `name`, letters in random case, with what resolvers bring along.
    pub fn random(random: &mut Random, name: &[u8]) -> Self {
        let mut header = [0; 12];
        header[..2].copy_from_slice(&random.bits().to_be_bytes()[..2]);
        // RD; AD and CD.
        header[2] = random.below(2) as u8;
        header[3] = random.pick(&[0, 0, 0x10, 0x20, 0x30]);
        header[5] = 1;
        let mut rest = [0, 0, 0, 1];
        rest[..2].copy_from_slice(&qtype(random).to_be_bytes());
        let with_opt = random.below(10) < 7;
        header[11] = u8::from(with_opt);
        Self {
            header,
            name: in_random_case(random, name),
            rest,
            additionals: with_opt.then(|| opt(random)).into_iter().collect(),
        }
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
        11..=12 => random.pick(&SOME),
        13 => random.below(65_536) as u16,
        14 => random.below(130) as u16,
        _ => 248 + random.below(12) as u16,
    }
}

fn in_random_case(random: &mut Random, name: &[u8]) -> Vec<u8> {
    let bits = if random.one_in(2) { random.bits() } else { 0 };
    let turn = |(index, octet): (usize, &u8)| {
        if octet.is_ascii_alphabetic() && bits >> (index % 64) & 1 == 1 {
            octet ^ 0x20
        } else {
            *octet
        }
    };
    let mut turned: Vec<u8> = name.iter().enumerate().map(turn).collect();
    // Length octets of 65 and more do not exist, those below stay: none is a letter.
    debug_assert!(
        name.iter()
            .zip(&mut turned)
            .all(|(was, is)| was.eq_ignore_ascii_case(is))
    );
    turned.truncate(name.len());
    turned
}

/// An OPT record as resolvers send it, sometimes with options that few send.
fn opt(random: &mut Random) -> Vec<u8> {
    let payloads = [0, 512, 513, 600, 1232, 1232, 1400, 4096, 65_535];
    let mut record = vec![0, 0, 41];
    record.extend_from_slice(&random.pick::<u16>(&payloads).to_be_bytes());
    record.extend_from_slice(&[0, 0, random.pick(&[0, 0x80]), 0]);
    let mut options = Vec::new();
    for _ in 0..random.pick(&[0, 0, 1, 1, 2, 3]) {
        options.extend(option(random));
    }
    record.extend_from_slice(&(options.len() as u16).to_be_bytes());
    record.extend_from_slice(&options);
    record
}

fn option(random: &mut Random) -> Vec<u8> {
    // NSID, COOKIE with and without the server's half, EXPIRE, keepalive, padding, unknown, ECS.
    let kinds: [(u16, usize); 9] = [
        (10, 8),
        (10, 8),
        (10, 24),
        (10, 24),
        (3, 0),
        (11, 0),
        (12, 40),
        (65_001, 5),
        (8, 7),
    ];
    let (code, len) = random.pick(&kinds);
    let mut option = code.to_be_bytes().to_vec();
    option.extend_from_slice(&(len as u16).to_be_bytes());
    if code == 8 {
        option.extend_from_slice(&[0, 1, 24, 0, 192, 0, 2]);
    } else {
        option.extend((0..len).map(|_| random.below(256) as u8));
    }
    option
}
