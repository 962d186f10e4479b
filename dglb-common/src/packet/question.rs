//! The question (RFC 1035 §4.1.2): where its labels begin, its type and class.

use super::{Frame, Scratch, bind};
use crate::{
    counters::Counter,
    name::{MAX_LABEL_OCTETS, MAX_LABELS, fold_case},
    query::CLASS_IN,
};

/// Offset of the question's name in the message: behind the header.
pub const NAME: usize = 12;

/// Where the root's octet stands at most: a name has 255 octets (RFC 1035 §3.1).
pub(super) const MAX_ROOT: usize = 254;

/// What was asked.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Labels of the name, without the root.
    pub labels: usize,
    /// Offset of the root's octet from the name's first: 0 to 254.
    pub root: usize,
    /// QTYPE.
    pub qtype: u64,
}

impl Question {
    /// QTYPE.
    #[inline(always)]
    pub fn qtype(&self) -> u16 {
        self.qtype as u16
    }

    /// Octets of name, type and class: 5 to 259.
    #[inline(always)]
    pub fn octets(&self) -> usize {
        self.root + 5
    }
}

/// Reads the question of a message and notes where the labels begin.
///
/// # Errors
/// The name is compressed, too long or cut off, or the class is not IN.
#[inline(always)]
pub fn question(message: &Frame<'_>, scratch: &mut Scratch) -> Result<Question, Counter> {
    let form = Counter::PassedForm;
    let mut root = 0_usize;
    let mut labels = None;
    // One turn a label and one for the root. 127 labels of one octet fill 254 octets.
    for label in 0..=MAX_LABELS {
        let len = usize::from(message.read::<u8>(NAME + root).ok_or(form)?);
        if len == 0 {
            labels = Some(label);
            break;
        }
        // 64 and more: compression pointers and what was never defined (RFC 1035 §4.1.4).
        if len >= MAX_LABEL_OCTETS {
            return Err(form);
        }
        scratch.starts[label] = root as u8;
        root += 1 + len;
    }
    let labels = labels.ok_or(form)?;
    if root > MAX_ROOT {
        return Err(form);
    }
    let labels = scratch.forget(labels);
    let root = scratch.forget(root);
    let fixed = message.read::<[u8; 4]>(NAME + root + 1).ok_or(form)?;
    if u16::from_be_bytes([fixed[2], fixed[3]]) != CLASS_IN {
        return Err(form);
    }
    Ok(Question {
        labels,
        root,
        qtype: u64::from(u16::from_be_bytes([fixed[0], fixed[1]])),
    })
}

/// The 8 octets before `end`, which counts from the name's first octet, case folded. In front of the
/// name stands the DNS header, so that they are in the message.
#[inline(always)]
pub fn word_before(message: &Frame<'_>, end: usize) -> Result<u64, Counter> {
    // `end` is at most 254: the mask changes nothing, but tells the verifier that the difference that
    // it comes from is not negative.
    let word = message.read::<u64>(NAME - 8 + (bind(end) & 0xff));
    word.map(|word| fold_case(word.to_le()))
        .ok_or(Counter::PassedForm)
}
