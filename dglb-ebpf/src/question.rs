//! The question (RFC 1035 §4.1.2): where its labels begin, its type and class, and the hash of its
//! name from the root end.

use dglb_common::{
    layout::{MAX_LABEL_COUNTS, NameWord, Secret, Settings},
    name::{MAX_LABEL_OCTETS, MAX_LABELS, NameHash, fold_case, last_octets},
    name_index::{self, DISPLACEMENTS_PER_ELEMENT},
    query::CLASS_IN,
};

use crate::{
    frame::{Frame, NAME, bind},
    maps::{DISPLACEMENTS, NAMES},
    outcome::Outcome,
    scratch::Scratch,
};

/// What was asked.
#[derive(Clone, Copy)]
pub struct Question {
    /// Labels of the name, without the root.
    pub labels: usize,
    /// Offset of the root's octet from the name's first: 0 to 254.
    pub root: usize,
    /// QTYPE.
    pub qtype: u16,
}

impl Question {
    /// Octets of name, type and class: 5 to 259.
    #[inline(always)]
    pub fn octets(&self) -> usize {
        self.root + 5
    }
}

/// A balanced name at or above the name asked.
#[derive(Clone, Copy)]
pub struct Match {
    /// Its labels.
    pub labels: usize,
    /// What it is.
    pub word: NameWord,
}

/// Reads the question and notes where the labels begin.
#[inline(always)]
pub fn read(frame: &Frame, scratch: &mut Scratch) -> Result<Question, Outcome> {
    let mut root = 0_usize;
    let mut labels = 0_usize;
    let mut complete = false;
    // One turn a label and one for the root. 127 labels of one octet fill 254 octets.
    for _ in 0..MAX_LABELS + 1 {
        let len = usize::from(frame.read::<u8>(NAME + root).ok_or(Outcome::Form)?);
        if len == 0 {
            complete = true;
            break;
        }
        // 64 and more: compression pointers and what was never defined (RFC 1035 §4.1.4).
        if len >= MAX_LABEL_OCTETS {
            return Err(Outcome::Form);
        }
        scratch.starts[labels & MAX_LABELS] = root as u8;
        labels += 1;
        root += 1 + len;
        if root > 254 {
            return Err(Outcome::Form);
        }
    }
    if !complete {
        return Err(Outcome::Form);
    }
    let labels = scratch.forget(labels);
    let root = scratch.forget(root);
    let fixed = frame
        .read::<[u8; 4]>(NAME + root + 1)
        .ok_or(Outcome::Form)?;
    if u16::from_be_bytes([fixed[2], fixed[3]]) != CLASS_IN {
        return Err(Outcome::Form);
    }
    Ok(Question {
        labels,
        root,
        qtype: u16::from_be_bytes([fixed[0], fixed[1]]),
    })
}

/// The balanced name at or above the name asked, found while the name is hashed from the root end.
///
/// There is at most one: the configuration does not allow a balanced name below another.
#[inline(always)]
pub fn find(
    frame: &Frame,
    scratch: &mut Scratch,
    question: &Question,
    settings: &Settings,
    secret: &Secret,
) -> Result<Match, Outcome> {
    let mut hash = NameHash::new(secret);
    // Octets before the root that are in `hash`, a multiple of 8.
    let mut taken = 0;
    // Only label counts that occur are looked up, and no octet is hashed beyond the highest of them.
    for index in 0..MAX_LABEL_COUNTS {
        let labels = usize::from(settings.label_counts[index]);
        if labels > question.labels {
            break;
        }
        let octets = question.root - scratch.start(question.labels - labels);
        // At most 254 octets: 31 words.
        for _ in 0..31 {
            if taken + 8 > octets {
                break;
            }
            hash = hash.absorb(secret, word_before(frame, question.root - taken)?);
            taken += 8;
        }
        taken = scratch.forget(taken);
        let rest = (octets - taken) & 7;
        let first = last_octets(word_before(frame, question.root - taken)?, rest);
        if let Some(word) = lookup(hash.finish(secret, first, octets), settings) {
            return Ok(Match { labels, word });
        }
    }
    Err(Outcome::Name)
}

/// The 8 octets before `end`, which counts from the name's first octet, case folded. In front of the
/// name stands the DNS header, so that they are in the frame.
#[inline(always)]
fn word_before(frame: &Frame, end: usize) -> Result<u64, Outcome> {
    // `end` is at most 254: the mask changes nothing, but tells the verifier that the difference that
    // it comes from is not negative.
    let word = frame.read::<u64>(NAME - 8 + (bind(end) & 0xff));
    word.map(|word| fold_case(word.to_le()))
        .ok_or(Outcome::Form)
}

#[inline(always)]
fn lookup(hash: NameHash, settings: &Settings) -> Option<NameWord> {
    let bucket = name_index::bucket(hash, settings.name_buckets_mask);
    let element = DISPLACEMENTS.get(bucket / DISPLACEMENTS_PER_ELEMENT)?;
    let displacement = name_index::displacement(*element, bucket);
    let slot = NAMES.get(name_index::slot(
        hash,
        displacement,
        settings.name_slots_mask,
    ))?;
    (slot.key == hash.key()).then_some(NameWord(slot.value.word))
}
