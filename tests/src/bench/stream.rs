//! A stream: the queries of a run one after another, and what must come back for each.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use dglb_common::bench::{
    BLOCK, Block, DESTINATION, DESTINATION_PORT, Entry, FED, FED_LONG, ID, IP_CHECK, MAX_REPLY,
    MAX_VARIED, SOURCE, SOURCE_PORT, UDP_CHECK,
};
use dglb_user::answer::Answerer;

use super::frame;

/// Queries and replies. Queries differ from each other only in who asks, in their IDs, and in 8 octets
/// of the name.
#[derive(Clone, Debug)]
pub struct Stream {
    /// The first query, a frame.
    pub query: Vec<u8>,
    /// The reply to it, a frame.
    pub reply: Vec<u8>,
    /// What differs; as many as a power of two.
    pub entries: Vec<Entry>,
    /// Offset of the octets of the name that differ.
    pub name_at: usize,
    /// Who says what must come back, where replies differ in more than [`Entry`] says.
    answerer: Option<Arc<Answerer>>,
}

impl Stream {
    /// The stream of `queries`; what must come back is what user space answers. Where `replies_differ`,
    /// samples are compared with user space's answer to each; else with the first reply, changed as
    /// [`Entry`] says.
    ///
    /// # Errors
    /// User space does not answer one, the replies are not of one length, or the queries differ in more
    /// than they may.
    pub fn new(
        queries: impl Iterator<Item = Vec<u8>>,
        name_at: usize,
        answerer: &Arc<Answerer>,
        replies_differ: bool,
    ) -> Result<Self> {
        ensure!(name_at <= MAX_VARIED, "the name differs too far behind");
        let mut stream: Option<Self> = None;
        for query in queries {
            let answered = answerer.answer_frame(&query);
            let reply = answered.context("user space does not answer")?.octets;
            let entry = entry(&query, &reply, name_at)?;
            let stream = stream.get_or_insert_with(|| Self {
                query: query.clone(),
                reply: reply.clone(),
                entries: Vec::new(),
                name_at,
                answerer: replies_differ.then(|| Arc::clone(answerer)),
            });
            ensure!(
                reply.len() == stream.reply.len(),
                "replies of {} and of {} octets in one stream",
                stream.reply.len(),
                reply.len()
            );
            stream.entries.push(entry);
            ensure!(
                stream.query(stream.entries.len() as u64 - 1) == query,
                "queries of one stream differ too much"
            );
        }
        let stream = stream.context("a stream without queries")?;
        stream.check()?;
        Ok(stream)
    }

    fn check(&self) -> Result<()> {
        ensure!(
            self.query.len() < FED_LONG,
            "a query of {} octets is too long",
            self.query.len()
        );
        ensure!(
            (64..=MAX_REPLY).contains(&self.reply.len()),
            "a reply of {} octets is too short or too long",
            self.reply.len()
        );
        let len = self.entries.len();
        ensure!(
            len.is_power_of_two() && len >= BLOCK,
            "a stream of {len} queries"
        );
        Ok(())
    }

    /// The query with this number.
    pub fn query(&self, number: u64) -> Vec<u8> {
        let entry = self.entry(number);
        let mut query = self.query.clone();
        put(&mut query, IP_CHECK, entry.ip_check.to_ne_bytes());
        put(&mut query, SOURCE, entry.source.to_ne_bytes());
        put(&mut query, SOURCE_PORT, entry.port.to_ne_bytes());
        put(&mut query, UDP_CHECK, entry.udp_check.to_ne_bytes());
        put(&mut query, ID, entry.id.to_ne_bytes());
        put(&mut query, self.name_at, entry.name.to_ne_bytes());
        query
    }

    /// What must come back for it, from the product or from the reflector.
    ///
    /// # Errors
    /// User space does not answer now what it has answered before.
    pub fn reply(&self, number: u64, reflected: bool) -> Result<Vec<u8>> {
        if reflected {
            return Ok(frame::reflected(&self.query(number)));
        }
        if let Some(answerer) = &self.answerer {
            let answered = answerer.answer_frame(&self.query(number));
            return Ok(answered.context("user space does not answer")?.octets);
        }
        let entry = self.entry(number);
        let mut reply = self.reply.clone();
        put(&mut reply, IP_CHECK, entry.reply_ip_check.to_ne_bytes());
        put(&mut reply, DESTINATION, entry.source.to_ne_bytes());
        put(&mut reply, DESTINATION_PORT, entry.port.to_ne_bytes());
        put(&mut reply, UDP_CHECK, entry.reply_udp_check.to_ne_bytes());
        put(&mut reply, ID, entry.id.to_ne_bytes());
        put(&mut reply, self.name_at, entry.name.to_ne_bytes());
        let tail = reply.len() - 8;
        put(&mut reply, tail, entry.tail.to_ne_bytes());
        Ok(reply)
    }

    /// Octets that the generator writes of each frame.
    pub fn fed(&self) -> usize {
        if self.query.len() < FED {
            FED
        } else {
            FED_LONG
        }
    }

    /// The entries as the kernel's programs read them.
    pub fn blocks(&self) -> impl Iterator<Item = Block> {
        self.entries.chunks_exact(BLOCK).map(|entries| Block {
            entries: std::array::from_fn(|index| entries[index]),
        })
    }

    fn entry(&self, number: u64) -> &Entry {
        &self.entries[(number % self.entries.len() as u64) as usize]
    }
}

fn entry(query: &[u8], reply: &[u8], name_at: usize) -> Result<Entry> {
    let tail = reply.len().saturating_sub(8);
    Ok(Entry {
        source: u32::from_ne_bytes(octets(query, SOURCE)?),
        port: u16::from_ne_bytes(octets(query, SOURCE_PORT)?),
        id: u16::from_ne_bytes(octets(query, ID)?),
        ip_check: u16::from_ne_bytes(octets(query, IP_CHECK)?),
        udp_check: u16::from_ne_bytes(octets(query, UDP_CHECK)?),
        reply_ip_check: u16::from_ne_bytes(octets(reply, IP_CHECK)?),
        reply_udp_check: u16::from_ne_bytes(octets(reply, UDP_CHECK)?),
        name: u64::from_ne_bytes(octets(query, name_at)?),
        tail: u64::from_ne_bytes(octets(reply, tail)?),
    })
}

fn octets<const LEN: usize>(frame: &[u8], at: usize) -> Result<[u8; LEN]> {
    let octets = frame.get(at..).and_then(|rest| rest.first_chunk());
    octets.copied().context("a frame that is too short")
}

fn put<const LEN: usize>(frame: &mut [u8], at: usize, octets: [u8; LEN]) {
    frame[at..at + LEN].copy_from_slice(&octets);
}
