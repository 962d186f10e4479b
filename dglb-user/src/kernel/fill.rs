//! Fills fresh maps, before anything reads them.

use std::{net::IpAddr, os::fd::AsRawFd as _, time::Instant};

use aya::{
    Ebpf,
    maps::{
        Array, ArrayOfMaps, Map, MapData,
        lpm_trie::{Key, LpmTrie},
    },
};
use dglb_common::layout::{
    LabelKey, LabelValue, PrefixValue, RANKING_PAGE, ResolverKeyV4, ResolverKeyV6, ResolverValue,
    Settings, label_check,
};
use ipnet::IpNet;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{
    KernelError, batch,
    maps::{Row, array, descriptor, insert_all, set, set_all, typed},
    name_index::NameIndex,
};
use crate::tables::Tables;

/// Writes all of `tables`; gives the pages of the rankings, to write to later.
pub fn fill(
    ebpf: &mut Ebpf,
    tables: &Tables,
    names: &NameIndex,
) -> Result<Vec<Array<MapData, u64>>, KernelError> {
    let settings = Settings {
        name_buckets_mask: names.buckets_mask,
        name_slots_mask: names.slots_mask,
        ..tables.settings
    };
    set(
        &mut array::<Settings>(ebpf, "settings")?,
        "settings",
        0,
        &settings,
    )?;
    set(&mut array(ebpf, "secret")?, "secret", 0, &tables.secret)?;
    set_all(ebpf, "names", 0, &names.slots)?;
    set_all(ebpf, "displacements", 0, &names.displacements)?;
    let labels: Vec<(LabelKey, LabelValue)> = tables
        .labels
        .iter()
        .map(|(label, vantage)| (*label, label_value(label, *vantage)))
        .collect();
    insert_all(ebpf, "labels", &labels)?;
    let began = Instant::now();
    resolvers(ebpf, tables)?;
    let resolvers_filled = began.elapsed();
    prefixes(ebpf, tables)?;
    tracing::debug!(
        resolvers = tables.resolvers.len(),
        ?resolvers_filled,
        prefixes_too = ?began.elapsed(),
        "who asks"
    );
    set_all(ebpf, "vantages", 0, &tables.vantages)?;
    set_all(ebpf, "dns_lbs", 0, &tables.dns_lbs)?;
    set_all(ebpf, "answers", 0, &tables.answers)?;
    let rows: Vec<Row> = tables.buckets.iter().map(|row| Row(*row)).collect();
    set_all(ebpf, "buckets", 0, &rows)?;
    rankings(ebpf, tables)
}

/// The readable form of the mapping.
fn resolvers(ebpf: &mut Ebpf, tables: &Tables) -> Result<(), KernelError> {
    let mut v4: Vec<(ResolverKeyV4, ResolverValue)> = Vec::new();
    let mut v6: Vec<(ResolverKeyV6, ResolverValue)> = Vec::new();
    for (resolver, value) in &tables.resolvers {
        match resolver {
            IpAddr::V4(address) => v4.push((address.octets(), *value)),
            IpAddr::V6(address) => v6.push((address.octets(), *value)),
        }
    }
    insert_all(ebpf, "resolvers_v4", &v4)?;
    insert_all(ebpf, "resolvers_v6", &v6)
}

fn prefixes(ebpf: &mut Ebpf, tables: &Tables) -> Result<(), KernelError> {
    for (net, value) in tables.prefixes.iter() {
        match net {
            IpNet::V4(net) => {
                const TABLE: &str = "prefixes_v4";
                let key = Key::new(net.prefix_len().into(), net.network().octets());
                let mut trie: LpmTrie<_, [u8; 4], PrefixValue> = typed(ebpf, TABLE)?;
                trie.insert(&key, value, 0)
                    .map_err(|source| KernelError::Table {
                        table: TABLE,
                        source,
                    })?;
            }
            IpNet::V6(net) => {
                const TABLE: &str = "prefixes_v6";
                let key = Key::new(net.prefix_len().into(), net.network().octets());
                let mut trie: LpmTrie<_, [u8; 16], PrefixValue> = typed(ebpf, TABLE)?;
                trie.insert(&key, value, 0)
                    .map_err(|source| KernelError::Table {
                        table: TABLE,
                        source,
                    })?;
            }
        }
    }
    Ok(())
}

/// Makes each page whole, then puts all of them in their places: in one batch, for after each single
/// one the kernel would wait for the readers of the one before, some milliseconds.
fn rankings(ebpf: &mut Ebpf, tables: &Tables) -> Result<Vec<Array<MapData, u64>>, KernelError> {
    const TABLE: &str = "rankings";
    let wrong = |source| KernelError::Table {
        table: TABLE,
        source,
    };
    let failed = |source| KernelError::Batch {
        table: TABLE,
        source,
    };
    allow_descriptors(tables.pages());
    let mut pages: Vec<Array<MapData, u64>> = Vec::with_capacity(tables.pages());
    let mut descriptors = Vec::with_capacity(tables.pages());
    for words in tables.rankings.chunks(RANKING_PAGE) {
        let page = batch::create_words(RANKING_PAGE as u32).map_err(failed)?;
        descriptors.push(page.as_raw_fd().cast_unsigned());
        let page = Map::Array(MapData::from_fd(page).map_err(wrong)?);
        let mut page = Array::try_from(page).map_err(wrong)?;
        for (place, word) in words.iter().enumerate().filter(|(_, word)| word.is_ready()) {
            set(&mut page, TABLE, place, &word.0)?;
        }
        pages.push(page);
    }
    let indices: Vec<u32> = (0..).take(pages.len()).collect();
    match batch::update(descriptor(ebpf, TABLE)?, &indices, &descriptors) {
        Err(error) if batch::is_unsupported(&error) => {
            let mut outer: ArrayOfMaps<_, Array<MapData, u64>> = typed(ebpf, TABLE)?;
            for (index, page) in (0..).zip(&pages) {
                outer.set(index, page, 0).map_err(wrong)?;
            }
        }
        done => done.map_err(failed)?,
    }
    Ok(pages)
}

/// Lets this process have a descriptor for each page, to write to it later, where the administrator's
/// limit allows it; where not, making the pages says so.
fn allow_descriptors(pages: usize) {
    /// For all else.
    const OTHERS: u64 = 1024;
    let limit = getrlimit(Resource::Nofile);
    let wanted = pages as u64 + OTHERS;
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let current = limit.maximum.map_or(wanted, |maximum| wanted.min(maximum));
    let raised = Rlimit {
        current: Some(current),
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, wanted, "the limit of open files could not be raised");
    }
}

fn label_value(label: &LabelKey, vantage: u32) -> LabelValue {
    let word = |at: usize| {
        let octets: [u8; 8] = std::array::from_fn(|index| label[at + index]);
        u64::from_ne_bytes(octets)
    };
    LabelValue {
        vantage,
        check: label_check(word(0), word(8)),
    }
}
