//! Reads pinned tables: for `dglb stats`, and for the next start of the daemon.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use aya::{
    Pod,
    maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray},
};
use dglb_common::{
    counters::{COUNTERS, Counters},
    layout::{
        DnsLbValue, ResolverKeyV4, ResolverKeyV6, ResolverValue, Secret, VantageValue, ticks,
    },
};

pub use super::read_clients::{ClientTables, client_tables};
use super::{KernelError, pins::Pins, shown};
use crate::{clock::monotonic_ns, label::Label, publish::build::Restored};

/// A DNS-LB as the tables have it.
#[derive(Clone, Copy, Debug)]
pub struct DnsLbEntry {
    /// Its label.
    pub label: Label,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its IPv6 address.
    pub address_v6: Option<Ipv6Addr>,
    /// Whether it is up.
    pub up: bool,
    /// The vantage that serves for it.
    pub serves: u32,
}

/// What the pinned tables of a node say.
#[derive(Clone, Debug, Default)]
pub struct Pinned {
    /// The kernel's counters.
    pub kernel: Counters,
    /// The daemon's counters, as it last wrote them.
    pub user: Counters,
    /// By vantage.
    pub dns_lbs: Vec<DnsLbEntry>,
    /// Resolvers, by address.
    pub resolvers: Vec<(IpAddr, ResolverValue)>,
}

impl Pinned {
    /// Reads the pinned tables; `None` when the node has none.
    ///
    /// # Errors
    /// [`KernelError`] when they are there and can't be read.
    pub fn read(pins: &Pins) -> Result<Option<Self>, KernelError> {
        if !pins.map("counters").exists() {
            return Ok(None);
        }
        let mut pinned = Self {
            kernel: sum_of_counters(&Map::PerCpuArray(open(&pins.map("counters"))?))?,
            user: array::<Counters>(pins, "user_counters")?
                .first()
                .copied()
                .unwrap_or_default(),
            ..Self::default()
        };
        // A node that was stopped in its first start may have pinned only what is kept.
        if pins.map("dns_lbs").exists() {
            let heartbeat = array::<u64>(pins, "heartbeat")?.first().copied();
            let vantages = array::<VantageValue>(pins, "vantages")?;
            let entries = array::<DnsLbValue>(pins, "dns_lbs")?;
            pinned.dns_lbs = entries
                .iter()
                .zip(vantages)
                .filter_map(|(entry, vantage)| dns_lb(entry, vantage, heartbeat.unwrap_or(0)))
                .collect();
            pinned.resolvers = resolvers(pins)?;
        }
        Ok(Some(pinned))
    }

    /// What of it the next start takes over.
    pub fn restored(&self) -> Restored {
        Restored {
            resolvers: self
                .resolvers
                .iter()
                .filter_map(|(resolver, value)| {
                    let entry = self.dns_lbs.get(value.vantage as usize)?;
                    // Tables of two runs, mixed by a start that was killed, name different addresses.
                    (entry.address.octets() == value.dns_lb).then_some((
                        *resolver,
                        entry.label,
                        value.seen,
                    ))
                })
                .collect(),
            up: self
                .dns_lbs
                .iter()
                .filter(|entry| entry.up)
                .map(|entry| entry.label)
                .collect(),
            now_ns: monotonic_ns(),
        }
    }
}

/// The kernel's counters alone; `None` when the node has no tables.
///
/// # Errors
/// [`KernelError`] when they are there and can't be read.
pub fn counters(pins: &Pins) -> Result<Option<Counters>, KernelError> {
    let path = pins.map("counters");
    if !path.exists() {
        return Ok(None);
    }
    sum_of_counters(&Map::PerCpuArray(open(&path)?)).map(Some)
}

/// The keys of the name hash of an earlier run.
///
/// # Errors
/// [`KernelError`] when the table is there and can't be read.
pub fn secret(pins: &Pins) -> Result<Option<Secret>, KernelError> {
    if !pins.map("secret").exists() {
        return Ok(None);
    }
    let secret = array::<Secret>(pins, "secret")?.first().copied();
    Ok(secret.filter(|secret| *secret != Secret::default()))
}

/// The counters of all CPUs, added up.
pub(super) fn sum_of_counters(map: &Map) -> Result<Counters, KernelError> {
    let wrong = |source| KernelError::Table {
        table: "counters",
        source,
    };
    let words: PerCpuArray<_, [u64; COUNTERS]> = PerCpuArray::try_from(map).map_err(wrong)?;
    let mut sum = [0_u64; COUNTERS];
    for cpu in words.get(&0, 0).map_err(wrong)?.iter() {
        for (total, word) in sum.iter_mut().zip(cpu) {
            *total += word;
        }
    }
    Ok(Counters::from_words(sum))
}

fn dns_lb(entry: &DnsLbValue, vantage: VantageValue, heartbeat: u64) -> Option<DnsLbEntry> {
    Some(DnsLbEntry {
        label: Label::from_wire(&entry.label)?,
        address: entry.addr.into(),
        address_v6: Some(Ipv6Addr::from(entry.addr_v6)).filter(|ip| !ip.is_unspecified()),
        up: ticks(heartbeat) <= vantage.deadline,
        serves: vantage.serving(heartbeat),
    })
}

fn resolvers(pins: &Pins) -> Result<Vec<(IpAddr, ResolverValue)>, KernelError> {
    let v4 = elements::<ResolverKeyV4>(pins, "resolvers_v4")?;
    let v6 = elements::<ResolverKeyV6>(pins, "resolvers_v6")?;
    let v4 = v4.into_iter().map(|(key, value)| (key.into(), value));
    let v6 = v6.into_iter().map(|(key, value)| (key.into(), value));
    let mut resolvers: Vec<_> = v4.chain(v6).collect();
    resolvers.sort_unstable_by_key(|(resolver, _)| *resolver);
    Ok(resolvers)
}

/// All elements of a table of resolvers.
pub(super) fn elements<K: Pod>(
    pins: &Pins,
    table: &'static str,
) -> Result<Vec<(K, ResolverValue)>, KernelError> {
    let wrong = |source| KernelError::Table { table, source };
    let data = Map::HashMap(open(&pins.map(table))?);
    let map: HashMap<_, K, ResolverValue> = HashMap::try_from(&data).map_err(wrong)?;
    let mut elements = Vec::new();
    for entry in map.iter() {
        match entry {
            Ok(entry) => elements.push(entry),
            // Removed while it was read.
            Err(MapError::KeyNotFound) => {}
            Err(error) => return Err(wrong(error)),
        }
    }
    Ok(elements)
}

pub(super) fn array<V: Pod>(pins: &Pins, table: &'static str) -> Result<Vec<V>, KernelError> {
    let wrong = |source| KernelError::Table { table, source };
    let data = Map::Array(open(&pins.map(table))?);
    let map: Array<_, V> = Array::try_from(&data).map_err(wrong)?;
    map.iter().collect::<Result<_, _>>().map_err(wrong)
}

pub(super) fn open(path: &Path) -> Result<MapData, KernelError> {
    MapData::from_pin(path).map_err(|error| match error {
        MapError::PinError { error, .. } => KernelError::Pin {
            path: shown(path),
            reason: error.to_string(),
        },
        MapError::SyscallError(error)
            if error.io_error.kind() == io::ErrorKind::PermissionDenied =>
        {
            KernelError::Pin {
                path: shown(path),
                reason: "no rights: run as root, or with CAP_BPF".to_owned(),
            }
        }
        error => KernelError::Pin {
            path: shown(path),
            reason: error.to_string(),
        },
    })
}
