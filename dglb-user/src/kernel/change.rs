//! Changes of the tables while the program serves, in the order that its readers need.

use std::{net::IpAddr, time::Instant};

use aya::{Pod, maps::HashMap};
use dglb_common::{
    counters::Counters,
    layout::{Answer, AnswerRef, ResolverKeyV4, ResolverKeyV6, ResolverValue, VantageValue},
};

use super::{
    Kernel, KernelError,
    maps::{Row, array, hash, insert, set},
};
use crate::{
    publish::{DataPath, DataPathError},
    tables::Change,
};

impl DataPath for Kernel {
    fn apply(&mut self, changes: &[Change]) -> Result<(), DataPathError> {
        let began = Instant::now();
        let mut made = 0;
        // Changes of resolvers that follow each other touch each chunk of the client index once.
        for group in changes.chunk_by(|one, other| is_of_resolver(one) && is_of_resolver(other)) {
            let (of_group, result) = self.change(group);
            made += of_group;
            result.map_err(|error| data_path_error(&error, made))?;
        }
        tracing::debug!(changes = made, took = ?began.elapsed(), "tables changed");
        Ok(())
    }

    fn beat(&mut self, now_ns: u64) -> Result<(), DataPathError> {
        array(&mut self.ebpf, "heartbeat")
            .and_then(|mut map| set(&mut map, "heartbeat", 0, &now_ns))
            .map_err(|error| data_path_error(&error, 0))
    }

    fn count(&mut self, counters: &Counters) -> Result<(), DataPathError> {
        array(&mut self.ebpf, "user_counters")
            .and_then(|mut map| set(&mut map, "user_counters", 0, counters))
            .map_err(|error| data_path_error(&error, 0))
    }

    fn needs_grace(&self) -> bool {
        self.is_waiting()
    }

    fn grace(&mut self) -> Result<(), DataPathError> {
        self.wait_for_readers()
            .map_err(|error| data_path_error(&error, 0))
    }
}

fn is_of_resolver(change: &Change) -> bool {
    matches!(change, Change::SetResolver(..) | Change::RemoveResolver(_))
}

impl Kernel {
    /// Makes one change, or several of resolvers. Gives how many are in the tables, all of them unless one
    /// failed; the client index follows those, and where it fails it does so with the next change.
    fn change(&mut self, changes: &[Change]) -> (usize, Result<(), KernelError>) {
        let mut result = Ok(());
        let mut made = 0;
        for change in changes {
            result = self.change_one(change);
            if result.is_err() {
                break;
            }
            made += 1;
        }
        let made_of_resolvers = &changes[..made];
        if made_of_resolvers.iter().any(is_of_resolver) {
            let followed = self.change_clients(|index, chunks| {
                for change in made_of_resolvers {
                    let chunk = match change {
                        Change::SetResolver(IpAddr::V4(resolver), value) => {
                            index.set(*resolver, value.vantage)
                        }
                        Change::RemoveResolver(IpAddr::V4(resolver)) => index.remove(*resolver),
                        _ => None,
                    };
                    chunks.extend(chunk);
                }
            });
            result = result.and(followed);
        }
        (made, result)
    }

    fn change_one(&mut self, change: &Change) -> Result<(), KernelError> {
        match change {
            Change::SetResolver(resolver, value) => self.set_resolver(*resolver, value),
            Change::RemoveResolver(resolver) => self.remove_resolver(*resolver),
            Change::SetVantage(vantage, value) => {
                let mut map = array::<VantageValue>(&mut self.ebpf, "vantages")?;
                set(&mut map, "vantages", *vantage as usize, value)
            }
            Change::SetRanking { page, index, word } => self.set_ranking(*page, *index, *word),
            Change::SetAnswer { slot, answer } => {
                let mut map = array::<Answer>(&mut self.ebpf, "answers")?;
                set(&mut map, "answers", *slot as usize, &**answer)
            }
            Change::SetBuckets { row, words } => {
                let mut map = array::<Row>(&mut self.ebpf, "buckets")?;
                set(&mut map, "buckets", *row as usize, &Row(**words))
            }
        }
    }

    fn set_resolver(&mut self, resolver: IpAddr, value: &ResolverValue) -> Result<(), KernelError> {
        match resolver {
            IpAddr::V4(address) => {
                const TABLE: &str = "resolvers_v4";
                let mut map = hash::<ResolverKeyV4, ResolverValue>(&mut self.ebpf, TABLE)?;
                insert(&mut map, TABLE, &address.octets(), value)
            }
            IpAddr::V6(address) => {
                const TABLE: &str = "resolvers_v6";
                let mut map = hash::<ResolverKeyV6, ResolverValue>(&mut self.ebpf, TABLE)?;
                insert(&mut map, TABLE, &address.octets(), value)
            }
        }
    }

    fn remove_resolver(&mut self, resolver: IpAddr) -> Result<(), KernelError> {
        match resolver {
            IpAddr::V4(address) => self.remove("resolvers_v4", &address.octets()),
            IpAddr::V6(address) => self.remove("resolvers_v6", &address.octets()),
        }
    }

    fn remove<K: Pod>(&mut self, table: &'static str, key: &K) -> Result<(), KernelError> {
        let mut map: HashMap<_, K, ResolverValue> = hash(&mut self.ebpf, table)?;
        map.remove(key)
            .map_err(|source| KernelError::Table { table, source })
    }

    fn set_ranking(&mut self, page: u32, index: u32, word: AnswerRef) -> Result<(), KernelError> {
        let page = self
            .pages
            .get_mut(page as usize)
            .ok_or(KernelError::Missing("rankings"))?;
        set(page, "rankings", index as usize, &word.0)
    }
}

fn data_path_error(error: &KernelError, made: usize) -> DataPathError {
    DataPathError {
        reason: error.to_string(),
        made,
    }
}
