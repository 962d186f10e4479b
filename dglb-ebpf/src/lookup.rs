//! Which ready answer a question gets: the rows of the answer table that the kernel claims.

use dglb_common::{
    counters::Counter,
    layout::{
        Answer, AnswerRef, KIND_A, KIND_AAAA, KIND_CNAME, KIND_NODATA, KIND_NXDOMAIN,
        KIND_REFERRAL, LabelKey, MappingWord, NameRole, ResolverKey, Settings, VantageValue,
        label_check, ranking_place,
    },
    name::fold_case,
    query::{TYPE_A, TYPE_AAAA, TYPE_NS, is_fast_type},
};

use crate::{
    frame::{Frame, NAME},
    maps::{ANSWERS, LABELS, RANKINGS, RESOLVERS_V4, VANTAGES},
    outcome::Outcome,
    question::{Match, Question},
    scratch::Scratch,
};

/// A ready answer, and where the name that it belongs to begins in the question's name.
pub struct Found {
    /// The records.
    pub answer: &'static Answer,
    /// Octets of the question's name in front of that name: 0 to 254.
    pub prefix: usize,
}

/// What the answer depends on, before the vantage's table is read.
struct Choice {
    vantage: u32,
    kind: u32,
    prefix: usize,
}

/// The ready answer for the question.
#[inline(always)]
pub fn answer(
    frame: &Frame,
    scratch: &Scratch,
    question: &Question,
    matched: &Match,
    settings: &Settings,
    source: u32,
) -> Result<Found, Outcome> {
    if !is_fast_type(question.qtype) {
        return Err(Outcome::Type);
    }
    let role = NameRole::from_u8(matched.word.role()).ok_or(Outcome::Table)?;
    // Labels in front of the balanced name.
    let depth = question.labels - matched.labels;
    let choice = match role {
        NameRole::BReferral => Choice {
            vantage: vantage_of(source, settings)?,
            kind: KIND_REFERRAL,
            prefix: start_of(scratch, question, depth),
        },
        NameRole::BCname if depth == 0 => at_alias(question, settings, source)?,
        NameRole::BCname => {
            let prefix = start_of(scratch, question, depth - 1);
            Choice {
                vantage: vantage_of_label(frame, prefix)?,
                kind: KIND_REFERRAL,
                prefix,
            }
        }
        NameRole::LbReferral => {
            let prefix = start_of(scratch, question, depth);
            let host = depth == 1 && has_label_form(frame)?;
            at_or_below(question, settings.default_vantage, prefix, depth, host)?
        }
        // The balanced name itself is not a DNS-LB's in form C.
        NameRole::LbCname if depth == 0 => return Err(Outcome::Name),
        NameRole::LbCname => {
            let prefix = start_of(scratch, question, depth - 1);
            let vantage = vantage_of_label(frame, prefix)?;
            let host = depth == 2 && is_ns_label(frame)?;
            at_or_below(question, vantage, prefix, depth - 1, host)?
        }
    };
    let answer = ready_answer(choice.vantage, matched.word.group(), choice.kind, settings)?;
    Ok(Found {
        answer,
        prefix: choice.prefix,
    })
}

/// Where the label begins that has `depth` labels to its left.
#[inline(always)]
fn start_of(scratch: &Scratch, question: &Question, depth: usize) -> usize {
    // A balanced name has at least one label, so `depth` is below the number of labels.
    if depth < question.labels {
        scratch.start(depth)
    } else {
        question.root
    }
}

/// `b-c-name`: the balanced name of form C, a zone apex.
#[inline(always)]
fn at_alias(question: &Question, settings: &Settings, source: u32) -> Result<Choice, Outcome> {
    if question.qtype == TYPE_NS {
        return Err(Outcome::Type);
    }
    Ok(Choice {
        vantage: vantage_of(source, settings)?,
        kind: KIND_CNAME,
        prefix: 0,
    })
}

/// `lb-address`, `lb-nodata`, `lb-nxdomain`: what was delegated to the DNS-LB, and names `depth`
/// labels below it. A name server's host name is left to user space.
#[inline(always)]
fn at_or_below(
    question: &Question,
    vantage: u32,
    prefix: usize,
    depth: usize,
    host: bool,
) -> Result<Choice, Outcome> {
    let kind = match (depth, question.qtype) {
        (0, TYPE_NS) => return Err(Outcome::Type),
        (0, TYPE_A) => KIND_A,
        (0, TYPE_AAAA) => KIND_AAAA,
        (0, _) => KIND_NODATA,
        _ if host => return Err(Outcome::Name),
        _ => KIND_NXDOMAIN,
    };
    Ok(Choice {
        vantage,
        kind,
        prefix,
    })
}

/// The vantage of who asks: mapped, or the default.
#[inline(always)]
fn vantage_of(source: u32, settings: &Settings) -> Result<u32, Outcome> {
    if settings.maps_resolvers == 0 {
        return Ok(settings.default_vantage);
    }
    let key = ResolverKey {
        addr: source.to_ne_bytes(),
    };
    let Some(value) = RESOLVERS_V4.get_ptr(&key) else {
        return Ok(settings.default_vantage);
    };
    // SAFETY: a pointer that the map gave; the value is aligned to 8 and its first word is read once.
    let word = MappingWord(unsafe { value.cast::<u64>().read_volatile() });
    if word.check() != key.check() {
        return Err(Outcome::Table);
    }
    Ok(word.vantage())
}

/// The vantage that the label at `start` of the question's name stands for.
#[inline(always)]
fn vantage_of_label(frame: &Frame, start: usize) -> Result<u32, Outcome> {
    let [first, second] = frame
        .read::<[u64; 2]>(NAME + start)
        .ok_or(Outcome::Name)?
        .map(fold_case);
    let mut key: LabelKey = [0; 16];
    key[..8].copy_from_slice(&first.to_ne_bytes());
    key[8..].copy_from_slice(&second.to_ne_bytes());
    let value = LABELS.get_ptr(&key).ok_or(Outcome::Name)?;
    // SAFETY: a pointer that the map gave; the value is aligned to 8 and its first word is read once.
    let word = MappingWord(unsafe { value.cast::<u64>().read_volatile() });
    if word.check() != label_check(first, second) {
        return Err(Outcome::Table);
    }
    Ok(word.vantage())
}

/// Whether the question's first label may be a DNS-LB label: 15 characters that begin with `lb`.
#[inline(always)]
fn has_label_form(frame: &Frame) -> Result<bool, Outcome> {
    let [len, l, b] = frame.read::<[u8; 3]>(NAME).ok_or(Outcome::Form)?;
    Ok(len == 15 && l | 0x20 == b'l' && b | 0x20 == b'b')
}

/// Whether the question's first label is `ns`.
#[inline(always)]
fn is_ns_label(frame: &Frame) -> Result<bool, Outcome> {
    let [len, n, s] = frame.read::<[u8; 3]>(NAME).ok_or(Outcome::Form)?;
    Ok(len == 2 && n | 0x20 == b'n' && s | 0x20 == b's')
}

/// The answer of a group, at the vantage that serves for `vantage`.
#[inline(always)]
fn ready_answer(
    vantage: u32,
    group: u32,
    kind: u32,
    settings: &Settings,
) -> Result<&'static Answer, Outcome> {
    let value = VANTAGES.get_ptr(vantage).ok_or(Outcome::Table)?;
    // SAFETY: a pointer that the map gave, to an aligned word that is read once.
    let value = VantageValue::from_word(unsafe { value.cast::<u64>().read_volatile() });
    let (page, index) = ranking_place(settings.pages_per_vantage, value.serves, group, kind);
    let word = RANKINGS
        .get_value_ptr_mut(page, &index)
        .ok_or(Outcome::Table)?;
    // SAFETY: a pointer that the map gave, to an aligned word that is read once.
    let reference = AnswerRef(unsafe { word.read_volatile() });
    if !reference.is_ready() {
        return Err(Outcome::Table);
    }
    let answer = ANSWERS.get(reference.slot()).ok_or(Outcome::Table)?;
    if answer.generation != reference.generation() || answer.row > Counter::Error as u32 {
        return Err(Outcome::Table);
    }
    Ok(answer)
}
