//! Which variant of an answer is given: what the client takes, and what is not too much more than was
//! asked.

use dglb_common::{
    counters::Counter,
    layout::{Answer, AnswerRef, MAX_VARIANTS},
    packet::{Datagram, Edns, NAME, Question, Reply},
    query::MAX_AMPLIFICATION,
};

use crate::{rankings, rows::Found};

/// What one over the limit gets: TC and nothing else, so that a resolver may come by TCP, where nobody
/// forges addresses. Any slot will do, as nothing of it is copied.
pub const STUB: Reply = Reply {
    prefix: 0,
    scope: 0,
    slot: 0,
    len: 0,
    row: Counter::Limited as u32,
    bits: Reply::TRUNCATED,
};

/// The largest variant that fits; TC and no records where even the smallest one does not.
#[inline(always)]
pub fn fitting(
    found: &Found,
    datagram: &Datagram,
    question: &Question,
    edns: &Edns,
) -> Result<Reply, Counter> {
    let fixed = NAME + question.octets() + edns.reply_octets();
    let asked = datagram.to_dns + datagram.message;
    let most = asked * MAX_AMPLIFICATION - datagram.to_dns;
    let most = if edns.payload < most {
        edns.payload
    } else {
        most
    };
    let mut reference = found.answer;
    let mut answer = rankings::answer(reference)?;
    for _ in 0..MAX_VARIANTS {
        if fixed + usize::from(answer.len) <= most {
            return Ok(Reply {
                prefix: found.prefix as u64,
                scope: if answer.scoped != 0 {
                    u64::from(found.scope)
                } else {
                    0
                },
                slot: reference.slot(),
                len: u32::from(answer.len),
                row: answer.row,
                bits: bits(answer),
            });
        }
        let smaller = AnswerRef(answer.smaller);
        if !smaller.is_ready() {
            break;
        }
        reference = smaller;
        answer = rankings::answer(smaller)?;
    }
    Ok(Reply {
        row: Counter::Truncated as u32,
        bits: bits(answer) | Reply::TRUNCATED,
        ..STUB
    })
}

#[inline(always)]
fn bits(answer: &Answer) -> u32 {
    let authoritative = if answer.authoritative != 0 {
        Reply::AUTHORITATIVE
    } else {
        0
    };
    authoritative | u32::from(answer.rcode & 0x0f) << 8
}
