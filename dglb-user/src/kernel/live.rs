//! The pinned tables, read element by element: what `dglb explain` follows a query through.
//!
//! A DNS-B has a million resolvers: only what the query touches is looked up. The prefixes alone are all
//! looked at, since the kernel gives the value of the longest one, not which one it was.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aya::{
    Pod,
    maps::{
        Array, ArrayOfMaps, HashMap, Map, MapData, MapError,
        lpm_trie::{Key, LpmTrie},
    },
};
use dglb_common::{
    client::Client,
    layout::{
        Answer, AnswerRef, ChunkWord, DnsLbValue, LabelKey, LabelValue, NameSlot, NameValue,
        PrefixValue, ResolverValue, Secret, Settings, VantageValue,
    },
    name::NameHash,
    name_index::{self, DISPLACEMENTS_PER_ELEMENT},
};
use ipnet::IpNet;

use super::{KernelError, maps::Row, pins::Pins, read::open};
use crate::tables::live::LiveTables;

/// The pinned tables of a node.
#[derive(Clone, Debug)]
pub struct Live {
    pins: Pins,
}

impl Live {
    /// `None`: the node has none.
    pub fn of(pins: &Pins) -> Option<Self> {
        // Put in its place last of those that are read here.
        let is_there = pins.map("answers").exists() && pins.map("heartbeat").exists();
        is_there.then(|| Self { pins: pins.clone() })
    }

    fn element<V: Pod>(&self, table: &'static str, index: u32) -> Result<Option<V>, KernelError> {
        let data = Map::Array(open(&self.pins.map(table))?);
        let array: Array<_, V> = Array::try_from(&data).map_err(wrong(table))?;
        found(array.get(&index, 0), table)
    }

    fn entry<K: Pod, V: Pod>(
        &self,
        table: &'static str,
        key: &K,
    ) -> Result<Option<V>, KernelError> {
        let data = Map::HashMap(open(&self.pins.map(table))?);
        let map: HashMap<_, K, V> = HashMap::try_from(&data).map_err(wrong(table))?;
        found(map.get(key, 0), table)
    }

    fn longest<K: Pod>(
        &self,
        table: &'static str,
        client: Client,
        len: u8,
        octets: K,
        net: impl Fn(K, u32) -> Option<IpNet>,
    ) -> Result<Option<(u8, PrefixValue)>, KernelError> {
        let data = Map::LpmTrie(open(&self.pins.map(table))?);
        let trie: LpmTrie<_, K, PrefixValue> = LpmTrie::try_from(&data).map_err(wrong(table))?;
        let Some(value) = found(trie.get(&Key::new(u32::from(len), octets), 0), table)? else {
            return Ok(None);
        };
        let mut longest = 0;
        for key in trie.keys() {
            let key = key.map_err(wrong(table))?;
            let Some(net) = net(key.data(), key.prefix_len()) else {
                continue;
            };
            let holds = net.prefix_len() <= len && net.contains(&address(client));
            if holds && net.prefix_len() > longest {
                longest = net.prefix_len();
            }
        }
        Ok(Some((longest, value)))
    }
}

fn wrong(table: &'static str) -> impl Fn(MapError) -> KernelError {
    move |source| KernelError::Table { table, source }
}

/// What is not there is no error.
fn found<V>(looked_up: Result<V, MapError>, table: &'static str) -> Result<Option<V>, KernelError> {
    match looked_up {
        Ok(value) => Ok(Some(value)),
        Err(MapError::KeyNotFound | MapError::OutOfBounds { .. }) => Ok(None),
        Err(error) => Err(wrong(table)(error)),
    }
}

/// The address that a client's word has; of IPv6 what is behind the /64 is zero.
fn address(client: Client) -> IpAddr {
    let [a, b, c, d, ..] = client.word.to_ne_bytes();
    match client.is_v6 {
        0 => Ipv4Addr::new(a, b, c, d).into(),
        _ => Ipv6Addr::from_bits(u128::from(u64::from_be(client.word)) << 64).into(),
    }
}

impl LiveTables for Live {
    type Error = KernelError;

    fn settings(&self) -> Result<Settings, KernelError> {
        Ok(self.element("settings", 0)?.unwrap_or_default())
    }

    fn secret(&self) -> Result<Secret, KernelError> {
        Ok(self.element("secret", 0)?.unwrap_or_default())
    }

    fn heartbeat(&self) -> Result<u64, KernelError> {
        Ok(self.element("heartbeat", 0)?.unwrap_or_default())
    }

    fn name(&self, hash: NameHash) -> Result<Option<NameValue>, KernelError> {
        let settings = self.settings()?;
        let bucket = name_index::bucket(hash, settings.name_buckets_mask);
        let element = bucket / DISPLACEMENTS_PER_ELEMENT;
        let Some(element) = self.element::<u64>("displacements", element)? else {
            return Ok(None);
        };
        let displacement = name_index::displacement(element, bucket);
        let slot = name_index::slot(hash, displacement, settings.name_slots_mask);
        let slot = self.element::<NameSlot>("names", slot)?;
        let value = slot.filter(|slot| slot.key == hash.key() && slot.value.word != 0);
        Ok(value.map(|slot| slot.value))
    }

    fn label(&self, label: &LabelKey) -> Result<Option<LabelValue>, KernelError> {
        self.entry("labels", label)
    }

    fn resolver(&self, key: IpAddr) -> Result<Option<ResolverValue>, KernelError> {
        match key {
            IpAddr::V4(address) => self.entry("resolvers_v4", &address.octets()),
            IpAddr::V6(address) => self.entry("resolvers_v6", &address.octets()),
        }
    }

    fn prefix(&self, client: Client, len: u8) -> Result<Option<(u8, PrefixValue)>, KernelError> {
        match address(client) {
            IpAddr::V4(address) => {
                let net =
                    |octets: [u8; 4], len| IpNet::new(octets.into(), u8::try_from(len).ok()?).ok();
                self.longest("prefixes_v4", client, len.min(32), address.octets(), net)
            }
            IpAddr::V6(address) => {
                let net =
                    |octets: [u8; 16], len| IpNet::new(octets.into(), u8::try_from(len).ok()?).ok();
                self.longest("prefixes_v6", client, len.min(64), address.octets(), net)
            }
        }
    }

    fn chunk(&self, chunk: u32) -> Result<Option<ChunkWord>, KernelError> {
        Ok(self.element("client_chunks", chunk)?.map(ChunkWord))
    }

    fn run(&self, element: u32) -> Result<Option<u64>, KernelError> {
        self.element("client_runs", element)
    }

    fn vantage(&self, vantage: u32) -> Result<Option<VantageValue>, KernelError> {
        self.element("vantages", vantage)
    }

    fn dns_lb(&self, vantage: u32) -> Result<Option<DnsLbValue>, KernelError> {
        self.element("dns_lbs", vantage)
    }

    fn word(&self, page: u32, index: u32) -> Result<Option<AnswerRef>, KernelError> {
        let table = "rankings";
        let data = Map::ArrayOfMaps(open(&self.pins.map(table))?);
        let pages: ArrayOfMaps<_, Array<MapData, u64>> =
            ArrayOfMaps::try_from(&data).map_err(wrong(table))?;
        let Some(page) = found(pages.get(&page, 0), table)? else {
            return Ok(None);
        };
        Ok(found(page.get(&index, 0), table)?.map(AnswerRef))
    }

    fn bucket(&self, row: u32, place: usize) -> Result<Option<AnswerRef>, KernelError> {
        let row: Option<Row> = self.element("buckets", row)?;
        Ok(row.and_then(|row| row.0.get(place).copied()).map(AnswerRef))
    }

    fn answer(&self, slot: u32) -> Result<Option<Answer>, KernelError> {
        self.element("answers", slot)
    }
}
