//! The question (RFC 1035 §4.1.2): where its labels begin, its type and class, and the hash of its
//! name from the root end.

use dglb_common::{
    layout::{MAX_NAME_LABELS, NameKey, NameWord, Secret, Settings},
    name::{MAX_LABEL_OCTETS, MAX_LABELS, NameHash, cut_word, fold_case},
    query::CLASS_IN,
};

use crate::{
    frame::{Frame, NAME, bind},
    maps::NAMES,
    outcome::Outcome,
};

/// Where each label of the name begins, counted from the name's first octet.
#[repr(C)]
pub struct Scratch {
    /// Entry n is for the n-th label from the left.
    pub starts: [u8; MAX_LABELS + 1],
    /// See [`Scratch::forget`].
    forgotten: [u8; 2],
}

impl Scratch {
    /// The same numbers, of which the verifier knows no more than that they are octets.
    ///
    /// After a loop it knows them exactly, and would go through all that follows once for each turn
    /// at which the loop can end: more than a million instructions (kernel 6.18).
    #[inline(always)]
    fn forget(&mut self, numbers: [usize; 2]) -> [usize; 2] {
        let place = &raw mut self.forgotten;
        // SAFETY: a field of ours.
        unsafe { place.write_volatile(numbers.map(|number| number as u8)) };
        // SAFETY: as above.
        unsafe { place.read_volatile() }.map(usize::from)
    }

    /// Start of a label; `label` is below the number of labels.
    #[inline(always)]
    pub fn start(&self, label: usize) -> usize {
        usize::from(self.starts[label & MAX_LABELS])
    }
}

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
    for _ in 0..=MAX_LABELS {
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
    let [labels, root] = scratch.forget([labels, root]);
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
    scratch: &Scratch,
    question: &Question,
    settings: &Settings,
    secret: &Secret,
) -> Result<Match, Outcome> {
    let mut hash = NameHash::root(secret);
    let mut end = question.root;
    let mut counts = settings.label_counts;
    // Only label counts that occur are looked up, and nothing is hashed beyond the highest of them.
    for labels in 1..=MAX_NAME_LABELS {
        counts >>= 1;
        if labels > question.labels || counts == 0 {
            break;
        }
        let start = scratch.start(question.labels - labels);
        hash = label(frame, secret, hash, start, end)?;
        end = start;
        if counts & 1 != 0 {
            if let Some(word) = lookup(hash) {
                return Ok(Match { labels, word });
            }
        }
    }
    Err(Outcome::Name)
}

/// Takes one label into the hash, in words of 8 octets from its end.
#[inline(always)]
fn label(
    frame: &Frame,
    secret: &Secret,
    mut hash: NameHash,
    start: usize,
    end: usize,
) -> Result<NameHash, Outcome> {
    let octets = end - start;
    // A label and its length octet have at most 64 octets: 8 words.
    for done in (0..MAX_LABEL_OCTETS).step_by(8) {
        if done >= octets {
            break;
        }
        // The DNS header stands in front of the name, so 8 octets before its end are in the frame.
        // `end` is at most 254: the mask changes nothing, but tells the verifier that the
        // difference is not negative.
        let before = NAME - 8 + (bind(end - done) & 0xff);
        let word = frame.read::<u64>(before).ok_or(Outcome::Form)?;
        hash = hash.absorb(secret, fold_case(cut_word(word.to_le(), octets - done)));
    }
    Ok(hash)
}

#[inline(always)]
fn lookup(hash: NameHash) -> Option<NameWord> {
    let key = NameKey {
        a: hash.a,
        b: hash.b,
    };
    let value = NAMES.get_ptr(&key)?;
    // SAFETY: a pointer that the map gave; its first field is an aligned word that is read once.
    let word = NameWord(unsafe { (&raw const (*value).word).read_volatile() });
    (word.check() == hash.check()).then_some(word)
}
