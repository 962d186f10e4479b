//! The asking side: sends a stream's queries and reads what the checker saw.

use std::{sync::Barrier, thread};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use aya::{
    Ebpf, EbpfLoader, Pod, TestRun as _, TestRunOptions,
    maps::{Array, MapData, PerCpuArray, PerCpuValues},
    programs::{TestRunAttrs, Xdp, xdp::XdpMode},
    util::nr_cpus,
};
use dglb_common::bench::{
    BLOCK, DESTINATION, DESTINATION_PORT, Expected, FED_LONG, HEAD_WORDS, ID, IP_CHECK, LANES,
    Place, Query, Received, SAMPLE, SAMPLES, Seen, Sent, UDP_CHECK,
};
use rustix::net::netdevice;

use super::{frame, stream::Stream, wire::ASKING};

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

/// What is sent, and who sends it back.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The queries.
    pub stream: &'a Stream,
    /// Where it lies among the streams in the kernel.
    pub place: Place,
    /// Whether the reflector answers.
    pub reflected: bool,
}

/// What a run gave.
#[derive(Clone, Debug)]
pub struct Run {
    /// Nanoseconds a frame: from the first to the last reply of the timed part, divided. Of several CPUs
    /// what the sum of their rates gives.
    pub ns: f64,
    /// Some of the replies, with their queries' numbers.
    pub samples: Vec<(u64, Vec<u8>)>,
}

impl Traffic {
    /// Loads both, with room for `blocks` of streams, and attaches the checker; to be called in the
    /// asking side's namespace.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn load(object: &[u8], blocks: usize) -> Result<Self> {
        let mut loader = EbpfLoader::new();
        loader.map_max_entries("bench_streams", blocks.max(1) as u32);
        let loaded = loader.load(object);
        let mut programs = loaded.context("cannot load the benchmark's programs")?;
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

    /// Copies a stream into the kernel, from the element `first` on.
    ///
    /// # Errors
    /// There is no room.
    pub fn keep(&mut self, stream: &Stream, first: u32) -> Result<Place> {
        let mut map = self.array("bench_streams")?;
        for (key, block) in (first..).zip(stream.blocks()) {
            map.set(key, block, 0)?;
        }
        Ok(Place {
            first,
            mask: (stream.entries.len() / BLOCK) as u32 - 1,
        })
    }

    /// Sends `frames` queries on each of the CPUs, the same on each.
    ///
    /// # Errors
    /// A frame was lost, or one reply is not what is expected: the message shows both.
    pub fn run(&mut self, asked: Asked<'_>, frames: u32, cpus: &[usize]) -> Result<Run> {
        let expected = expected(asked, u64::from(frames));
        self.prepare(asked, &expected)?;
        let generate = self.programs.program("bench_generate");
        let generate: &Xdp = generate
            .with_context(|| missing("bench_generate"))?
            .try_into()?;
        let send = || {
            generate.test_run(TestRunOptions {
                data_in: Some(&[DIRT; FED_LONG][..asked.stream.fed()]),
                repeat: frames,
                attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
                ..TestRunOptions::new()
            })
        };
        match cpus {
            // This thread is there already.
            [_] => send().map(drop),
            cpus => on_each(cpus, || send().map(drop))?,
        }
        .context("the live test run failed (kernel 5.18 and later have it)")?;
        self.result(asked, &expected, cpus)
    }

    fn prepare(&mut self, asked: Asked<'_>, expected: &Expected) -> Result<()> {
        let stream = asked.stream;
        let mut octets = [DIRT; FED_LONG];
        octets[..stream.query.len()].copy_from_slice(&stream.query);
        let query = Query {
            words: words(&octets),
            len: stream.query.len() as u32,
            fed: stream.fed() as u32,
            interface: self.interface,
            name_at: stream.name_at as u32,
            stream: asked.place,
        };
        self.array("bench_query")?.set(0, query, 0)?;
        self.array("bench_expected")?.set(0, *expected, 0)?;
        self.on_each_cpu("bench_sent", 0, Sent::default())?;
        self.on_each_cpu("bench_received", 0, Received::default())
    }

    fn result(&self, asked: Asked<'_>, expected: &Expected, cpus: &[usize]) -> Result<Run> {
        let frames = expected.last;
        let sent = self.of_each_cpu::<Sent>("bench_sent", 0)?;
        let received = self.of_each_cpu::<Received>("bench_received", 0)?;
        let mut samples = Vec::new();
        for &cpu in cpus {
            let (sent, received) = (sent[cpu].frames, received[cpu]);
            ensure!(sent == frames, "{sent} of {frames} queries were sent");
            if received.wrong != 0 {
                let wrong = self.of_each_cpu::<Seen>("bench_wrong", 0)?[cpu];
                bail!(
                    "{} of {} replies are wrong; the first:\n  {}\nexpected:\n  {}",
                    received.wrong,
                    received.frames,
                    hex(&octets(&wrong)),
                    hex(&asked.stream.reply(wrong.index, asked.reflected)?)
                );
            }
            ensure!(
                received.frames == sent,
                "{sent} queries were sent, {} replies came back on this CPU",
                received.frames
            );
            let kept = sent.div_ceil(SAMPLE).min(u64::from(SAMPLES));
            ensure!(
                received.sampled == kept,
                "{} replies were sampled, not {kept}",
                received.sampled
            );
            samples.extend(self.samples(cpu, received.sampled as u32)?);
        }
        let on_all: u64 = received.iter().map(|received| received.frames).sum();
        let asked_for = frames * cpus.len() as u64;
        ensure!(
            on_all == asked_for,
            "{asked_for} queries were sent, {on_all} replies came back"
        );
        let timed = (expected.last - expected.first) as f64;
        let rates = cpus.iter().map(|&cpu| {
            let Received {
                first_ns, last_ns, ..
            } = received[cpu];
            timed / (last_ns - first_ns) as f64
        });
        Ok(Run {
            ns: 1.0 / rates.sum::<f64>(),
            samples,
        })
    }

    fn samples(&self, cpu: usize, count: u32) -> Result<Vec<(u64, Vec<u8>)>> {
        let map = self.programs.map("bench_samples");
        let map = Array::<_, Seen>::try_from(map.with_context(|| missing("bench_samples"))?)?;
        let first = cpu as u32 % LANES * SAMPLES;
        (first..first + count)
            .map(|key| {
                let seen = map.get(&key, 0)?;
                Ok((seen.index, octets(&seen)))
            })
            .collect()
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

/// Does something on each of the CPUs at once.
fn on_each<E: Send>(
    cpus: &[usize],
    action: impl Fn() -> Result<(), E> + Sync,
) -> Result<Result<(), E>> {
    let ready = Barrier::new(cpus.len());
    thread::scope(|scope| {
        let spawn = |&cpu| {
            let (ready, action) = (&ready, &action);
            scope.spawn(move || {
                let stayed = super::stay_on(cpu);
                ready.wait();
                stayed.map(|()| action())
            })
        };
        let threads: Vec<_> = cpus.iter().map(spawn).collect();
        let mut result = Ok(());
        for thread in threads {
            let ended = thread
                .join()
                .map_err(|_| anyhow!("a sending thread panicked"))?;
            result = result.and(ended?);
        }
        Ok(result)
    })
}

/// What the checker has to compare with; the first twentieth of a run is not timed.
fn expected(asked: Asked<'_>, frames: u64) -> Expected {
    let stream = asked.stream;
    let reply = if asked.reflected {
        frame::reflected(&stream.query)
    } else {
        stream.reply.clone()
    };
    let mut octets = [0; HEAD_WORDS * 8];
    let head = reply.len().min(octets.len());
    octets[..head].copy_from_slice(&reply[..head]);
    let mut mask = [0xff; HEAD_WORDS * 8];
    // The checker compares these with the stream's entry.
    for (at, len) in [
        (IP_CHECK, 2),
        (DESTINATION, 4),
        (DESTINATION_PORT, 2),
        (UDP_CHECK, 2),
        (ID, 2),
        (stream.name_at, 8),
        (reply.len() - 8, 8),
    ] {
        let differs = at.min(octets.len())..(at + len).min(octets.len());
        octets[differs.clone()].fill(0);
        mask[differs].fill(0);
    }
    let tail_at = reply.len() - 8;
    Expected {
        words: words(&octets),
        mask: words(&mask),
        tail: u64::from_ne_bytes(std::array::from_fn(|at| reply[tail_at + at])),
        len: reply.len() as u64,
        tail_at: tail_at as u64,
        first: frames / 20,
        last: frames,
        reflected: u32::from(asked.reflected),
        name_at: stream.name_at as u32,
        stream: asked.place,
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
