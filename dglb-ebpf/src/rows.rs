//! Which ready answer a question gets: the rows of the answer table that the kernel claims.

use dglb_common::{
    counters::Counter,
    layout::{
        AnswerRef, KIND_A, KIND_AAAA, KIND_CNAME, KIND_HOST_A, KIND_HOST_AAAA, KIND_HOST_NODATA,
        KIND_NODATA, KIND_NS, KIND_NXDOMAIN, KIND_REFERRAL, KIND_SOA, KIND_UNKNOWN_LABEL, LabelKey,
        MappingWord, NameRole, NameWord, Secret, Settings, label_check,
    },
    name::{fold_case, is_label_form},
    packet::{Frame, NAME, Question, Scratch},
    query::{TYPE_A, TYPE_AAAA, TYPE_NS, TYPE_SOA, is_fast_type},
};

use crate::{
    client::{Asker, Place},
    maps::LABELS,
    names::Match,
    rankings, watched,
};

/// A ready answer, and where the name that it belongs to begins in the question's name.
pub struct Found {
    /// The answer.
    pub answer: AnswerRef,
    /// Octets of the question's name in front of that name: 0 to 254.
    pub prefix: usize,
    /// Client Subnet's scope: bits.
    pub scope: u32,
}

/// Where an answer stands in the rankings, and the base of its records.
struct Choice {
    vantage: u32,
    kind: u32,
    prefix: usize,
    scope: u32,
}

/// A question, and where its name touches the table.
struct Asked<'a> {
    dns: &'a Frame<'a>,
    scratch: &'a Scratch,
    question: &'a Question,
    settings: &'a Settings,
    asker: &'a Asker,
    word: NameWord,
    /// Labels in front of the name of the table.
    depth: usize,
}

/// The ready answer for the question.
#[inline(always)]
#[expect(
    clippy::too_many_arguments,
    reason = "one struct more would be copied on the stack"
)]
pub fn answer(
    dns: &Frame<'_>,
    scratch: &Scratch,
    question: &Question,
    matched: &Match,
    settings: &Settings,
    secret: &Secret,
    asker: &Asker,
) -> Result<Found, Counter> {
    let asked = Asked {
        dns,
        scratch,
        question,
        settings,
        asker,
        word: matched.word,
        depth: question.labels - matched.labels,
    };
    let role = NameRole::from_u8(matched.word.role()).ok_or(Counter::PassedTable)?;
    let choice = match role {
        NameRole::LbReferral | NameRole::LbCname => asked.at_dns_lb(role)?,
        _ if !is_fast_type(question.qtype()) => return Err(Counter::PassedType),
        NameRole::BReferral => asked.at_source(KIND_REFERRAL, asked.start_of(asked.depth))?,
        NameRole::BCname => asked.form_c()?,
        NameRole::BAddress => asked.direct()?,
        NameRole::BApex | NameRole::BPresent if asked.depth == 0 => {
            return Err(Counter::PassedType);
        }
        NameRole::BEmpty if asked.depth == 0 => asked.for_all(KIND_NODATA, 0),
        NameRole::BApex | NameRole::BPresent | NameRole::BEmpty => asked.absent()?,
    };
    let group = matched.word.group();
    let mut word = rankings::word(choice.vantage, group, choice.kind, settings)?;
    if word.is_watched() {
        watched::tell(group);
    }
    let mut scope = choice.scope;
    if word.is_buckets() {
        let client = asker.client();
        word = rankings::bucket(word, client, secret)?;
        let network = if client.is_v6 != 0 { 56 } else { 24 };
        // Where Client Subnet names nobody, nothing is said of a network (RFC 7871 §7.2.1).
        if asker.subnet_len != 0 && scope < network {
            scope = network;
        }
    }
    // A DNS-ISP-LB's N of form C: an address points to nothing but the question, but the names of an SOA
    // stand as far into N as they do in `L.N`.
    if matches!(role, NameRole::LbCname) && asked.depth == 0 {
        let answer = rankings::answer(word)?;
        if answer.row != Counter::LbAddress as u32 && answer.row != Counter::LbServfail as u32 {
            return Err(Counter::PassedTable);
        }
    }
    Ok(Found {
        answer: word,
        prefix: choice.prefix,
        scope,
    })
}

/// What a label below a balanced name of form C stands for.
enum Label {
    /// A DNS-LB's vantage.
    Of(u32),
    /// The reserved form, which nobody here has.
    Unknown,
    /// Not the reserved form.
    None,
}

impl Asked<'_> {
    /// Where the label begins that has `depth` labels to its left.
    #[inline(always)]
    fn start_of(&self, depth: usize) -> usize {
        if depth == 0 {
            return 0;
        }
        // A name of the table has at least one label, so `depth` is below the number of labels.
        self.scratch.start(depth)
    }

    /// What the serving vantage of the source says.
    #[inline(always)]
    fn at_source(&self, kind: u32, prefix: usize) -> Result<Choice, Counter> {
        let place = self.asker.place_of_source(self.settings)?;
        self.at(place, kind, prefix)
    }

    /// What the serving vantage of the client says, whom Client Subnet may name.
    #[inline(always)]
    fn at_client(&self, kind: u32) -> Result<Choice, Counter> {
        let place = self.asker.place(self.settings)?;
        self.at(place, kind, 0)
    }

    #[inline(always)]
    fn at(&self, place: Place, kind: u32, prefix: usize) -> Result<Choice, Counter> {
        Ok(Choice {
            vantage: rankings::serving(place.vantage, self.scratch.heartbeat)?,
            kind,
            prefix,
            scope: place.scope,
        })
    }

    /// What is the same for all stands at the default vantage.
    #[inline(always)]
    fn for_all(&self, kind: u32, prefix: usize) -> Choice {
        Choice {
            vantage: self.settings.default_vantage,
            kind,
            prefix,
            scope: 0,
        }
    }

    /// `b-negative`, NXDOMAIN: below a name of the table, and no longer one is in it.
    #[inline(always)]
    fn absent(&self) -> Result<Choice, Counter> {
        if !self.word.has(NameWord::COMPLETE) {
            return Err(Counter::PassedName);
        }
        Ok(self.for_all(KIND_NXDOMAIN, self.start_of(self.depth)))
    }

    /// `b-c-name` at a balanced name of form C, a zone's apex; `b-c-label` below it.
    #[inline(always)]
    fn form_c(&self) -> Result<Choice, Counter> {
        if self.depth == 0 {
            if self.question.qtype() == TYPE_NS {
                return Err(Counter::PassedType);
            }
            return self.at_client(KIND_CNAME);
        }
        let prefix = self.start_of(self.depth - 1);
        let (vantage, kind) = match self.label_at(prefix)? {
            Label::Of(vantage) => (vantage, KIND_REFERRAL),
            Label::Unknown => (self.settings.default_vantage, KIND_UNKNOWN_LABEL),
            Label::None => return self.absent(),
        };
        self.at(Place { vantage, scope: 0 }, kind, prefix)
    }

    /// `b-address`, `b-nodata`.
    #[inline(always)]
    fn direct(&self) -> Result<Choice, Counter> {
        if self.depth != 0 {
            return self.absent();
        }
        match self.question.qtype() {
            TYPE_A => self.at_client(KIND_A),
            TYPE_AAAA => self.at_client(KIND_AAAA),
            _ => Ok(self.for_all(KIND_NODATA, 0)),
        }
    }

    /// The rows of a DNS-LB: what was delegated to it, and what is below that.
    #[inline(always)]
    fn at_dns_lb(&self, role: NameRole) -> Result<Choice, Counter> {
        if matches!(role, NameRole::LbReferral) {
            let prefix = self.start_of(self.depth);
            if self.depth == 0 {
                return self.delegated(None);
            }
            let host = match self.depth {
                1 => self.label_at(0)?,
                _ => Label::None,
            };
            return self.below(host, prefix);
        }
        if self.depth == 0 {
            // Not a DNS-LB's in form C, but a DNS-ISP-LB's: then its addresses, which point to nothing
            // but the question.
            let is_address = matches!(self.question.qtype(), TYPE_A | TYPE_AAAA);
            if !self.word.has(NameWord::ITSELF) || !is_address {
                return Err(Counter::PassedName);
            }
            return self.delegated(None);
        }
        let prefix = self.start_of(self.depth - 1);
        let Label::Of(vantage) = self.label_at(prefix)? else {
            return Err(Counter::PassedName);
        };
        if self.depth == 1 {
            return self.delegated(Some(vantage));
        }
        let host = if self.depth == 2 && self.is_ns_label()? {
            Label::Of(vantage)
        } else {
            Label::None
        };
        self.below(host, prefix)
    }

    /// `lb-address`, `lb-nodata`, `lb-apex`: at what was delegated to the DNS-LB, by a label or not.
    #[inline(always)]
    fn delegated(&self, label: Option<u32>) -> Result<Choice, Counter> {
        let kind = match self.question.qtype() {
            TYPE_A => KIND_A,
            TYPE_AAAA => KIND_AAAA,
            TYPE_NS => return Ok(self.for_all(KIND_NS, 0)),
            TYPE_SOA => return Ok(self.for_all(KIND_SOA, 0)),
            other if is_fast_type(other) => return Ok(self.for_all(KIND_NODATA, 0)),
            _ => return Err(Counter::PassedType),
        };
        match label {
            // The label says more than Client Subnet.
            Some(vantage) => self.at(Place { vantage, scope: 0 }, kind, 0),
            None => self.at_client(kind),
        }
    }

    /// `lb-host` at a name server's host name, `lb-nxdomain` at all else; `prefix` is in front of what
    /// was delegated.
    #[inline(always)]
    fn below(&self, host: Label, prefix: usize) -> Result<Choice, Counter> {
        let qtype = self.question.qtype();
        if !is_fast_type(qtype) {
            return Err(Counter::PassedType);
        }
        let nodata = self.for_all(KIND_HOST_NODATA, prefix);
        let vantage = match host {
            Label::Of(vantage) => vantage,
            Label::Unknown => return Ok(nodata),
            Label::None => return Ok(self.for_all(KIND_NXDOMAIN, prefix)),
        };
        let kind = match qtype {
            TYPE_A => KIND_HOST_A,
            TYPE_AAAA => KIND_HOST_AAAA,
            _ => return Ok(nodata),
        };
        // Of the node that has the label, whoever serves for it.
        Ok(Choice {
            vantage,
            ..self.for_all(kind, prefix)
        })
    }

    /// The label at `start` of the question's name.
    #[inline(always)]
    fn label_at(&self, start: usize) -> Result<Label, Counter> {
        let Some(words) = self.dns.read::<[u64; 2]>(NAME + start) else {
            // Behind a label of the reserved form there would be at least a root, a type and a class.
            return Ok(Label::None);
        };
        let [first, second] = words.map(fold_case);
        if !is_label_form(first, second) {
            return Ok(Label::None);
        }
        let mut key: LabelKey = [0; 16];
        key[..8].copy_from_slice(&first.to_ne_bytes());
        key[8..].copy_from_slice(&second.to_ne_bytes());
        let Some(value) = LABELS.get_ptr(&key) else {
            return Ok(Label::Unknown);
        };
        // SAFETY: a pointer that the map gave; the value is aligned to 8 and its first word is read
        // once.
        let word = MappingWord(unsafe { value.cast::<u64>().read_volatile() });
        if word.check() != label_check(first, second) {
            return Err(Counter::PassedTable);
        }
        Ok(Label::Of(word.vantage()))
    }

    /// Whether the question's first label is `ns`.
    #[inline(always)]
    fn is_ns_label(&self) -> Result<bool, Counter> {
        let octets = self.dns.read::<[u8; 3]>(NAME).ok_or(Counter::PassedForm)?;
        let [len, n, s] = octets;
        Ok(len == 2 && n | 0x20 == b'n' && s | 0x20 == b's')
    }
}
