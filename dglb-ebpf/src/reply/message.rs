//! The DNS message of the reply: question, records, OPT, header.

use dglb_common::{
    checksum,
    layout::{Answer, MAX_ANSWER_OCTETS, MAX_POINTERS},
    packet::{Edns, Frame, NAME, OPT_OCTETS, Question, Reply, SUBNET_HEAD, Scratch, bind},
    query::{OUR_PAYLOAD_SIZE, TYPE_OPT},
};

use super::headers::Saved;

/// Octets that a frame grows by at most: records, and OPT with Client Subnet.
const MAX_GROWTH: usize = MAX_ANSWER_OCTETS + OPT_OCTETS + 24;

/// The DNS message of the reply.
pub struct Message<'a> {
    /// The frame from the DNS header on.
    pub dns: Frame<'a>,
    pub saved: &'a Saved,
    pub question: &'a Question,
    /// Octets of the question once more, see [`Scratch::forget_long`].
    pub question_bound: usize,
    /// Octets of the records: all or none.
    pub len: usize,
    /// The same once more.
    pub len_bound: usize,
    pub edns: &'a Edns,
    pub scratch: &'a Scratch,
    pub answer: &'a Answer,
    pub reply: &'a Reply,
    /// Octets that the query's content has moved back by.
    pub moved: usize,
}

impl Message<'_> {
    /// Writes what is behind the header, and gives its sum.
    #[inline(always)]
    pub fn write(&self) -> Option<u64> {
        let mut sum = self.move_question()?;
        if self.len != 0 {
            // The question begins at an even offset of the datagram; so do the records unless its
            // length is odd.
            let records = self.write_records()?;
            sum += checksum::at_offset(checksum::fold(records), self.question.octets());
        }
        if self.edns.present != 0 {
            sum += self.write_opt()?;
        }
        Some(sum)
    }

    /// Moves the question to its place behind the DNS header and gives its sum.
    ///
    /// The place is in front of where it was, so that words can be copied from the first to the last;
    /// the last one overlaps the one before it, and was read before anything moved.
    #[inline(always)]
    fn move_question(&self) -> Option<u64> {
        let octets = self.question.octets();
        let moved = bind(self.moved);
        if moved > MAX_GROWTH {
            return None;
        }
        let mut sum = 0;
        // At most 259 octets: 32 whole words.
        for word in 0..32 {
            let at = word * 8;
            if at + 8 > self.question_bound {
                break;
            }
            let value = self.dns.read::<u64>(NAME + at + moved)?;
            self.dns.write(NAME + at, value)?;
            sum = checksum::add_word(sum, value);
        }
        self.dns.write(NAME - 8 + octets, self.saved.question_end)?;
        let rest = octets & 7;
        if rest != 0 {
            // The first of the 8 octets were added already.
            sum = checksum::add_word(sum, self.saved.question_end >> ((8 - rest) * 8));
        }
        Some(sum)
    }

    /// Copies the records, moves their pointers, and gives their sum as at an even offset.
    #[inline(always)]
    fn write_records(&self) -> Option<u64> {
        let answer = self.answer;
        let records = NAME + self.question.octets();
        let len = self.len;
        // In words of 8 octets; the last word overlaps the one before it.
        for word in 0..MAX_ANSWER_OCTETS / 8 {
            let at = word * 8;
            if at + 8 > self.len_bound {
                break;
            }
            self.dns
                .write::<u64>(records + at, read_octets(answer, at))?;
        }
        let last = len.wrapping_sub(8) & (MAX_ANSWER_OCTETS - 1);
        self.dns
            .write::<u64>(records + last, read_octets(answer, last))?;
        let to_records = usize::from(answer.record_pointers);
        // Those to the base stand behind, and need no move where the base is the question.
        let prefix = self.reply.prefix as usize & 0xff;
        let count = match prefix {
            0 => to_records,
            _ => to_records + usize::from(answer.base_pointers),
        };
        let octets = self.question.octets();
        let mut sum = u64::from(answer.sum);
        for index in 0..MAX_POINTERS {
            if index >= count {
                break;
            }
            // Without a branch, for the verifier.
            let is_to_record = (index as i64 - to_records as i64) >> 63;
            let by_which = (octets ^ prefix) & is_to_record as usize;
            let moved = prefix ^ by_which;
            sum += self.move_pointer(records, answer.pointers[index], moved as u16)?;
        }
        Some(sum)
    }

    /// Adds to a pointer of the records; gives what that adds to their sum.
    #[inline(always)]
    fn move_pointer(&self, records: usize, at: u16, moved: u16) -> Option<u64> {
        let at = usize::from(at) & (MAX_ANSWER_OCTETS - 1);
        let pointer = u16::from_be(self.dns.read::<u16>(records + at)?);
        self.dns
            .write(records + at, pointer.wrapping_add(moved).to_be())?;
        Some(checksum::at_offset(moved.to_be(), at))
    }

    /// Writes our OPT (RFC 6891 §6.1.2, §6.1.3) with Client Subnet where it was asked with; gives its sum.
    #[inline(always)]
    fn write_opt(&self) -> Option<u64> {
        let at = self.question.octets() + self.len;
        let subnet = self.edns.subnet;
        let [type_0, type_1] = TYPE_OPT.to_be_bytes();
        let [size_0, size_1] = OUR_PAYLOAD_SIZE.to_be_bytes();
        let dnssec_ok = self.edns.dnssec_ok as u8;
        let record: [u8; OPT_OCTETS] = [
            0,
            type_0,
            type_1,
            size_0,
            size_1,
            0,
            0,
            dnssec_ok,
            0,
            0,
            subnet as u8,
        ];
        self.dns.write(NAME + at, record)?;
        let words = [
            [0, type_0],
            [type_1, size_0],
            [size_1, 0],
            [0, dnssec_ok],
            [subnet as u8, 0],
        ];
        let mut sum = 0;
        for word in words {
            sum += u64::from(u16::from_ne_bytes(word));
        }
        let mut sum = checksum::at_offset(checksum::fold(sum), at);
        if subnet != 0 {
            sum += self.write_subnet(at + OPT_OCTETS)?;
        }
        Some(sum)
    }

    /// Writes Client Subnet (RFC 7871 §6) at `at` behind the header, and gives its sum.
    #[inline(always)]
    fn write_subnet(&self, at: usize) -> Option<u64> {
        let [head, first, second] = self.scratch.subnet;
        let head = (head.to_le() | self.reply.scope << 56).to_le();
        self.dns.write(NAME + at, head)?;
        let octets = self.edns.subnet;
        for index in 0..16 {
            if SUBNET_HEAD + index >= octets {
                break;
            }
            let octet = self.scratch.subnet_octet(index);
            self.dns.write(NAME + at + SUBNET_HEAD + index, octet)?;
        }
        // What is behind the address is zero, and adds nothing.
        let sum = checksum::add_word(0, head);
        let sum = checksum::add_word(checksum::add_word(sum, first), second);
        Some(checksum::at_offset(checksum::fold(sum), at))
    }

    /// The DNS header.
    #[inline(always)]
    pub fn header(&self, recursion_available: u32) -> [u32; 3] {
        let [id_0, id_1, flags_0, flags_1] = self.saved.dns.to_ne_bytes();
        let bits = self.reply.bits;
        let ra = if recursion_available != 0 { 0x80 } else { 0 };
        // QR, AA and TC as the reply says, RD copied; RA, CD copied, RCODE.
        let flags = [
            0x80 | bits as u8 | (flags_0 & 0x01),
            ra | (flags_1 & 0x10) | (bits >> 8) as u8,
        ];
        let answer = self.answer;
        let counts = if self.len == 0 {
            [0; 3]
        } else {
            [answer.answers, answer.authorities, answer.additionals]
        };
        let additionals = counts[2] + self.edns.present as u8;
        [
            u32::from_ne_bytes([id_0, id_1, flags[0], flags[1]]),
            u32::from_ne_bytes([0, 1, 0, counts[0]]),
            u32::from_ne_bytes([0, counts[1], 0, additionals]),
        ]
    }
}

/// 8 octets of the records; `at` is below [`MAX_ANSWER_OCTETS`].
#[inline(always)]
fn read_octets(answer: &Answer, at: usize) -> u64 {
    // SAFETY: `octets` is followed by 8 octets of slack, so that any offset below its size is good
    // for 8 octets of the same map value.
    let pointer = unsafe { (&raw const answer.octets).cast::<u8>().add(at) };
    // SAFETY: as above.
    unsafe { pointer.cast::<u64>().read_unaligned() }
}
