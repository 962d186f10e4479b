//! Every map: key, value, who writes, who reads. Sizes marked (L) are set by the loader.
//!
//! All are written by user space and read here, but for `counters`, `limits` and `scratch`.

use aya_ebpf::{
    btf_maps::{Array, ArrayOfMaps, HashMap, PerCpuArray},
    macros::btf_map,
};
use dglb_common::{
    counters::Counters,
    layout::{
        Answer, DnsLbValue, LIMIT_BUCKETS, LabelKey, LabelValue, NameSlot, RANKING_PAGE,
        ResolverKey, ResolverValue, Secret, Settings, VantageValue,
    },
};

use crate::scratch::Scratch;

/// What is fixed while this program serves.
#[btf_map(name = "settings")]
pub static SETTINGS: Array<Settings, 1> = Array::new();

/// Keys of the hash; kept over restarts.
#[btf_map(name = "secret")]
pub static SECRET: Array<Secret, 1> = Array::new();

/// When the daemon last said that it lives: nanoseconds of CLOCK_MONOTONIC; kept over restarts.
#[btf_map(name = "heartbeat")]
pub static HEARTBEAT: Array<u64, 1> = Array::new();

/// Slot of the perfect hash → a balanced name's keyed hash, and what the name is (L).
#[btf_map(name = "names")]
pub static NAMES: Array<NameSlot, 1> = Array::new();

/// Bucket of the perfect hash / 4 → displacements of four buckets (L).
#[btf_map(name = "displacements")]
pub static DISPLACEMENTS: Array<u64, 1> = Array::new();

/// DNS-LB label → vantage (L).
#[btf_map(name = "labels")]
pub static LABELS: HashMap<LabelKey, LabelValue, 1> = HashMap::new();

/// Resolver → vantage and DNS-LB: the mapping table (L).
#[btf_map(name = "resolvers_v4")]
pub static RESOLVERS_V4: HashMap<ResolverKey, ResolverValue, 1> = HashMap::new();

/// Vantage → state, and who serves for it (L).
#[btf_map(name = "vantages")]
pub static VANTAGES: Array<VantageValue, 1> = Array::new();

/// Vantage → label and address; read by people and by the daemon's next start (L).
#[btf_map(name = "dns_lbs")]
pub static DNS_LBS: Array<DnsLbValue, 1> = Array::new();

/// Page → its words, each an `AnswerRef` (L). A whole page is replaced by swapping the inner map.
#[btf_map(name = "rankings")]
pub static RANKINGS: ArrayOfMaps<Array<u64, RANKING_PAGE>, 1> = ArrayOfMaps::new();

/// Slot → ready resource records (L).
#[btf_map(name = "answers")]
pub static ANSWERS: Array<Answer, 1> = Array::new();

/// What was answered, passed and dropped; written here, read by `dglb stats`; kept over restarts.
#[btf_map(name = "counters")]
pub static COUNTERS_MAP: PerCpuArray<Counters, 1> = PerCpuArray::new();

/// Keyed hash of a source's /24 or longer prefix → when its bucket is full again, nanoseconds; written
/// here only; kept over restarts.
#[btf_map(name = "limits")]
pub static LIMITS: PerCpuArray<u64, LIMIT_BUCKETS> = PerCpuArray::new();

/// Where the labels of the question begin; one frame's work, here only.
#[btf_map(name = "scratch")]
pub static SCRATCH: PerCpuArray<Scratch, 1> = PerCpuArray::new();

/// What the daemon answered by its sockets; written by user space, read by `dglb stats`; kept over
/// restarts. Never read here: it stands here so that all of a node's tables have one home.
#[btf_map(name = "user_counters")]
pub static USER_COUNTERS: Array<Counters, 1> = Array::new();
