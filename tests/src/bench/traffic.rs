//! The asking side: sends a measure's queries and reads what the checker saw.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use aya::{
    Ebpf, Pod, TestRun as _, TestRunOptions,
    maps::{Array, MapData, PerCpuArray, PerCpuValues},
    programs::{TestRunAttrs, Xdp, xdp::XdpMode},
    util::nr_cpus,
};
use dglb_common::bench::{
    DESTINATION_PORT, Expected, FED, HEAD_WORDS, ID, MAX_REPLY, Query, Received, SAMPLE,
    SEEN_SAMPLE, SEEN_WRONG, SOURCE_PORT, Seen, Sent,
};
use rustix::net::netdevice;

use super::{measure::Measure, wire::ASKING};

/// Frames that are sent before the answerer takes them up: what a veth ring, of 256, never loses.
const BATCH: u32 = 64;

/// Octets of a frame behind the query: an answer that lets them through is wrong.
const DIRT: u8 = 0xa5;

/// The fewest frames of a run: some of the checks sample.
pub const MIN_FRAMES: u64 = 20 * SAMPLE;

/// Generator and checker, in service at the asking side.
#[derive(Debug)]
pub struct Traffic {
    programs: Ebpf,
    interface: u32,
}

/// What a run gave.
#[derive(Clone, Debug)]
pub struct Run {
    /// Time of a frame: from the first to the last reply of the timed part, divided.
    pub ns: f64,
    /// One of the replies.
    pub sample: Vec<u8>,
}

impl Traffic {
    /// Loads both and attaches the checker; to be called in the asking side's namespace.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn load(object: &[u8]) -> Result<Self> {
        let mut programs = Ebpf::load(object).context("cannot load the benchmark's programs")?;
        program(&mut programs, "bench_generate")?.load()?;
        let check = program(&mut programs, "bench_check")?;
        check.load()?;
        check
            .attach(ASKING, XdpMode::Driver)
            .with_context(|| format!("cannot attach the checker to {ASKING}"))?;
        let socket = rustix::net::socket(
            rustix::net::AddressFamily::INET,
            rustix::net::SocketType::DGRAM,
            None,
        )?;
        let interface = netdevice::name_to_index(&socket, ASKING)?;
        Ok(Self {
            programs,
            interface,
        })
    }

    /// Sends `frames` queries of `measure`.
    ///
    /// # Errors
    /// A frame was lost, or one reply is not what is expected: the message shows both.
    pub fn run(&mut self, measure: &Measure, frames: u32) -> Result<Run> {
        let expected = expected(&measure.reply, u64::from(frames));
        self.prepare(measure, &expected)?;
        program(&mut self.programs, "bench_generate")?
            .test_run(TestRunOptions {
                data_in: Some(&[DIRT; FED]),
                repeat: frames,
                attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
                ..TestRunOptions::new()
            })
            .context("the live test run failed (kernel 5.18 and later have it)")?;
        self.result(measure, &expected)
    }

    fn prepare(&mut self, measure: &Measure, expected: &Expected) -> Result<()> {
        let mut octets = [DIRT; FED];
        octets[..measure.query.len()].copy_from_slice(&measure.query);
        let query = Query {
            words: words(&octets),
            len: measure.query.len() as u32,
            interface: self.interface,
        };
        let unseen = Seen {
            words: [0; MAX_REPLY / 8],
            len: 0,
        };
        self.array("bench_query")?.set(0, query, 0)?;
        self.array("bench_expected")?.set(0, *expected, 0)?;
        self.on_each_cpu("bench_sent", 0, Sent::default())?;
        self.on_each_cpu("bench_received", 0, Received::default())?;
        self.on_each_cpu("bench_seen", SEEN_SAMPLE, unseen)?;
        self.on_each_cpu("bench_seen", SEEN_WRONG, unseen)
    }

    fn result(&self, measure: &Measure, expected: &Expected) -> Result<Run> {
        let sent: u64 = self
            .of_each_cpu::<Sent>("bench_sent", 0)?
            .iter()
            .map(|sent| sent.frames)
            .sum();
        ensure!(
            sent == expected.last,
            "{sent} of {} queries were sent",
            expected.last
        );
        let received = self.of_each_cpu::<Received>("bench_received", 0)?;
        // All on one CPU, or the clock's marks were not met.
        let busiest = (0..received.len()).max_by_key(|&cpu| received[cpu].frames);
        let cpu = busiest.context("no CPU is possible")?;
        let received = received[cpu];
        if received.wrong != 0 {
            let seen = self.of_each_cpu::<Seen>("bench_seen", SEEN_WRONG)?[cpu];
            bail!(
                "{} of {} replies are wrong; the first:\n  {}\nexpected, but for ID and ports:\n  {}",
                received.wrong,
                received.frames,
                hex(&octets(&seen)),
                hex(&measure.reply)
            );
        }
        ensure!(
            received.frames == sent,
            "{sent} queries were sent, {} replies came back on this CPU",
            received.frames
        );
        ensure!(
            received.sampled == sent / SAMPLE,
            "{} replies were sampled",
            received.sampled
        );
        let timed = expected.last - expected.first;
        let took = Duration::from_nanos(received.last_ns - received.first_ns);
        let seen = self.of_each_cpu::<Seen>("bench_seen", SEEN_SAMPLE)?[cpu];
        Ok(Run {
            ns: took.as_nanos() as f64 / timed as f64,
            sample: octets(&seen),
        })
    }

    fn array<V: Pod>(&mut self, name: &str) -> Result<Array<&mut MapData, V>> {
        let map = self.programs.map_mut(name).with_context(|| missing(name))?;
        Ok(map.try_into()?)
    }

    fn on_each_cpu<V: Pod>(&mut self, name: &str, key: u32, value: V) -> Result<()> {
        let map = self.programs.map_mut(name).with_context(|| missing(name))?;
        let mut map = PerCpuArray::<_, V>::try_from(map)?;
        let cpus = nr_cpus().map_err(|(file, error)| anyhow::anyhow!("{file}: {error}"))?;
        map.set(key, PerCpuValues::try_from(vec![value; cpus])?, 0)?;
        Ok(())
    }

    fn of_each_cpu<V: Pod>(&self, name: &str, key: u32) -> Result<PerCpuValues<V>> {
        let map = self.programs.map(name).with_context(|| missing(name))?;
        Ok(PerCpuArray::<_, V>::try_from(map)?.get(&key, 0)?)
    }
}

/// What the checker has to compare with; the first twentieth of a run is not timed.
fn expected(reply: &[u8], frames: u64) -> Expected {
    let mut octets = [0; MAX_REPLY];
    octets[..reply.len()].copy_from_slice(reply);
    let mut mask = [0xff; HEAD_WORDS * 8];
    // The checker compares these by their sum.
    for differs in [SOURCE_PORT, DESTINATION_PORT, ID] {
        octets[differs..differs + 2].fill(0);
        mask[differs..differs + 2].fill(0);
    }
    Expected {
        words: words(&octets),
        mask: words(&mask),
        len: reply.len() as u64,
        first: frames / 20,
        last: frames,
    }
}

/// A program of the lab's object.
///
/// # Errors
/// It has none of this name.
pub fn program<'a>(programs: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = programs.program_mut(name).with_context(|| missing(name))?;
    Ok(program.try_into()?)
}

fn missing(name: &str) -> String {
    format!("the lab's kernel programs have no {name:?}: run `cargo xtask build`")
}

fn words<const OCTETS: usize, const WORDS: usize>(octets: &[u8; OCTETS]) -> [u64; WORDS] {
    std::array::from_fn(|word| {
        u64::from_ne_bytes(std::array::from_fn(|octet| octets[word * 8 + octet]))
    })
}

fn octets(seen: &Seen) -> Vec<u8> {
    let mut octets: Vec<u8> = seen
        .words
        .iter()
        .flat_map(|word| word.to_ne_bytes())
        .collect();
    octets.truncate(seen.len as usize);
    octets
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
