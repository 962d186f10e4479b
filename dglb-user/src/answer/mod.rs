//! The answer function of user space: a query, the tables, and who asks, give a response.
//!
//! It answers what the kernel program passes up, and everything where there is no kernel program. For
//! every frame that the kernel answers, [`Answerer::answer_frame`] gives the same octets: ready
//! answers come from the same tables. Nothing in it is random, hidden, or dependent on time; the rate
//! limit stands before it and is no part of it.
//!
//! - `query` reads a message, `types` sorts query types.
//! - `dns_b` with `zone`, and `dns_lb` hold the rows of the answer table; `delegated` finds labels,
//!   `closest` the names above a name.
//! - `records` makes records, `template` copies ready ones, `response` turns both into octets.
//! - `frame` has the layers below DNS.

mod closest;
mod delegated;
mod dns_b;
mod dns_lb;
mod frame;
mod query;
mod records;
mod response;
mod template;
#[cfg(test)]
pub(crate) mod tests;
mod types;
mod zone;

use std::{
    net::Ipv4Addr,
    sync::{Arc, PoisonError, RwLock},
};

use dglb_common::{counters::Counter, query::CLASS_IN};
use hickory_proto::op::ResponseCode;

use self::{
    query::{Query, Question},
    response::Response,
    types::TypeKind,
};
use crate::{
    config::{Config, Role},
    tables::Tables,
};

/// The largest message by TCP: its length has 16 bits (RFC 1035 §4.2.2).
const TCP_LIMIT: usize = 65_535;

/// How a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// UDP: the response is as large as the client takes, 1232 octets at most.
    Udp,
    /// TCP: any response fits.
    Tcp,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The row of the answer table, or what else it counts as.
    pub counter: Counter,
    /// The message, or the frame.
    pub octets: Vec<u8>,
}

/// Answers queries of one node.
#[derive(Debug)]
pub struct Answerer {
    config: Arc<Config>,
    tables: Arc<RwLock<Tables>>,
    rows: Rows,
}

/// The rows of the node's role.
#[derive(Debug)]
enum Rows {
    DnsB(dns_b::Rows),
    DnsLb(dns_lb::Rows),
}

impl Answerer {
    /// For a node; `tables` are those that its publisher changes.
    pub fn new(config: Arc<Config>, tables: Arc<RwLock<Tables>>) -> Self {
        let rows = match &config.role {
            Role::DnsB(dns_b) => Rows::DnsB(dns_b::Rows::new(dns_b)),
            Role::DnsLb(dns_lb) => Rows::DnsLb(dns_lb::Rows::new(dns_lb)),
        };
        Self {
            config,
            tables,
            rows,
        }
    }

    /// The response to a DNS message. `None`: it is ignored, being no query (too short for a header,
    /// or a response).
    pub fn answer_message(
        &self,
        query: &[u8],
        source: Ipv4Addr,
        transport: Transport,
    ) -> Option<Answered> {
        let query = Query::read(query)?;
        let response = self.respond(&query, source);
        let limit = match transport {
            Transport::Udp => query.udp_limit(),
            Transport::Tcp => TCP_LIMIT,
        };
        Some(Answered {
            counter: response.row(),
            octets: response.octets(&query, limit),
        })
    }

    /// The whole reply to an Ethernet frame. `None`: it is no query by UDP over IPv4 to one of the
    /// node's addresses, or something is wrong with it below DNS, or it is ignored.
    pub fn answer_frame(&self, frame: &[u8]) -> Option<Answered> {
        let datagram = frame::Datagram::read(frame, &self.config.node.addresses)?;
        let answered = self.answer_message(datagram.payload, datagram.source, Transport::Udp)?;
        Some(Answered {
            counter: answered.counter,
            octets: datagram.reply(&answered.octets),
        })
    }

    fn respond(&self, query: &Query<'_>, source: Ipv4Addr) -> Response {
        match (query.error, &query.question) {
            (Some(error), _) => Response::error(Counter::Error, error),
            (None, Some(question)) => self.respond_to(question, source),
            (None, None) => Response::error(Counter::Error, ResponseCode::FormErr),
        }
    }

    fn respond_to(&self, question: &Question<'_>, source: Ipv4Addr) -> Response {
        if question.qclass != CLASS_IN {
            return Response::refused();
        }
        match TypeKind::of(question.qtype) {
            TypeKind::Data => {}
            TypeKind::Transfer => return Response::refused(),
            TypeKind::NotImplemented => {
                return Response::error(Counter::Error, ResponseCode::NotImp);
            }
            TypeKind::Malformed => return Response::error(Counter::Error, ResponseCode::FormErr),
        }
        // A panic while the tables are written leaves single words and slots, each whole.
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        match (&self.rows, &self.config.role) {
            (Rows::DnsB(rows), Role::DnsB(dns_b)) => rows.answer(dns_b, &tables, question, source),
            (Rows::DnsLb(rows), Role::DnsLb(dns_lb)) => {
                rows.answer(dns_lb, &tables, question, source)
            }
            _ => unreachable!("the rows were made from the role"),
        }
    }
}
