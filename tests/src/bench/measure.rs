//! What is measured: a query, who answers it, and what must come back.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, RwLock},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use dglb_common::{
    bench::{DESTINATION_PORT, FED, FIRST_ID, FIRST_PORT, ID, MAX_REPLY, SOURCE_PORT},
    checksum,
    counters::Counter,
};
use dglb_user::{answer::Answerer, config::Rate};
use hickory_proto::{
    op::{Edns, Message, Query},
    rr::{Name, RecordType},
};

use crate::{model::Model, oracle, world};

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// The bare XDP reflector.
    Reflector,
    /// The product's program, with a DNS-B's tables.
    DnsB,
    /// The product's program, with a DNS-LB's tables.
    DnsLb,
}

/// One measure.
#[derive(Clone, Debug)]
pub struct Measure {
    /// Its name in `--json`.
    pub name: &'static str,
    /// Who answers.
    pub server: Server,
    /// The row of the answer table that must have been counted for each query.
    pub row: Option<Counter>,
    /// The query, a frame.
    pub query: Vec<u8>,
    /// The reply, a frame.
    pub reply: Vec<u8>,
}

impl Measure {
    /// The query that `reply` belongs to: ID and port are taken from it.
    pub fn query_of(&self, reply: &[u8]) -> Vec<u8> {
        let mut query = self.query.clone();
        let mut copy = |to: usize, from: usize| {
            query[to..to + 2].copy_from_slice(&reply[from..from + 2]);
        };
        copy(SOURCE_PORT, DESTINATION_PORT);
        copy(ID, ID);
        query
    }
}

/// A rate of the asking prefix that is above what any core sends: each query is charged, none is
/// refused. The burst covers the steps of the coarse clock, 10 ms at most.
pub const RAISED: Rate = Rate {
    per_second: 100_000_000,
    burst: 1_000_000,
};

/// The model of the DNS-B or the DNS-LB, with `rate` for the asking prefix.
pub fn model(server: Server, rate: Rate) -> Option<Model> {
    let mut model = match server {
        Server::Reflector => return None,
        Server::DnsB => world::dns_b(),
        Server::DnsLb => world::dns_lb(),
    };
    let prefix = "203.0.113.0/24".parse().expect("a prefix");
    model.config.limit.prefixes.push((prefix, Some(rate)));
    Some(model)
}

/// The bare reflector, and all measures that are compared with it.
///
/// # Errors
/// User space has no such answer, or the oracle says that it is wrong.
pub fn all() -> Result<(Measure, Vec<Measure>)> {
    use RecordType::{A, HTTPS};
    use Server::{DnsB, DnsLb};

    let measures = vec![
        answered(
            "lb-a",
            DnsLb,
            Counter::LbAddress,
            &question("www.g.foo.com.", A, false),
        )?,
        answered(
            "lb-a-edns",
            DnsLb,
            Counter::LbAddress,
            &question("www.g.foo.com.", A, true),
        )?,
        answered(
            "b-referral",
            DnsB,
            Counter::BR,
            &question("www.g.foo.com.", A, false),
        )?,
        answered(
            "b-cname",
            DnsB,
            Counter::BCName,
            &question("shop.foo.com.", A, false),
        )?,
        answered(
            "lb-nodata",
            DnsLb,
            Counter::LbNodata,
            &question("www.g.foo.com.", HTTPS, false),
        )?,
    ];
    Ok((reflected(&measures[0]), measures))
}

/// The reflector, asked what another is asked.
fn reflected(other: &Measure) -> Measure {
    let query = other.query.clone();
    let mut reply = query.clone();
    let (destination, source) = reply[..12].split_at_mut(6);
    destination.swap_with_slice(source);
    Measure {
        name: "reflector",
        server: Server::Reflector,
        row: None,
        query,
        reply,
    }
}

/// What is expected is what user space answers, which shares no code with the kernel's program but
/// the tables, and what the oracle, which knows only the model, finds right.
fn answered(name: &'static str, server: Server, row: Counter, message: &[u8]) -> Result<Measure> {
    let model = model(server, RAISED).context("the reflector has no rows")?;
    let query = frame(&model, message);
    ensure!(
        query.len() < FED,
        "{name}: a query of {} octets is too long",
        query.len()
    );
    let tables = Arc::new(RwLock::new(model.tables()));
    let answerer = Answerer::new(Arc::new(model.config.clone()), tables);
    let reply = answerer
        .answer_frame(&query)
        .with_context(|| format!("{name}: user space does not answer"))?
        .octets;
    ensure!(
        reply.len() <= MAX_REPLY,
        "{name}: a reply of {} octets is too long",
        reply.len()
    );
    judge(&model, row, &query, &reply).with_context(|| name)?;
    Ok(Measure {
        name,
        server,
        row: Some(row),
        query,
        reply,
    })
}

/// Whether `reply` is right, by the oracle; checksums are checked too.
///
/// # Errors
/// It is not.
pub fn judge(model: &Model, row: Counter, query: &[u8], reply: &[u8]) -> Result<()> {
    let judged = oracle::frame::judge_reply(model, query, reply).map_err(|wrong| anyhow!(wrong))?;
    ensure!(
        judged == row,
        "it is the row {}, not {}",
        judged.name(),
        row.name()
    );
    Ok(())
}

/// A query as a resolver sends it.
fn question(name: &str, kind: RecordType, with_opt: bool) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.id = FIRST_ID;
    let name = Name::from_ascii(name).expect("a name");
    message.add_query(Query::query(name, kind));
    if with_opt {
        let mut edns = Edns::new();
        edns.set_max_payload(1232);
        message.edns = Some(edns);
    }
    message.to_vec().expect("a message")
}

/// The frame of a datagram from the resolver of the second DNS-LB to the node of `model`.
fn frame(model: &Model, message: &[u8]) -> Vec<u8> {
    let source: Ipv4Addr = world::RESOLVER_2;
    let IpAddr::V4(destination) = model.config.node.addresses[0] else {
        unreachable!("the worlds' first addresses are IPv4");
    };
    let udp_len = (8 + message.len()) as u16;

    let mut udp = FIRST_PORT.to_be_bytes().to_vec();
    udp.extend_from_slice(&[0, 53]);
    udp.extend_from_slice(&udp_len.to_be_bytes());
    udp.extend_from_slice(&[0, 0]);
    udp.extend_from_slice(message);
    let mut covered = [source.octets(), destination.octets()].concat();
    covered.extend_from_slice(&[0, 17]);
    covered.extend_from_slice(&udp_len.to_be_bytes());
    covered.extend_from_slice(&udp);
    let field = checksum::udp_field(u64::from(checksum::of(&covered)));
    udp[6..8].copy_from_slice(&field.to_ne_bytes());

    let mut ip = vec![0x45, 0];
    ip.extend_from_slice(&(20 + udp_len).to_be_bytes());
    ip.extend_from_slice(&[0, 0, 0x40, 0, 64, 17, 0, 0]);
    ip.extend_from_slice(&source.octets());
    ip.extend_from_slice(&destination.octets());
    let field = !checksum::of(&ip);
    ip[10..12].copy_from_slice(&field.to_ne_bytes());

    let ethernet = [2, 0, 0, 0, 0, 0x53, 2, 0, 0, 0, 0, 1, 8, 0];
    [ethernet.as_slice(), &ip, &udp].concat()
}
