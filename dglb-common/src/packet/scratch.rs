//! A frame's work in memory that the verifier knows less of than of the stack.

use super::{Datagram, Edns, Question, bind};
use crate::{
    client::Client,
    name::{MAX_LABELS, NameHash},
};

/// What is answered. Whole words, for the reason that [`Datagram`] gives.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Octets of the question's name in front of the base of the records.
    pub prefix: u64,
    /// Client Subnet's scope, bits.
    pub scope: u64,
    /// The answer's slot.
    pub slot: u32,
    /// Octets of its records: all or none.
    pub len: u32,
    /// What it counts as: a [`Counter`](crate::counters::Counter) as a number.
    pub row: u32,
    /// AA and TC as they stand in the header, and RCODE 8 bits higher.
    pub bits: u32,
}

impl Reply {
    /// TC in `bits` (RFC 1035 §4.1.1).
    pub const TRUNCATED: u32 = 0x02;
    /// AA in `bits`.
    pub const AUTHORITATIVE: u32 = 0x04;
}

/// Working memory for one frame at a time, one for each CPU; it goes from stage to stage.
#[repr(C)]
pub struct Scratch {
    /// What the headers said.
    pub datagram: Datagram,
    /// What was asked.
    pub question: Question,
    /// What OPT said.
    pub edns: Edns,
    /// When the daemon last said that it lives.
    pub heartbeat: u64,
    /// What is answered.
    pub reply: Reply,
    /// Where each label of the name begins, counted from the name's first octet: entry n is for the n-th
    /// label from the left.
    pub starts: [u8; MAX_LABELS + 1],
    /// The hash of the name's last words: entry n is after n words.
    hashes: [NameHash; 32],
    /// Client Subnet as it is answered: code, length, family, source, scope, address; zero behind.
    pub subnet: [u64; 3],
    /// Frames seen on this CPU, to look at the clock now and then.
    pub frames: u32,
    /// Nonzero: the daemon's heartbeat was too old when the clock was last looked at.
    pub stale: u32,
    /// Nonzero: the source is over its limit, and gets a truncated stub.
    pub limited: u32,
    forgotten: u32,
}

impl Scratch {
    /// With nothing in it.
    pub const EMPTY: Self = Self {
        datagram: Datagram {
            client: Client { word: 0, is_v6: 0 },
            ip: 0,
            to_dns: 0,
            message: 0,
            port: 0,
        },
        question: Question {
            labels: 0,
            root: 0,
            qtype: 0,
        },
        edns: Edns::ABSENT,
        heartbeat: 0,
        reply: Reply {
            prefix: 0,
            scope: 0,
            slot: 0,
            len: 0,
            row: 0,
            bits: 0,
        },
        starts: [0; MAX_LABELS + 1],
        hashes: [NameHash { a: 0, b: 0 }; 32],
        subnet: [0; 3],
        frames: 0,
        stale: 0,
        limited: 0,
        forgotten: 0,
    };

    /// What the headers said, with limits that the verifier can see.
    #[inline(always)]
    pub fn datagram(&self) -> Datagram {
        let to_dns = self.datagram.to_dns & 0x3f;
        Datagram {
            ip: self.datagram.ip & 0x1f,
            to_dns,
            message: self.datagram.message & 0x7ff,
            ..self.datagram
        }
    }

    /// What was asked, with limits that the verifier can see.
    #[inline(always)]
    pub fn question(&self) -> Question {
        // Volatile, or LLVM would know what was written.
        // SAFETY: a field of ours.
        let question = unsafe { (&raw const self.question).read_volatile() };
        Question {
            labels: question.labels & MAX_LABELS,
            root: question.root & 0xff,
            qtype: question.qtype,
        }
    }

    /// What OPT said, with limits that the verifier can see.
    #[inline(always)]
    pub fn edns(&self) -> Edns {
        // SAFETY: a field of ours; volatile as above.
        let edns = unsafe { (&raw const self.edns).read_volatile() };
        Edns {
            subnet: edns.subnet & 0x1f,
            payload: edns.payload & 0x7ff,
            ..edns
        }
    }

    /// The same number, of which the verifier knows no more than that it is below 2^8.
    ///
    /// After a loop, or behind branches, it knows it exactly, and would go through all that follows
    /// once for each value: more than a million instructions (kernel 6.18).
    #[inline(always)]
    pub fn forget(&mut self, number: usize) -> usize {
        let place = (&raw mut self.forgotten).cast::<u8>();
        // SAFETY: a field of ours.
        unsafe { place.write_volatile(number as u8) };
        // SAFETY: as above.
        usize::from(unsafe { place.read_volatile() })
    }

    /// The same number, below 2^16; else as [`Self::forget`]. For the bound of a loop, the number itself is
    /// used behind it: each turn at which the loop can end says something about the bound.
    #[inline(always)]
    pub fn forget_long(&mut self, number: usize) -> usize {
        let place = (&raw mut self.forgotten).cast::<u16>();
        // SAFETY: a field of ours.
        unsafe { place.write_volatile(number as u16) };
        // SAFETY: as above.
        usize::from(unsafe { place.read_volatile() })
    }

    /// Puts down an octet of Client Subnet's address; `index` is below 16.
    #[inline(always)]
    pub fn put_subnet_octet(&mut self, index: usize, octet: u8) {
        let address = (&raw mut self.subnet[1]).cast::<u8>();
        // SAFETY: the two words of the address have 16 octets.
        let place = unsafe { address.add(index & 15) };
        // SAFETY: as above.
        unsafe { place.write(octet) };
    }

    /// An octet of Client Subnet's address; `index` is below 16.
    #[inline(always)]
    pub fn subnet_octet(&self, index: usize) -> u8 {
        let address = (&raw const self.subnet[1]).cast::<u8>();
        // SAFETY: the two words of the address have 16 octets.
        let place = unsafe { address.add(index & 15) };
        // SAFETY: as above.
        unsafe { place.read() }
    }

    /// Puts down the hash after `words` words, 0 to 31.
    #[inline(always)]
    pub fn set_hash(&mut self, words: usize, hash: NameHash) {
        self.hashes[words & 31] = hash;
    }

    /// The hash after `words` words.
    #[inline(always)]
    pub fn hash(&self, words: usize) -> NameHash {
        self.hashes[words & 31]
    }

    /// Start of a label; `label` is below the number of labels.
    #[inline(always)]
    pub fn start(&self, label: usize) -> usize {
        // Bound, or LLVM leaves the mask out where the number is a difference: that it is not negative
        // the verifier of kernel 6.1 does not learn from a comparison of two variables.
        usize::from(self.starts[bind(label) & MAX_LABELS])
    }
}
