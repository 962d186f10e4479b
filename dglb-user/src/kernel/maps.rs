//! The object's maps as the types that their elements have.

use std::{
    borrow::BorrowMut,
    os::fd::{AsFd as _, BorrowedFd},
};

use aya::{
    Ebpf, Pod,
    maps::{Array, HashMap, Map, MapData, MapError},
};
use dglb_common::layout::BUCKETS;

use super::{KernelError, batch};

/// A row of buckets, as a type that aya may copy.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(super) struct Row(pub [u64; BUCKETS]);

// SAFETY: an array of integers.
unsafe impl Pod for Row {}

pub(super) fn array<'a, V: Pod>(
    ebpf: &'a mut Ebpf,
    table: &'static str,
) -> Result<Array<&'a mut MapData, V>, KernelError> {
    typed(ebpf, table)
}

pub(super) fn hash<'a, K: Pod, V: Pod>(
    ebpf: &'a mut Ebpf,
    table: &'static str,
) -> Result<HashMap<&'a mut MapData, K, V>, KernelError> {
    typed(ebpf, table)
}

/// A map of the object, as the type that its elements have.
pub(super) fn typed<'a, M>(ebpf: &'a mut Ebpf, table: &'static str) -> Result<M, KernelError>
where
    M: TryFrom<&'a mut Map, Error = MapError>,
{
    let map = ebpf.map_mut(table).ok_or(KernelError::Missing(table))?;
    M::try_from(map).map_err(|source| KernelError::Table { table, source })
}

pub(super) fn insert<K: Pod, V: Pod>(
    map: &mut HashMap<&mut MapData, K, V>,
    table: &'static str,
    key: &K,
    value: &V,
) -> Result<(), KernelError> {
    map.insert(key, value, 0)
        .map_err(|source| KernelError::Table { table, source })
}

/// Sets one element of an array.
pub(super) fn set<V: Pod>(
    array: &mut Array<impl BorrowMut<MapData>, V>,
    table: &'static str,
    index: usize,
    value: &V,
) -> Result<(), KernelError> {
    array
        .set(index as u32, value, 0)
        .map_err(|source| KernelError::Table { table, source })
}

/// Sets many elements of an array, from `start` on, each at once but not all together.
pub(super) fn set_all<V: Pod>(
    ebpf: &mut Ebpf,
    table: &'static str,
    start: usize,
    values: &[V],
) -> Result<(), KernelError> {
    if values.len() >= batch::WORTHWHILE {
        let keys: Vec<u32> = (start as u32..).take(values.len()).collect();
        match batch::update(descriptor(ebpf, table)?, &keys, values) {
            Err(error) if batch::is_unsupported(&error) => {}
            done => {
                return done.map_err(|source| KernelError::Batch { table, source });
            }
        }
    }
    let mut array = array::<V>(ebpf, table)?;
    for (index, value) in (start..).zip(values) {
        set(&mut array, table, index, value)?;
    }
    Ok(())
}

/// Sets many elements of a hash map.
pub(super) fn insert_all<K: Pod, V: Pod>(
    ebpf: &mut Ebpf,
    table: &'static str,
    entries: &[(K, V)],
) -> Result<(), KernelError> {
    if entries.len() >= batch::WORTHWHILE {
        let (keys, values): (Vec<K>, Vec<V>) = entries.iter().copied().unzip();
        match batch::update(descriptor(ebpf, table)?, &keys, &values) {
            Err(error) if batch::is_unsupported(&error) => {}
            done => {
                return done.map_err(|source| KernelError::Batch { table, source });
            }
        }
    }
    let mut map = hash::<K, V>(ebpf, table)?;
    for (key, value) in entries {
        insert(&mut map, table, key, value)?;
    }
    Ok(())
}

pub(super) fn descriptor<'a>(
    ebpf: &'a Ebpf,
    table: &'static str,
) -> Result<BorrowedFd<'a>, KernelError> {
    match ebpf.map(table) {
        Some(Map::Array(data) | Map::HashMap(data) | Map::ArrayOfMaps(data)) => {
            Ok(data.fd().as_fd())
        }
        _ => Err(KernelError::Missing(table)),
    }
}
