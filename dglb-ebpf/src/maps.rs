//! Every map: key, value, who writes, who reads. Sizes marked (L) are set by the loader.
//!
//! All are written by user space and read here, but for `counters`, `limits`, `events`, `told` and
//! `scratch`, which are written here.

use aya_ebpf::{
    btf_maps::{Array, ArrayOfMaps, HashMap, LpmTrie, PerCpuArray, ProgramArray, RingBuf},
    macros::btf_map,
};
use dglb_common::{
    counters::Counters,
    layout::{
        Answer, BucketRow, DnsLbValue, EVENTS_OCTETS, LIMIT_BUCKETS, LabelKey, LabelValue,
        NameSlot, PrefixValue, RANKING_PAGE, ResolverKeyV4, ResolverKeyV6, ResolverValue, Secret,
        Settings, TOLD_GROUPS, VantageValue, WatchedEvent,
    },
    packet::Scratch,
    stage::STAGES as STAGE_COUNT,
};

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

/// Resolver → vantage and DNS-LB: the mapping table (L). For people, the daemon's next start and
/// `dglb verify`: this program reads `client_chunks`, which follows from it and from `prefixes_v4`.
#[btf_map(name = "resolvers_v4")]
pub static RESOLVERS_V4: HashMap<ResolverKeyV4, ResolverValue, 1> = HashMap::new();

/// A resolver's /64 → vantage and DNS-LB (L).
#[btf_map(name = "resolvers_v6")]
pub static RESOLVERS_V6: HashMap<ResolverKeyV6, ResolverValue, 1> = HashMap::new();

/// Prefix → vantage and scope (L); read here for Client Subnet.
#[btf_map(name = "prefixes_v4")]
pub static PREFIXES_V4: LpmTrie<[u8; 4], PrefixValue, 1> = LpmTrie::new();

/// Prefix of at most 64 bits → vantage and scope (L).
#[btf_map(name = "prefixes_v6")]
pub static PREFIXES_V6: LpmTrie<[u8; 16], PrefixValue, 1> = LpmTrie::new();

/// First bits of an IPv4 address → vantage, or where its run is: a `ChunkWord` (L).
#[btf_map(name = "client_chunks")]
pub static CLIENT_CHUNKS: Array<u64, 1> = Array::new();

/// Runs of the client index, two `RunEntry` in each element (L).
#[btf_map(name = "client_runs")]
pub static CLIENT_RUNS: Array<u64, 1> = Array::new();

/// Vantage → who serves for it, and until when (L).
#[btf_map(name = "vantages")]
pub static VANTAGES: Array<VantageValue, 1> = Array::new();

/// Vantage → label and address; read by people and by the daemon's next start (L).
#[btf_map(name = "dns_lbs")]
pub static DNS_LBS: Array<DnsLbValue, 1> = Array::new();

/// Page → its words, each an `AnswerRef` (L). A whole page is replaced by swapping the inner map.
#[btf_map(name = "rankings")]
pub static RANKINGS: ArrayOfMaps<Array<u64, RANKING_PAGE>, 1> = ArrayOfMaps::new();

/// Row → the words that clients share among them, each an `AnswerRef` (L).
#[btf_map(name = "buckets")]
pub static ROWS: Array<BucketRow, 1> = Array::new();

/// Slot → ready resource records (L).
#[btf_map(name = "answers")]
pub static ANSWERS: Array<Answer, 1> = Array::new();

/// What was answered, passed and dropped; written here, read by `dglb stats`; kept over restarts.
#[btf_map(name = "counters")]
pub static COUNTERS_MAP: PerCpuArray<Counters, 1> = PerCpuArray::new();

/// Keyed hash of a source's /24, /56 or longer prefix → when its bucket is full again, nanoseconds; written
/// here only; kept over restarts.
#[btf_map(name = "limits")]
pub static LIMITS: PerCpuArray<u64, LIMIT_BUCKETS> = PerCpuArray::new();

/// Stage → its program, set by the loader before this one is attached. Pinned like the tables: the kernel
/// empties it when nobody in user space has it any more.
#[btf_map(name = "stages")]
pub static STAGES: ProgramArray<STAGE_COUNT> = ProgramArray::new();

/// To the daemon: watched services that were asked for; not pinned.
#[btf_map(name = "events")]
pub static EVENTS: RingBuf<WatchedEvent, EVENTS_OCTETS> = RingBuf::new();

/// Group, modulo the size → when it was told last, nanoseconds, a CPU; here only, not pinned.
#[btf_map(name = "told")]
pub static TOLD: PerCpuArray<u64, TOLD_GROUPS> = PerCpuArray::new();

/// One frame's work, here only.
#[btf_map(name = "scratch")]
pub static SCRATCH: PerCpuArray<Scratch, 1> = PerCpuArray::new();

/// What the daemon answered by its sockets; written by user space, read by `dglb stats`; kept over
/// restarts. Never read here: it stands here so that all of a node's tables have one home.
#[btf_map(name = "user_counters")]
pub static USER_COUNTERS: Array<Counters, 1> = Array::new();
