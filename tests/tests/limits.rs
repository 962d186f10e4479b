//! The rate limit as it is by default, over a real wire: a flood from one /24 is cut to its burst and
//! rate, all of it is accounted for, and nobody else is hurt.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use dglb_tests::{
    is_root,
    lab::{
        dns,
        node::{Stats, WWW},
        wait,
    },
    rig::{DEFAULT, DNS_B, OTHER, RESOLVER, Rig, STRANGER, load::Question},
};
use hickory_proto::{op::ResponseCode, rr::RecordType};

/// Queries of a flood.
const FLOOD: u64 = 10_000;
/// The defaults of docs/configuration.md, for each CPU.
const BURST: u64 = 2000;
const PER_SECOND: f64 = 1000.0;
/// The row of stubs.
const STUBS: &str = "limited";
/// Queries that are under way at once: fewer than a veth interface's ring holds.
const AT_ONCE: u64 = 64;

#[test]
fn a_flood_from_one_network_gets_its_burst_and_rate() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let mut rig = Rig::dns_b("lab-limit", "")?;
    rig.start()?;
    // Both addresses are in one /24: they share its limit.
    let neighbour = Ipv4Addr::new(198, 51, 100, 200);
    let address = format!("address add {neighbour}/32 dev eth0\n");
    rig.asker.namespace().ip(&address)?;
    let flood = flood(&rig, &[RESOLVER, neighbour], WWW)?;

    let (answered, limited) = (flood.row("b-r")?, flood.limited);
    flood.check_cut(answered)?;
    assert_eq!(answered + limited, flood.seen, "{flood:?}");

    // Another /24 is answered all the while: its bucket is full.
    for source in [STRANGER, OTHER] {
        for _ in 0..100 {
            assert_eq!(rig.referred_to(source)?, DEFAULT);
        }
    }
    assert_eq!(
        Flood::limited(&rig.node.stats()?)?,
        limited,
        "others are limited"
    );
    // And when the flood is over, so is this one again.
    assert_eq!(rig.referred_to(RESOLVER)?, DEFAULT);
    Ok(())
}

#[test]
fn a_named_prefix_has_its_own_limit() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let raised = "\n[[limit.prefix]]\nprefix = \"198.51.100.0/24\"\nper_second = 1000000\n\
                  burst = 1000000\n[[limit.prefix]]\nprefix = \"100.64.9.0/28\"\n\
                  per_second = 1\nburst = 5\n";
    let mut rig = Rig::dns_b("lab-raised", raised)?;
    rig.start()?;
    let from_raised = flood(&rig, &[RESOLVER], WWW)?;
    assert_eq!(from_raised.limited, 0, "{from_raised:?}");
    assert_eq!(from_raised.row("b-r")?, from_raised.seen);

    let from_default = flood(&rig, &[OTHER], WWW)?;
    from_default.check_cut(from_default.row("b-r")?)?;

    let from_lowered = flood(&rig, &[STRANGER], WWW)?;
    let answered = from_lowered.row("b-r")?;
    let most = cpus() * (5 + from_lowered.took.as_secs() + 2);
    ensure!(
        (5..=most).contains(&answered),
        "{answered} of at most {most}"
    );
    Ok(())
}

#[test]
fn what_user_space_answers_is_limited_too() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let mut rig = Rig::dns_b("lab-limit-us", "")?;
    rig.start()?;
    let flood = flood(&rig, &[RESOLVER], "www.example.com")?;
    ensure!(
        flood.rows_xdp == 0,
        "a name that is not ours in XDP: {flood:?}"
    );
    let passed = flood.seen - flood.limited;
    flood.check_cut(passed)?;
    // One that is not flooding gets its answer from the same sockets.
    let answer = dns::ask_from(
        &rig.asker,
        STRANGER,
        DNS_B,
        "www.example.com",
        RecordType::A,
    )?;
    assert_eq!(answer.metadata.response_code, ResponseCode::Refused);
    Ok(())
}

/// What became of a flood, by the node's counters.
#[derive(Debug)]
struct Flood {
    /// Frames of the flood that XDP saw.
    seen: u64,
    /// Dropped, or answered by a stub.
    limited: u64,
    /// Answers by row in XDP.
    rows: Vec<(String, u64)>,
    rows_xdp: u64,
    took: Duration,
}

/// Sends queries for `name` from `sources` in turn until the node has seen enough of them.
fn flood(rig: &Rig, sources: &[Ipv4Addr], name: &str) -> Result<Flood> {
    let query = Question::new(name, RecordType::A, true)?;
    let to = SocketAddrV4::new(DNS_B, 53);
    let sockets = sources
        .iter()
        .map(|source| rig.asker.udp_from(*source, to.into()))
        .collect::<Result<Vec<_>>>()?;
    let before = rig.node.stats()?;
    let start = Instant::now();
    let send = |count: u64| -> Result<()> {
        for index in 0..count {
            let socket = &sockets[index as usize % sockets.len()];
            socket.send(query.octets())?;
            if index % AT_ONCE == 0 {
                thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    };
    let mut missing = FLOOD;
    let after = wait::until("the flood is seen", Duration::from_secs(30), || {
        send(missing)?;
        let after = rig.node.stats()?;
        let seen = Flood::seen(&after)? - Flood::seen(&before)?;
        missing = FLOOD.saturating_sub(seen);
        ensure!(missing == 0, "{seen} of {FLOOD}");
        Ok(after)
    })?;
    let took = start.elapsed();
    let rows = after.rows.iter().zip(&before.rows);
    let rows: Vec<_> = rows
        .map(|(after, before)| (after.row.clone(), after.xdp - before.xdp))
        .collect();
    Ok(Flood {
        seen: Flood::seen(&after)? - Flood::seen(&before)?,
        limited: Flood::limited(&after)? - Flood::limited(&before)?,
        rows_xdp: (rows.iter().filter(|(row, _)| row != STUBS))
            .map(|(_, count)| count)
            .sum(),
        rows,
        took,
    })
}

impl Flood {
    fn row(&self, id: &str) -> Result<u64> {
        let row = self.rows.iter().find(|(row, _)| row == id);
        row.map(|(_, count)| *count).context("no such row")
    }

    /// Over the limit: dropped, or every second time answered by a stub.
    fn limited(stats: &Stats) -> Result<u64> {
        let stubs = stats.row(STUBS).context("no row of stubs")?.xdp;
        Ok(Self::dropped(stats)? + stubs)
    }

    fn dropped(stats: &Stats) -> Result<u64> {
        let reason = stats
            .dropped
            .iter()
            .find(|reason| reason.reason == "limited");
        Ok(reason.context("no counter of that")?.count)
    }

    /// Queries to the node, whatever became of them.
    fn seen(stats: &Stats) -> Result<u64> {
        let answered: u64 = stats.rows.iter().map(|row| row.xdp).sum();
        let names = stats.passed.iter().find(|reason| reason.reason == "name");
        Ok(answered + names.context("no counter of that")?.count + Self::dropped(stats)?)
    }

    /// At least one burst, and at most what burst and rate of all CPUs give in that time: less than the
    /// flood, unless the machine is too slow to make one. The clock is read after the last query.
    fn check_cut(&self, through: u64) -> Result<()> {
        let rate = self.took.as_secs_f64() * PER_SECOND;
        // The time of the limit is the heartbeat until a bucket seems empty: what the rate gives in its age
        // comes on top, a quarter of a second, or a whole one where the daemon has to wait for a CPU.
        let most = cpus() * (BURST + rate as u64 + PER_SECOND as u64);
        ensure!(
            (BURST..=most).contains(&through),
            "{through} got through in {:?}, not {BURST} to {most}",
            self.took
        );
        Ok(())
    }
}

/// Each has buckets of its own.
fn cpus() -> u64 {
    aya::util::nr_cpus().map_or(1, |cpus| cpus as u64)
}
