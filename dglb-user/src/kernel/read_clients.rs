//! Reads pinned tables of who has which vantage: the readable ones, and the client index.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::AsFd as _,
};

use aya::{
    Pod,
    maps::{
        Array, Map, MapData,
        lpm_trie::{Key, LpmTrie},
    },
};
use dglb_common::layout::{
    ChunkWord, PrefixValue, ResolverKeyV4, ResolverKeyV6, ResolverValue, Settings, client_check,
};
use ipnet::IpNet;

use super::{
    KernelError, batch,
    pins::Pins,
    read::{array, elements, open},
};
use crate::tables::{Prefixes, Tables, client, index::ClientWords};

/// What the pinned tables say of clients.
#[derive(Clone, Debug, Default)]
pub struct ClientTables {
    /// Settings, resolvers and prefixes; nothing else.
    pub tables: Tables,
    /// The prefixes' values as they stand in the maps.
    pub prefix_values: BTreeMap<IpNet, PrefixValue>,
    /// The client index.
    pub words: ClientWords,
}

impl ClientTables {
    /// Puts the tables together as they were read.
    fn new(
        settings: Settings,
        resolvers: impl IntoIterator<Item = (IpAddr, ResolverValue)>,
        prefix_values: BTreeMap<IpNet, PrefixValue>,
        words: ClientWords,
    ) -> Self {
        let prefixes = prefix_values
            .iter()
            .map(|(net, value)| (*net, u32::from(value.vantage)));
        Self {
            tables: Tables {
                settings,
                resolvers: resolvers.into_iter().collect(),
                prefixes: Prefixes::new(settings.default_vantage, prefixes),
                ..Tables::default()
            },
            prefix_values,
            words,
        }
    }

    /// Entries that are wrong in themselves, at most `most`: a resolver's check that is not that of its
    /// key, a prefix's scope that covers a more specific one, a /0 that is missing.
    pub fn wrong_entries(&self, most: usize) -> Vec<String> {
        let checks = self.tables.resolvers.iter();
        let checks = checks.filter(|(key, value)| value.check != client_check(client(**key).word));
        let checks =
            checks.map(|(key, _)| format!("resolver {key}: its check is not that of its key"));
        let prefixes = self.tables.prefixes.iter();
        let prefixes = prefixes.filter_map(|(net, expected)| {
            let found = self.prefix_values.get(&net);
            let wrong = match found {
                None => "it is missing".to_owned(),
                Some(found) if found.scope == expected.scope => return None,
                Some(found) => format!(
                    "its scope is {}, the longest prefix in it has {}",
                    found.scope, expected.scope
                ),
            };
            Some(format!("prefix {net}: {wrong}"))
        });
        checks.chain(prefixes).take(most).collect()
    }
}

/// Reads them; `None` when the node has none.
///
/// # Errors
/// [`KernelError`] when they are there and can't be read.
pub fn client_tables(pins: &Pins) -> Result<Option<ClientTables>, KernelError> {
    if !pins.map("client_chunks").exists() {
        return Ok(None);
    }
    let settings: Vec<Settings> = array(pins, "settings")?;
    let settings = settings.first().copied().unwrap_or_default();
    let v4 = elements::<ResolverKeyV4>(pins, "resolvers_v4")?;
    let v6 = elements::<ResolverKeyV6>(pins, "resolvers_v6")?;
    let v4 = v4.into_iter().map(|(key, value)| (key.into(), value));
    let v6 = v6.into_iter().map(|(key, value)| (key.into(), value));
    let mut prefixes = BTreeMap::new();
    for (len, octets, value) in trie::<[u8; 4]>(pins, "prefixes_v4")? {
        prefixes.extend(net(Ipv4Addr::from(octets).into(), len).map(|net| (net, value)));
    }
    for (len, octets, value) in trie::<[u8; 16]>(pins, "prefixes_v6")? {
        prefixes.extend(net(Ipv6Addr::from(octets).into(), len).map(|net| (net, value)));
    }
    let words = words(
        &Map::Array(open(&pins.map("client_chunks"))?),
        &Map::Array(open(&pins.map("client_runs"))?),
    )?;
    Ok(Some(ClientTables::new(
        settings,
        v4.chain(v6),
        prefixes,
        words,
    )))
}

fn net(address: IpAddr, len: u32) -> Option<IpNet> {
    IpNet::new(address, u8::try_from(len).ok()?).ok()
}

fn trie<K: Pod>(
    pins: &Pins,
    table: &'static str,
) -> Result<Vec<(u32, K, PrefixValue)>, KernelError> {
    let wrong = |source| KernelError::Table { table, source };
    let data = Map::LpmTrie(open(&pins.map(table))?);
    let trie: LpmTrie<_, K, PrefixValue> = LpmTrie::try_from(&data).map_err(wrong)?;
    let entries = trie.iter().map(|entry| {
        let (key, value): (Key<K>, _) = entry?;
        Ok((key.prefix_len(), key.data(), value))
    });
    entries.collect::<Result<_, _>>().map_err(wrong)
}

/// The client index as it stands in its maps.
pub(super) fn words(chunks: &Map, runs: &Map) -> Result<ClientWords, KernelError> {
    let chunks = array_words(chunks, "client_chunks")?;
    Ok(ClientWords {
        chunks: chunks.into_iter().map(ChunkWord).collect(),
        runs: array_words(runs, "client_runs")?,
    })
}

/// All elements of an array of words.
fn array_words(map: &Map, table: &'static str) -> Result<Vec<u64>, KernelError> {
    let wrong = |source| KernelError::Table { table, source };
    // Checks the sizes of keys and values.
    let array: Array<&MapData, u64> = Array::try_from(map).map_err(wrong)?;
    let Map::Array(data) = map else {
        return Err(KernelError::Missing(table));
    };
    match batch::words(data.fd().as_fd(), array.len() as usize) {
        Err(error) if batch::is_unsupported(&error) => {
            array.iter().collect::<Result<_, _>>().map_err(wrong)
        }
        read => read.map_err(|source| KernelError::Batch { table, source }),
    }
}
