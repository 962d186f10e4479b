//! What is measured by sending: a stream of queries, who answers it, and in which row.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, anyhow, ensure};
use dglb_common::{
    bench::{BLOCK, NAME},
    counters::Counter,
};
use hickory_proto::rr::{Name, RecordType};

use super::{
    frame::{self, Ends},
    million::{self, Million},
    names,
    random::Random,
    servers::{Server, Servers},
    stream::Stream,
};
use crate::{model::Model, oracle, world};

/// One measure.
#[derive(Clone, Debug)]
pub struct Measure {
    /// Its name in `--json`; of a shape ([`Maker::shapes`]), what is special.
    pub name: &'static str,
    /// Who answers.
    pub server: Server,
    /// The row of the answer table that must have been counted for each query.
    pub row: Counter,
    /// What is sent, and what must come back.
    pub stream: Stream,
}

/// Queries of a stream that differ in ID and port alone.
const HOT: usize = 64 * BLOCK;

/// Queries of a stream that differ in more, at most: 16 MiB.
const MOST: usize = 1 << 19;

/// First octets of the label in front of the zone.
const LABEL: usize = NAME + 1;

/// Makes the measures for runs of so many frames.
#[derive(Debug)]
pub struct Maker<'a> {
    /// Who answers.
    pub servers: &'a Servers,
    /// The million, where it is measured.
    pub million: Option<&'a Million>,
    /// Frames of a run.
    pub frames: u32,
}

impl Maker<'_> {
    /// All measures that are a share of the reflector.
    ///
    /// # Errors
    /// User space has no such answer, or the oracle says that it is wrong.
    pub fn shares(&self) -> Result<Vec<Measure>> {
        use RecordType::{A, HTTPS};
        use Server::{DnsB, DnsLb, DnsLbNames};

        let www = &name("www.g.foo.com.");
        let shop = &name("shop.foo.com.");
        let balanced = names::balanced();
        let mut random = Random::new(20);
        let drawn = || balanced[random.below(balanced.len() as u64) as usize].clone();
        let mut measures = vec![
            self.hot("lb-a", DnsLb, Counter::LbAddress, www, A, false)?,
            self.hot("lb-a-edns", DnsLb, Counter::LbAddress, www, A, true)?,
            self.named(
                "lb-a-names",
                DnsLbNames,
                Counter::LbAddress,
                std::iter::repeat_with(drawn),
            )?,
            self.hot("b-referral", DnsB, Counter::BR, www, A, false)?,
            self.hot("b-cname", DnsB, Counter::BCName, shop, A, false)?,
        ];
        if let Some(million) = self.million {
            let uniform = million.uniform();
            measures.push(self.asked_by("b-referral-1m-uniform", million, uniform)?);
            measures.push(self.asked_by("b-referral-1m-zipf", million, million.zipf())?);
        }
        measures.push(self.hot("lb-nodata", DnsLb, Counter::LbNodata, www, HTTPS, false)?);
        measures.push(self.named(
            "b-nxdomain",
            DnsB,
            Counter::BNegative,
            names::below("g.foo.com.", 30),
        )?);
        Ok(measures)
    }

    /// `typical` names, and the shapes that are compared with it: in the first list names at and below
    /// a balanced name at a DNS-B, in the second balanced names of a DNS-LB.
    ///
    /// # Errors
    /// As [`Maker::shares`].
    pub fn shapes(&self) -> Result<[Vec<Measure>; 2]> {
        let typical = names::Shape {
            about: TYPICAL,
            name: name("www.g.foo.com."),
        };
        let measures = |shapes: Vec<names::Shape>, server, row| {
            std::iter::once(typical.clone())
                .chain(shapes)
                .map(|shape| self.hot(shape.about, server, row, &shape.name, RecordType::A, false))
                .collect::<Result<Vec<_>>>()
        };
        Ok([
            measures(names::below_balanced(), Server::DnsB, Counter::BR)?,
            measures(names::shaped(), Server::DnsLbNames, Counter::LbAddress)?,
        ])
    }

    /// One name, one source.
    fn hot(
        &self,
        about: &'static str,
        server: Server,
        row: Counter,
        name: &Name,
        kind: RecordType,
        with_opt: bool,
    ) -> Result<Measure> {
        let message = frame::question(name, kind, with_opt);
        let ends = self.ends(server, world::RESOLVER_2)?;
        let queries = (0..HOT).map(|number| numbered(ends, number, &message));
        self.measure(about, server, row, queries, NAME, false)
    }

    /// Names of one length that differ in the first 8 octets of their first label.
    fn named(
        &self,
        about: &'static str,
        server: Server,
        row: Counter,
        names: impl Iterator<Item = Name>,
    ) -> Result<Measure> {
        let ends = self.ends(server, world::RESOLVER_2)?;
        let queries = names.take(self.many()).enumerate().map(|(number, name)| {
            numbered(ends, number, &frame::question(&name, RecordType::A, false))
        });
        self.measure(about, server, row, queries, LABEL, false)
    }

    /// One name, asked from many addresses.
    fn asked_by(
        &self,
        about: &'static str,
        million: &Million,
        sources: impl Iterator<Item = Ipv4Addr>,
    ) -> Result<Measure> {
        let server = Server::DnsBMillion;
        let message = frame::question(&name("www.g.foo.com."), RecordType::A, false);
        let ends = self.ends(server, Ipv4Addr::UNSPECIFIED)?;
        let queries = sources
            .take(self.many())
            .enumerate()
            .map(|(number, source)| numbered(Ends { source, ..ends }, number, &message));
        let measure = self.measure(about, server, Counter::BR, queries, NAME, true)?;
        // Every reply is compared with its entry's last octets, which end in the DNS-LB's address: that
        // this is the right one is said by the data alone.
        for entry in &measure.stream.entries {
            let source = Ipv4Addr::from(entry.source.to_ne_bytes());
            let right = million::address_of(million.dns_lb_of(source));
            ensure!(
                entry.tail.to_ne_bytes()[4..] == right.octets(),
                "{about}: user space refers {source} to another DNS-LB than {right}"
            );
        }
        Ok(measure)
    }

    fn measure(
        &self,
        about: &'static str,
        server: Server,
        row: Counter,
        queries: impl Iterator<Item = Vec<u8>>,
        name_at: usize,
        replies_differ: bool,
    ) -> Result<Measure> {
        let node = self.servers.node(server)?;
        let made = || {
            let stream = Stream::new(queries, name_at, &node.answerer, replies_differ)?;
            judge(&node.model, row, &stream.query, &stream.reply)?;
            Ok::<_, anyhow::Error>(Measure {
                name: about,
                server,
                row,
                stream,
            })
        };
        made().with_context(|| about)
    }

    fn ends(&self, server: Server, source: Ipv4Addr) -> Result<Ends> {
        Ok(Ends {
            source,
            port: 0,
            destination: self.servers.node(server)?.address(),
        })
    }

    /// Queries of a stream that does not repeat itself in a run.
    fn many(&self) -> usize {
        (self.frames as usize)
            .next_power_of_two()
            .clamp(BLOCK, MOST)
    }
}

/// The name of the shape that others are compared with.
pub const TYPICAL: &str = "typical";

/// The query with this number: ID and port count, and wrap.
fn numbered(ends: Ends, number: usize, message: &[u8]) -> Vec<u8> {
    let step = (number & 0x3fff) as u16;
    let port = 0xf000 - step;
    frame::query(Ends { port, ..ends }, 0x1000 + step, message)
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).expect("a name")
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
