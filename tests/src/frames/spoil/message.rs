//! Queries that are spoilt in one way each: the layers below carry them as if nothing were wrong.

use super::{
    super::{Random, opt},
    flip,
};

/// A way to spoil a query.
pub(super) type OfMessage = fn(&mut Random, Vec<u8>) -> Vec<u8>;

/// The ways, in words.
pub(super) const WAYS: &[(&str, OfMessage)] = &[
    ("cut message", |random, message| {
        message[..random.below(message.len())].to_vec()
    }),
    ("bit of the message flipped", flip),
    ("octets behind the message", |random, mut message| {
        message.resize(message.len() + 1 + random.below(20), 0);
        message
    }),
    ("QDCOUNT", |random, mut message| {
        message[4..6].copy_from_slice(&random.pick::<[u8; 2]>(&[
            [0, 0],
            [0, 2],
            [1, 1],
            [0xff; 2],
        ]));
        message
    }),
    ("other count", |random, mut message| {
        let at = random.pick(&[6, 7, 8, 9, 10, 11]);
        message[at] = random.pick(&[1, 2, 255]);
        message
    }),
    ("QR", |_, mut message| {
        message[2] |= 0x80;
        message
    }),
    ("opcode", |random, mut message| {
        message[2] |= (1 + random.below(15) as u8) << 3;
        message
    }),
    ("AA, TC, Z, RCODE of a query", |random, mut message| {
        let (at, bit) = random.pick(&[(2, 4), (2, 2), (3, 0x40), (3, 0x80), (3, 1), (3, 5)]);
        message[at] |= bit;
        message
    }),
    ("class", |random, mut message| {
        let at = end_of_question(&message) - 2;
        let class = random.pick::<u16>(&[0, 2, 3, 4, 254, 255, 256, 0x8001]);
        message[at..at + 2].copy_from_slice(&class.to_be_bytes());
        message
    }),
    ("pointer in the question", |random, mut message| {
        let end = end_of_question(&message) - 4;
        let at = 12 + random.below(end - 12);
        message[at] = 0xc0;
        message[at + 1] = random.pick(&[12, at as u8, 0, 255]);
        message
    }),
    ("label type or length", |random, mut message| {
        message[12] = random.pick(&[0x40, 0x41, 0x80, 0xbf, 62, 63, 0]);
        message
    }),
    ("name of more than 255 octets", |random, mut message| {
        let label = [&[61][..], &[b'y'; 61]].concat();
        for _ in 0..4 + random.below(3) {
            message.splice(12..12, label.iter().copied());
        }
        message
    }),
    ("second OPT", |_, message| {
        with_record(message, b"\0\0\x29\x04\xd0\0\0\0\0\0\0")
    }),
    ("OPT of version 1", |_, message| {
        with_record(
            without_records(message),
            b"\0\0\x29\x04\xd0\0\x01\x80\0\0\0",
        )
    }),
    ("OPT that the root does not own", |random, message| {
        let record = random.pick::<&[u8]>(&[
            b"\x01x\0\0\x29\x04\xd0\0\0\0\0\0\0",
            b"\xc0\x0c\0\x29\x04\xd0\0\0\0\0\0\0",
        ]);
        with_record(without_records(message), record)
    }),
    ("option longer than OPT", |random, message| {
        let record = random.pick::<&[u8]>(&[
            b"\0\0\x29\x04\xd0\0\0\0\0\0\x0c\0\x0a\0\x09abcdefgh",
            b"\0\0\x29\x04\xd0\0\0\0\0\0\x03\0\x0a\0",
            b"\0\0\x29\x04\xd0\0\0\0\0\0\x01\0",
        ]);
        with_record(without_records(message), record)
    }),
    (
        "OPT longer or shorter than the message",
        |random, message| {
            let record = random.pick::<&[u8]>(&[
                b"\0\0\x29\x04\xd0\0\0\0\0\0\x0d\0\x0a\0\x08abcdefgh",
                b"\0\0\x29\x04\xd0\0\0\0\0\0\x0b\0\x0a\0\x08abcdefgh",
                b"\0\0\x29\x04\xd0\0\0\0\0\xff\xff",
            ]);
            with_record(without_records(message), record)
        },
    ),
    ("OPT with set extended RCODE and Z", |_, message| {
        with_record(
            without_records(message),
            b"\0\0\x29\x04\xd0\x17\0\x7f\xff\0\0",
        )
    }),
    ("another record in the place of OPT", |random, message| {
        let record = random.pick::<&[u8]>(&[
            b"\0\0\x01\0\x01\0\0\0\0\0\x04\xc0\0\x02\x01",
            b"\xc0\x0c\0\x10\0\x01\0\0\0\0\0\x02\x01x",
        ]);
        with_record(message, record)
    }),
    ("nothing but a header", |_, message| message[..12].to_vec()),
    ("a length octet one more or less", |random, mut message| {
        let mut places = Vec::new();
        let mut at = 12;
        while message[at] != 0 {
            places.push(at);
            at += 1 + usize::from(message[at]);
        }
        places.push(at);
        let at = random.pick(&places);
        message[at] = if random.one_in(2) {
            message[at].wrapping_add(1)
        } else {
            message[at].wrapping_sub(1)
        };
        message
    }),
    ("OPT's length one more or less", |random, message| {
        let mut record = opt::record(1232, false, &[opt::cookie(random)]);
        record[10] = random.pick(&[record[10] + 1, record[10] - 1]);
        with_record(without_records(message), &record)
    }),
    ("an option's length one more or less", |random, message| {
        let options = [opt::cookie(random), opt::option(65_001, b"xyz")];
        let mut record = opt::record(1232, false, &options);
        let at = random.pick(&[14, 26]);
        record[at] = random.pick(&[record[at] + 1, record[at] - 1]);
        with_record(without_records(message), &record)
    }),
    ("zone transfer, or a meta type", |random, mut message| {
        let at = end_of_question(&message) - 4;
        let qtype = random.pick::<u16>(&[251, 252, 253, 254, 255, 249, 250, 128]);
        message[at..at + 2].copy_from_slice(&qtype.to_be_bytes());
        message
    }),
    ("more options than are looked at", |random, message| {
        let count = random.pick(&[8, 9, 20, 60]);
        let options: Vec<_> = (0..count).map(|_| opt::option(65_001, b"ab")).collect();
        let record = opt::record(1232, true, &options);
        with_record(without_records(message), &record)
    }),
];

/// Where the question of a sound message ends.
fn end_of_question(message: &[u8]) -> usize {
    let mut at = 12;
    while message[at] != 0 {
        at += 1 + usize::from(message[at]);
    }
    at + 5
}

fn without_records(mut message: Vec<u8>) -> Vec<u8> {
    message.truncate(end_of_question(&message));
    message[11] = 0;
    message
}

/// Once more if it has no OPT yet, so that there are two.
fn with_record(mut message: Vec<u8>, record: &[u8]) -> Vec<u8> {
    message.extend_from_slice(record);
    message[11] += 1;
    message
}
