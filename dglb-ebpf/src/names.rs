//! The closest name of the table, found while the question's name is hashed from the root end.

use dglb_common::{
    counters::Counter,
    layout::{MAX_LABEL_COUNTS, NameWord, Secret, Settings},
    name::{NameHash, last_octets},
    name_index::{self, DISPLACEMENTS_PER_ELEMENT},
    packet::{Frame, Question, Scratch, word_before},
};

use crate::maps::{DISPLACEMENTS, NAMES};

/// A name of the table at or above the name asked.
#[derive(Clone, Copy)]
pub struct Match {
    /// Its labels.
    pub labels: usize,
    /// What it is.
    pub word: NameWord,
}

/// The name of the table that has most labels of those at or above the name asked.
#[inline(always)]
pub fn find(
    dns: &Frame<'_>,
    scratch: &mut Scratch,
    question: &Question,
    settings: &Settings,
    secret: &Secret,
) -> Result<Match, Counter> {
    let last = word_before(dns, question.root)?;
    if !settings.suffixes.may_have(secret, last) {
        return Err(Counter::PassedName);
    }
    // Only label counts that occur are looked up, the longest name first; as many octets are hashed.
    let first = first_count(scratch, question, settings);
    let most = usize::from(settings.label_counts[first]);
    if most == 0 || most > question.labels {
        return Err(Counter::PassedName);
    }
    let octets = question.root - scratch.start(question.labels - most);
    hash_words(dns, scratch, question, octets, secret)?;
    for index in 0..MAX_LABEL_COUNTS {
        if first + index >= MAX_LABEL_COUNTS {
            break;
        }
        let labels = usize::from(settings.label_counts[(first + index) % MAX_LABEL_COUNTS]);
        if labels == 0 {
            break;
        }
        let octets = question.root - scratch.start(question.labels - labels);
        let (words, rest) = (octets / 8, octets & 7);
        let first = last_octets(word_before(dns, question.root - words * 8)?, rest);
        let hash = scratch.hash(words).finish(secret, first, octets);
        if let Some(word) = lookup(hash, settings) {
            return Ok(Match { labels, word });
        }
    }
    Err(Counter::PassedName)
}

/// Octets that a name has at most for the short way: a longer one costs more than to find its labels.
const MAX_EXACT: usize = 63;

/// What the question's name is, if it is a name of the table itself.
#[inline(always)]
pub fn exact(
    dns: &Frame<'_>,
    scratch: &mut Scratch,
    question: &Question,
    settings: &Settings,
    secret: &Secret,
) -> Option<NameWord> {
    let octets = question.root;
    if octets > MAX_EXACT || settings.name_octets >> octets & 1 == 0 {
        return None;
    }
    let last = word_before(dns, octets).ok()?;
    if !settings.suffixes.may_have(secret, last) {
        return None;
    }
    let bound = scratch.forget(octets);
    let mut hash = NameHash::new(secret);
    for word in 0..MAX_EXACT / 8 {
        let taken = word * 8;
        if taken + 8 > bound {
            break;
        }
        hash = hash.absorb(secret, word_before(dns, octets - taken).ok()?);
    }
    let rest = octets & 7;
    let first = last_octets(word_before(dns, rest).ok()?, rest);
    lookup(hash.finish(secret, first, octets), settings)
}

/// Where the first label count stands that the name asked has room for; the last one where there is none.
#[inline(always)]
fn first_count(scratch: &mut Scratch, question: &Question, settings: &Settings) -> usize {
    let mut first = 0;
    for index in 0..MAX_LABEL_COUNTS {
        first = index;
        if usize::from(settings.label_counts[index]) <= question.labels {
            break;
        }
    }
    scratch.forget(first) % MAX_LABEL_COUNTS
}

/// Hashes the last `octets` of the name in whole words from its end, and puts down the hash before each
/// word.
#[inline(always)]
fn hash_words(
    dns: &Frame<'_>,
    scratch: &mut Scratch,
    question: &Question,
    octets: usize,
    secret: &Secret,
) -> Result<(), Counter> {
    let mut hash = NameHash::new(secret);
    scratch.set_hash(0, hash);
    // At most 254 octets: 31 words.
    for word in 0..31 {
        let taken = word * 8;
        if taken + 8 > octets {
            break;
        }
        hash = hash.absorb(secret, word_before(dns, question.root - taken)?);
        scratch.set_hash(word + 1, hash);
    }
    Ok(())
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
