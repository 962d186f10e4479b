//! The answer function of user space: a query, the tables, and who asks, give a response.
//!
//! It answers what the kernel program passes up, and everything where there is no kernel program. For
//! every frame that the kernel answers, [`Answerer::answer_frame`] gives the same octets: ready
//! answers come from the same tables. Nothing in it is random, hidden, or dependent on time; the rate
//! limit stands before it and is no part of it.
//!
//! - `query` reads a message, `subnet` its Client Subnet, `types` sorts query types; `asker` is who asks.
//! - `dns_b` with `zone`, and `dns_lb` hold the rows of the answer table; `delegated` finds labels,
//!   `closest` the names above a name, `lookup` ready answers.
//! - `records` makes records, `template` copies ready ones, `response` turns both into octets.
//! - `frame` has the layers below DNS, `packet` IP among them.

mod asker;
mod closest;
mod delegated;
mod dns_b;
mod dns_lb;
mod frame;
mod lookup;
mod packet;
mod query;
mod records;
mod response;
mod subnet;
mod template;
#[cfg(test)]
pub(crate) mod tests;
mod types;
mod zone;

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
};

use dglb_common::{
    counters::Counter,
    query::{CLASS_IN, MAX_AMPLIFICATION},
};
use hickory_proto::op::ResponseCode;
use tokio::sync::mpsc;

use self::{
    asker::Asker,
    query::{Query, Question},
    response::{Envelope, Response},
    types::TypeKind,
};
use crate::{
    config::{Config, Role},
    event::Event,
    tables::Tables,
};

/// The largest message by TCP: its length has 16 bits (RFC 1035 §4.2.2).
const TCP_LIMIT: usize = 65_535;

/// How a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// UDP: the response is as large as the client takes, 1232 octets at most, and its packet at most
    /// three times as large as the query's.
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
    /// Where it is told that a watched answer was asked for.
    watchers: Option<mpsc::Sender<Event>>,
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
            watchers: None,
        }
    }

    /// Tells the publisher, without waiting for it, when a watched answer is asked for.
    pub fn telling(self, watchers: mpsc::Sender<Event>) -> Self {
        Self {
            watchers: Some(watchers),
            ..self
        }
    }

    /// The response to a DNS message. `None`: it is ignored, being no query (too short for a header,
    /// or a response), or at a DNS-ISP-LB left to the resolver.
    pub fn answer_message(
        &self,
        query: &[u8],
        source: IpAddr,
        transport: Transport,
    ) -> Option<Answered> {
        // A socket of both families writes IPv4 addresses as IPv6 ones (RFC 4291 §2.5.5.2).
        let source = source.to_canonical();
        let packet_octets = match transport {
            Transport::Udp => Some(packet::header_octets(source) + query.len()),
            Transport::Tcp => None,
        };
        self.answer(query, source, packet_octets)
    }

    /// The whole reply to an Ethernet frame. `None`: it is no query by UDP over IP to one of the node's
    /// addresses, or something is wrong with it below DNS, or it is ignored.
    pub fn answer_frame(&self, frame: &[u8]) -> Option<Answered> {
        let datagram = frame::Datagram::read(frame, &self.config.node.addresses)?;
        let source = datagram.source();
        let answered = self.answer(datagram.payload, source, Some(datagram.packet_octets()))?;
        Some(Answered {
            counter: answered.counter,
            octets: datagram.reply(&answered.octets),
        })
    }

    /// `packet_octets`: of the query's IP packet, by UDP.
    fn answer(
        &self,
        message: &[u8],
        source: IpAddr,
        packet_octets: Option<usize>,
    ) -> Option<Answered> {
        // A panic while the tables are written leaves single words and slots, each whole.
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let believes_subnet = subnet::is_believed(&tables.settings, source);
        let query = Query::read(message, believes_subnet)?;
        let recursion_available = tables.settings.recursion_available != 0;
        let response = if recursion_available {
            self.beside_resolver(&query, &tables, source)?
        } else {
            self.respond(&query, &tables, source)
        };
        drop(tables);
        let limit = packet_octets.map_or(TCP_LIMIT, |octets| {
            let amplified = MAX_AMPLIFICATION * octets - packet::header_octets(source);
            query.udp_limit().min(amplified)
        });
        let envelope = Envelope {
            limit,
            recursion_available,
            nsid: self.config.node.name.as_bytes(),
        };
        Some(response.write(&query, &envelope))
    }

    fn respond(&self, query: &Query<'_>, tables: &Tables, source: IpAddr) -> Response {
        match (query.error, &query.question) {
            (Some(error), _) => Response::error(Counter::Error, error),
            (None, Some(question)) => self
                .respond_to(query, question, tables, source)
                .unwrap_or_else(Response::refused),
            (None, None) => Response::error(Counter::Error, ResponseCode::FormErr),
        }
    }

    /// A DNS-ISP-LB answers what is asked of its own names. All else is the resolver's on the same host,
    /// which knows best what it does with other messages.
    fn beside_resolver(
        &self,
        query: &Query<'_>,
        tables: &Tables,
        source: IpAddr,
    ) -> Option<Response> {
        let question = query
            .question
            .as_ref()
            .filter(|_| query.header.opcode == 0)?;
        let is_transfer = TypeKind::of(question.qtype) == TypeKind::Transfer;
        if question.qclass != CLASS_IN || is_transfer {
            return None;
        }
        let response = self.by_role(query, question, tables, source)?;
        Some(match query.error {
            Some(error) => Response::error(Counter::Error, error),
            None => of_type(question).unwrap_or(response),
        })
    }

    /// `None`: the name is not ours.
    fn respond_to(
        &self,
        query: &Query<'_>,
        question: &Question<'_>,
        tables: &Tables,
        source: IpAddr,
    ) -> Option<Response> {
        if question.qclass != CLASS_IN {
            return Some(Response::refused());
        }
        of_type(question).or_else(|| self.by_role(query, question, tables, source))
    }

    /// The row of the answer table. `None`: the name is not ours.
    fn by_role(
        &self,
        query: &Query<'_>,
        question: &Question<'_>,
        tables: &Tables,
        source: IpAddr,
    ) -> Option<Response> {
        let asker = Asker::new(source, query.edns.and_then(|edns| edns.options.subnet));
        let response = match (&self.rows, &self.config.role) {
            (Rows::DnsB(rows), Role::DnsB(dns_b)) => rows.answer(dns_b, tables, question, &asker),
            (Rows::DnsLb(rows), Role::DnsLb(dns_lb)) => {
                rows.answer(dns_lb, tables, question, &asker)
            }
            _ => unreachable!("the rows were made from the role"),
        };
        if let (Some(group), Some(watchers)) = (asker.watched(), &self.watchers) {
            // The next query tells it where there is no room now.
            let _ = watchers.try_send(Event::Asked { group });
        }
        response
    }
}

/// What a type that is no data type is answered with, whatever the name.
fn of_type(question: &Question<'_>) -> Option<Response> {
    match TypeKind::of(question.qtype) {
        TypeKind::Data => None,
        TypeKind::Transfer => Some(Response::refused()),
        TypeKind::NotImplemented => Some(Response::error(Counter::Error, ResponseCode::NotImp)),
        TypeKind::Malformed => Some(Response::error(Counter::Error, ResponseCode::FormErr)),
    }
}
