//! Rows of the answer table, by roles: what came with direct and cache mode, IPv6 glue, complete zones, and
//! the DNS-LB beside a resolver.

mod dns_b;
mod dns_lb;

use dglb_common::{
    layout::{AnswerRef, KIND_A, KIND_AAAA, VantageValue},
    query::{OPTION_NSID, TYPE_A, TYPE_AAAA, TYPE_NS, TYPE_SOA},
};

use super::{world::*, *};

const TYPE_TXT: u16 = 16;
const TYPE_DS: u16 = 43;
const TYPE_ANY: u16 = 255;

/// Section texts of the whole response: answers, authorities, additionals.
fn texts(seen: &Seen) -> [Vec<String>; 3] {
    let message = &seen.message;
    [&message.answers, &message.authorities, &message.additionals]
        .map(|records| records.iter().map(ToString::to_string).collect())
}

fn soa_text(owner: &str, ttl: u32) -> String {
    format!("{owner} {ttl} IN SOA ns1.g.foo.com. hostmaster.foo.com. 1 2 3 4 900")
}

fn is_authoritative(seen: &Seen) -> bool {
    seen.message.metadata.authoritative
}
