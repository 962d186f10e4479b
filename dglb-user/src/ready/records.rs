//! Resource records that are being written (RFC 1035 §4.1.3), with a list of their compression pointers.

use dglb_common::{
    checksum,
    counters::Counter,
    layout::{Answer, MAX_ANSWER_OCTETS, MAX_POINTERS, RECORDS_BASE},
    query::CLASS_IN,
};

use super::{TooLarge, names::Base};
use crate::{label::Label, name::OwnerName};

/// Where the question's name begins in a message: behind the header (RFC 1035 §4.1.1).
const QUESTION_OFFSET: u16 = 12;
/// The two high bits of a compression pointer (RFC 1035 §4.1.4).
const POINTER: u16 = 0xc000;
/// Label of a DNS-LB's name server host below its own label, form C.
const HOST_LABEL: &[u8] = b"\x02ns";

/// Owner of a record.
#[derive(Clone, Copy)]
pub(super) enum Owner {
    /// The base itself.
    Base,
    /// What begins so many octets into the base.
    InBase(u16),
    /// The name that stands at this position among the records.
    Record(u16),
    /// The name asked, wherever the base is.
    Question,
}

/// Records that are being written.
#[derive(Default)]
pub(super) struct Records {
    octets: Vec<u8>,
    base_pointers: Vec<u16>,
    record_pointers: Vec<u16>,
}

impl Records {
    /// Appends octets.
    pub(super) fn put(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    /// Where the next octet will stand.
    pub(super) fn position(&self) -> u16 {
        self.octets.len() as u16
    }

    /// `labels` in front of the base.
    pub(super) fn below_base(&mut self, labels: &[u8]) {
        self.put(labels);
        self.base_pointer(0);
    }

    /// `ns.label.N`, where the base is `L.N`.
    pub(super) fn host_beside(&mut self, label: &Label) {
        let label = label.wire();
        self.put(HOST_LABEL);
        self.put(&label);
        // Labels have one length: behind the base's own one N begins.
        self.base_pointer(label.len() as u16);
    }

    /// Any name, ended by a pointer where the base allows it.
    pub(super) fn name(&mut self, name: &OwnerName, base: Base<'_>) {
        let mut rest = name.wire();
        while rest.len() > 1 {
            if let Some(offset) = base.offset_of(rest) {
                self.base_pointer(offset);
                return;
            }
            let (label, after) = rest.split_at(1 + usize::from(rest[0]));
            self.put(label);
            rest = after;
        }
        self.put(&[0]);
    }

    /// One resource record.
    pub(super) fn rr(&mut self, owner: Owner, rtype: u16, ttl: u32, rdata: impl FnOnce(&mut Self)) {
        match owner {
            Owner::Base => self.base_pointer(0),
            Owner::InBase(offset) => self.base_pointer(offset),
            Owner::Record(position) => self.record_pointer(position),
            Owner::Question => self.put(&(POINTER | QUESTION_OFFSET).to_be_bytes()),
        }
        self.put(&rtype.to_be_bytes());
        self.put(&CLASS_IN.to_be_bytes());
        self.put(&ttl.to_be_bytes());
        let length_at = self.octets.len();
        self.put(&[0, 0]);
        rdata(self);
        let length = (self.octets.len() - length_at - 2) as u16;
        self.octets[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
    }

    /// The records of `row` as the tables have them; sections, AA and RCODE are the caller's.
    pub(super) fn finish(self, row: Counter) -> Result<Answer, TooLarge> {
        let pointers = [self.record_pointers.as_slice(), &self.base_pointers].concat();
        if self.octets.len() > MAX_ANSWER_OCTETS || pointers.len() > MAX_POINTERS {
            return Err(TooLarge);
        }
        let mut answer = Answer {
            row: row as u32,
            sum: checksum::of(&self.octets),
            len: self.octets.len() as u16,
            record_pointers: self.record_pointers.len() as u8,
            base_pointers: self.base_pointers.len() as u8,
            ..Answer::EMPTY
        };
        answer.octets[..self.octets.len()].copy_from_slice(&self.octets);
        answer.pointers[..pointers.len()].copy_from_slice(&pointers);
        Ok(answer)
    }

    /// A compression pointer to `offset` octets into the base.
    fn base_pointer(&mut self, offset: u16) {
        self.base_pointers.push(self.position());
        self.put(&(POINTER | (QUESTION_OFFSET + offset)).to_be_bytes());
    }

    /// A compression pointer to the name at `position` among the records.
    fn record_pointer(&mut self, position: u16) {
        self.record_pointers.push(self.position());
        self.put(&(POINTER | (RECORDS_BASE + position)).to_be_bytes());
    }
}
