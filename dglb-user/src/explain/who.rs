//! Who asks, looked up as the kernel program does it: the source address, or the client that a believed
//! Client Subnet names.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use dglb_common::{
    client::Client,
    layout::{
        ChunkWord, MAX_RUN, RUN_ENTRIES_PER_ELEMENT, RunEntry, Settings, VantageValue, client_check,
    },
};
use ipnet::IpNet;

use crate::{
    label::Label,
    tables::{self, live::LiveTables},
};

/// Which entry said whose answer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matched {
    /// A resolver that was announced, or stands in the configuration; by IPv6 its /64.
    Resolver(IpAddr),
    /// The longest prefix.
    Prefix(IpNet),
    /// The prefix of length 0: nothing else holds the address.
    Default,
    /// No source of this family is looked up at this node: all have the default vantage.
    NotMapped,
    /// The label in the name.
    Label(Label),
    /// A label that nobody here has, which gets the default vantage.
    UnknownLabel(Label),
}

impl fmt::Display for Matched {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolver(address @ IpAddr::V4(_)) => {
                write!(formatter, "resolvers_v4 {address}")
            }
            Self::Resolver(address @ IpAddr::V6(_)) => {
                write!(formatter, "resolvers_v6 {address}/64")
            }
            Self::Prefix(net) => write!(formatter, "prefix {net}"),
            Self::Default | Self::NotMapped => formatter.write_str("default"),
            Self::Label(label) | Self::UnknownLabel(label) => write!(formatter, "label {label}"),
        }
    }
}

/// A vantage, and what led to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// What led to it.
    pub matched: Matched,
    /// Whether that was the client that Client Subnet names.
    pub by_subnet: bool,
    /// The vantage, as the kernel program finds it.
    pub vantage: u32,
    /// What the readable tables say, where the client index says something else.
    pub tables_say: Option<u32>,
}

/// Who serves for a vantage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serving {
    /// The vantage whose answers are given.
    pub vantage: u32,
    /// Whether that is the backup because the deadline has passed.
    pub is_backup: bool,
    /// Whether there is a deadline at all.
    pub has_deadline: bool,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    source: IpAddr,
    /// The client that Client Subnet names, with the bits that are said of it.
    named: Option<(Client, u8)>,
}

impl Asker {
    /// From the source, and the subnet if that source's is believed (RFC 7871 §7.2) and it says something.
    pub fn new(settings: &Settings, source: IpAddr, subnet: Option<IpNet>) -> Self {
        let believed = subnet.filter(|_| believes(settings, source));
        let named = believed
            .filter(|net| net.prefix_len() > 0)
            .map(|net| (tables::client(net.network()), net.prefix_len()));
        Self { source, named }
    }

    /// Whether Client Subnet counts.
    pub fn is_named(&self) -> bool {
        self.named.is_some()
    }

    /// Whom buckets are chosen by.
    pub fn client(&self) -> Client {
        self.named
            .map_or_else(|| tables::client(self.source), |(client, _)| client)
    }

    /// Whose addresses it gets.
    pub fn place<T: LiveTables>(&self, tables: &T, settings: &Settings) -> Result<Place, T::Error> {
        match self.named {
            None => self.place_of_source(tables, settings),
            Some((client, len)) => {
                let (matched, vantage) = in_prefixes(tables, settings, client, len)?;
                Ok(Place {
                    matched,
                    by_subnet: true,
                    vantage,
                    tables_say: None,
                })
            }
        }
    }

    /// Whose referral it gets.
    pub fn place_of_source<T: LiveTables>(
        &self,
        tables: &T,
        settings: &Settings,
    ) -> Result<Place, T::Error> {
        let maps = match self.source {
            IpAddr::V4(_) => settings.maps_v4,
            IpAddr::V6(_) => settings.maps_v6,
        };
        let place = |matched, vantage| Place {
            matched,
            by_subnet: false,
            vantage,
            tables_say: None,
        };
        if maps == 0 {
            return Ok(place(Matched::NotMapped, settings.default_vantage));
        }
        let client = tables::client(self.source);
        let key = tables::resolver_key(self.source);
        let resolver = tables.resolver(key)?;
        let (matched, vantage) = match resolver {
            Some(value) if value.check == client_check(client.word) => {
                (Matched::Resolver(key), value.vantage)
            }
            _ => in_prefixes(tables, settings, client, u8::MAX)?,
        };
        let readable = place(matched, vantage);
        let IpAddr::V4(address) = self.source else {
            return Ok(readable);
        };
        Ok(match indexed(tables, address)? {
            Some(indexed) if indexed != vantage => Place {
                vantage: indexed,
                tables_say: Some(vantage),
                ..readable
            },
            _ => readable,
        })
    }
}

fn believes(settings: &Settings, source: IpAddr) -> bool {
    let (senders, count) = match source {
        IpAddr::V4(_) => (&settings.subnet_senders_v4, settings.subnet_sender_count_v4),
        IpAddr::V6(_) => (&settings.subnet_senders_v6, settings.subnet_sender_count_v6),
    };
    let client = tables::client(source);
    let mut senders = senders.iter().take(count as usize);
    senders.any(|sender| client.is_in(sender))
}

fn in_prefixes<T: LiveTables>(
    tables: &T,
    settings: &Settings,
    client: Client,
    len: u8,
) -> Result<(Matched, u32), T::Error> {
    Ok(match tables.prefix(client, len)? {
        Some((0, value)) => (Matched::Default, u32::from(value.vantage)),
        Some((len, value)) => (
            net(client, len).map_or(Matched::Default, Matched::Prefix),
            u32::from(value.vantage),
        ),
        None => (Matched::Default, settings.default_vantage),
    })
}

fn net(client: Client, len: u8) -> Option<IpNet> {
    let [a, b, c, d, ..] = client.word.to_ne_bytes();
    let address: IpAddr = match client.is_v6 {
        0 => Ipv4Addr::new(a, b, c, d).into(),
        _ => Ipv6Addr::from_bits(u128::from(u64::from_be(client.word)) << 64).into(),
    };
    IpNet::new(address, len).ok().map(|net| net.trunc())
}

/// What the client index says, by the search that the kernel program makes. `None`: it is not there, or
/// leads nowhere.
fn indexed<T: LiveTables>(tables: &T, address: Ipv4Addr) -> Result<Option<u32>, T::Error> {
    let address = address.to_bits();
    let Some(chunk) = tables.chunk(ChunkWord::of(address))? else {
        return Ok(None);
    };
    if chunk.count() == 0 {
        return Ok(Some(chunk.vantage()));
    }
    let entry = |index: u32| -> Result<Option<RunEntry>, T::Error> {
        let element = tables.run(index / RUN_ENTRIES_PER_ELEMENT)?;
        Ok(element.map(|element| RunEntry::in_element(element, index)))
    };
    let wanted = address & (MAX_RUN - 1);
    let (mut first, mut left) = (chunk.start(), chunk.count());
    while left > 1 {
        let half = left / 2;
        let Some(middle) = entry(first + half)? else {
            return Ok(None);
        };
        if middle.first() <= wanted {
            first += half;
        }
        left -= half;
    }
    Ok(entry(first)?.map(RunEntry::vantage))
}

/// Who serves for a vantage when the daemon last beat at `heartbeat`. `None`: there is no such vantage.
pub fn serving<T: LiveTables>(
    tables: &T,
    vantage: u32,
    heartbeat: u64,
) -> Result<Option<Serving>, T::Error> {
    let value = tables.vantage(vantage)?;
    Ok(value.map(|value| Serving {
        vantage: value.serving(heartbeat),
        is_backup: dglb_common::layout::ticks(heartbeat) > value.deadline,
        has_deadline: value.deadline != VantageValue::NO_DEADLINE,
    }))
}
