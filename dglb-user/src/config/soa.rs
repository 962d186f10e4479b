//! Reads TTLs and the values of an SOA record.

use super::{Soa, names, reader::Table, value::Value};

/// The longest TTL that may be configured, a week. RFC 2181 §8 allows 2^31-1, but resolvers cut at a
/// day or a week anyway, and for as long as a wrong value lives nobody can be led elsewhere.
const MAX_TTL: u32 = 604_800;
/// The largest value of the SOA's intervals (RFC 1982, RFC 2181 §8: 31 bits).
const MAX_INTERVAL: u32 = (1 << 31) - 1;

/// A TTL that may be 0, "do not cache".
pub(super) fn ttl(value: Value<'_>) -> Option<u32> {
    value.number(0..=MAX_TTL, " (seconds, at most a week)")
}

/// The TTL of something that leads to another server: with 0 a resolver could not use it at all.
pub(super) fn lasting_ttl(value: Value<'_>) -> Option<u32> {
    value.number(1..=MAX_TTL, " (seconds, at most a week)")
}

/// Reads the table `soa`, which must be there.
pub(super) fn read(table: &mut Table<'_>) -> Option<Soa> {
    let remedy = "add soa = { mname = \"ns1.example.com\", rname = \"hostmaster.example.com\", \
                  serial = 1 }";
    let mut soa = table.required_table("soa", remedy)?;
    let mname = soa.required("mname", "\"ns1.example.com\"", names::owner_name);
    let rname = soa.required("rname", "\"hostmaster.example.com\"", names::mailbox);
    let serial = soa.required("serial", "1", |value| value.number(0..=u32::MAX, ""));
    let refresh = soa.or("refresh", 3600, interval);
    let retry = soa.or("retry", 600, interval);
    let expire = soa.or("expire", 604_800, interval);
    let minimum = soa.or("minimum", 60, ttl);
    let ttl = soa.or("ttl", 60, ttl);
    soa.finish(&[]);
    Some(Soa {
        mname: mname?.value,
        rname: rname?,
        serial: serial?,
        refresh,
        retry,
        expire,
        minimum,
        ttl,
    })
}

fn interval(value: Value<'_>) -> Option<u32> {
    value.number(1..=MAX_INTERVAL, " (seconds)")
}
