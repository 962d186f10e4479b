//! Fills fresh maps, before anything reads them.

use aya::{
    Ebpf,
    maps::{Array, ArrayOfMaps, MapData},
};
use dglb_common::layout::{
    Answer, DnsLbValue, LabelKey, LabelValue, NameSlot, RANKING_PAGE, ResolverKey, ResolverValue,
    Secret, Settings, VantageValue, label_check,
};

use super::{KernelError, array, hash, insert, name_index::NameIndex, set};
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
    set(
        &mut array::<Secret>(ebpf, "secret")?,
        "secret",
        0,
        &tables.secret,
    )?;
    let mut slots = array::<NameSlot>(ebpf, "names")?;
    for (index, value) in names.slots.iter().enumerate() {
        set(&mut slots, "names", index, value)?;
    }
    let mut displacements = array::<u64>(ebpf, "displacements")?;
    for (index, value) in names.displacements.iter().enumerate() {
        set(&mut displacements, "displacements", index, value)?;
    }
    let mut labels = hash::<LabelKey, LabelValue>(ebpf, "labels")?;
    for (label, &vantage) in &tables.labels {
        insert(&mut labels, "labels", label, &label_value(label, vantage))?;
    }
    let mut resolvers = hash::<ResolverKey, ResolverValue>(ebpf, "resolvers_v4")?;
    for (resolver, value) in &tables.resolvers {
        let key = ResolverKey {
            addr: resolver.octets(),
        };
        insert(&mut resolvers, "resolvers_v4", &key, value)?;
    }
    let mut vantages = array::<VantageValue>(ebpf, "vantages")?;
    for (index, value) in tables.vantages.iter().enumerate() {
        set(&mut vantages, "vantages", index, value)?;
    }
    let mut dns_lbs = array::<DnsLbValue>(ebpf, "dns_lbs")?;
    for (index, value) in tables.dns_lbs.iter().enumerate() {
        set(&mut dns_lbs, "dns_lbs", index, value)?;
    }
    let mut answers = array::<Answer>(ebpf, "answers")?;
    for (index, value) in tables.answers.iter().enumerate() {
        set(&mut answers, "answers", index, value)?;
    }
    rankings(ebpf, tables)
}

/// Makes each page whole, then puts it in its place.
fn rankings(ebpf: &mut Ebpf, tables: &Tables) -> Result<Vec<Array<MapData, u64>>, KernelError> {
    let wrong = |source| KernelError::Table {
        table: "rankings",
        source,
    };
    let map = ebpf
        .map_mut("rankings")
        .ok_or(KernelError::Missing("rankings"))?;
    let mut outer: ArrayOfMaps<_, Array<MapData, u64>> = map.try_into().map_err(wrong)?;
    let mut pages = Vec::with_capacity(tables.pages());
    for (index, words) in tables.rankings.chunks(RANKING_PAGE).enumerate() {
        let mut page = Array::create(RANKING_PAGE as u32, 0).map_err(wrong)?;
        for (place, word) in words.iter().enumerate().filter(|(_, word)| word.is_ready()) {
            set(&mut page, "rankings", place, &word.0)?;
        }
        outer.set(index as u32, &page, 0).map_err(wrong)?;
        pages.push(page);
    }
    Ok(pages)
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
