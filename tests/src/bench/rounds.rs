//! The rounds: each runs every measure once, and the reflector with each kind of stream.

use anyhow::{Context as _, Result};
use dglb_common::{bench::Place, counters::Counter};

use super::{
    Options, Plan,
    answering::{Answering, all_counted_as},
    cpus, measure,
    measure::Measure,
    repeated::Repeater,
    report::{Figures, Report, median},
    servers::Server,
    stay_on,
    traffic::{Asked, Traffic},
    wire::Wire,
};
use crate::lab_object;

/// Samples of a run that the oracle judges; all are compared with what user space answers.
const JUDGED: usize = 8;

/// Runs of the program that is repeated, for each frame of a run that is sent.
const REPEATS_A_FRAME: u32 = 2;

/// All rounds; called on a thread that may be moved to a CPU and into namespaces for good.
///
/// # Errors
/// See [`super::run`].
pub fn measure(plan: &Plan, progress: impl Fn(usize)) -> Result<Report> {
    let object = lab_object::object()?;
    let (own, second) = cpus()?;
    stay_on(own)?;
    // Whoever else wants this CPU waits. Without the right to this the figures are only less steady.
    let _ = rustix::process::setpriority_process(None, -20);
    let wire = Wire::connect(2)?;
    let tracks = tracks(plan);
    let blocks = tracks
        .iter()
        .map(|track| track.measure.stream.blocks().count());
    let mut traffic = Traffic::load(&object, blocks.sum())?;
    let places = keep(&mut traffic, &tracks)?;
    let sent = tracks.iter().map(|track| track.measure.server);
    let repeated = plan.repeated.iter().map(|measure| measure.server);
    let used = sent.chain(repeated).collect();
    let mut bench = Bench {
        answering: Answering::load(&object, &wire, &plan.servers, &used)?,
        repeater: Repeater::load(&object, plan.options.frames * REPEATS_A_FRAME)?,
        traffic,
        plan,
        cpu: own,
    };
    let mut times = Times {
        sent: vec![Sides::default(); tracks.len()],
        repeated: vec![Sides::default(); plan.repeated.len()],
        queues: Vec::new(),
    };
    for round in 0..plan.options.rounds {
        progress(round);
        bench
            .round(&tracks, &places, second, &mut times)
            .map_err(|error| error.context(format!("round {}", round + 1)))?;
    }
    let kernel = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    Ok(times.report(kernel, plan, &tracks))
}

/// A measure, and the one with whose stream the reflector is asked for it.
struct Track<'a> {
    measure: &'a Measure,
    bare: usize,
}

/// All that is sent: the shares, then the shapes.
fn tracks(plan: &Plan) -> Vec<Track<'_>> {
    let shapes = plan.shapes.iter().flatten();
    let mut tracks: Vec<Track<'_>> = Vec::new();
    for measure in plan.shares.iter().chain(shapes) {
        let same = |track: &Track<'_>| {
            let fed = track.measure.stream.fed();
            measure.is_hot && track.measure.is_hot && fed == measure.stream.fed()
        };
        let bare = tracks.iter().position(same).unwrap_or(tracks.len());
        tracks.push(Track { measure, bare });
    }
    tracks
}

fn keep(traffic: &mut Traffic, tracks: &[Track<'_>]) -> Result<Vec<Place>> {
    let mut next = 0;
    tracks
        .iter()
        .map(|track| {
            let place = traffic.keep(&track.measure.stream, next)?;
            next += place.mask + 1;
            Ok(place)
        })
        .collect()
}

/// Nanoseconds by round: of what is compared with, and of the product.
#[derive(Clone, Default)]
struct Sides {
    bare: Vec<f64>,
    own: Vec<f64>,
}

struct Times {
    sent: Vec<Sides>,
    repeated: Vec<Sides>,
    /// Ratios of two queues, the product's by the reflector's.
    queues: Vec<f64>,
}

struct Bench<'a> {
    answering: Answering,
    traffic: Traffic,
    repeater: Repeater,
    plan: &'a Plan,
    cpu: usize,
}

impl Bench<'_> {
    fn round(
        &mut self,
        tracks: &[Track<'_>],
        places: &[Place],
        second: Option<usize>,
        times: &mut Times,
    ) -> Result<()> {
        let one = [self.cpu];
        for (index, Track { measure, bare }) in tracks.iter().enumerate() {
            if *bare == index {
                let ns = self.time(measure, places[index], true, &one)?;
                times.sent[index].bare.push(ns);
            }
            let ns = self.time(measure, places[index], false, &one)?;
            times.sent[index].own.push(ns);
        }
        for (measure, sides) in self.plan.repeated.iter().zip(&mut times.repeated) {
            let about = || measure.name;
            let empty = self.repeater.empty(&measure.frame);
            sides.bare.push(empty.with_context(about)?);
            let own = self.repeater.own(&mut self.answering, measure);
            sides.own.push(own.with_context(about)?);
        }
        if let (true, Some(first), Some(second)) = (self.plan.two_queues, tracks.first(), second) {
            let two = [self.cpu, second];
            let mut gain = |reflected| -> Result<f64> {
                let one = self.time(first.measure, places[0], reflected, &one)?;
                let two = self.time(first.measure, places[0], reflected, &two)?;
                Ok(one / two)
            };
            let ratio = gain(false)? / gain(true)?;
            times.queues.push(ratio);
        }
        Ok(())
    }

    /// Runs a stream once, with all checks; gives the nanoseconds of a frame.
    fn time(
        &mut self,
        measure: &Measure,
        place: Place,
        reflected: bool,
        cpus: &[usize],
    ) -> Result<f64> {
        self.checked(measure, place, reflected, cpus)
            .with_context(|| {
                let who = if reflected { ", the reflector" } else { "" };
                format!("{}{who}", measure.name)
            })
    }

    fn checked(
        &mut self,
        measure: &Measure,
        place: Place,
        reflected: bool,
        cpus: &[usize],
    ) -> Result<f64> {
        let Options { frames, .. } = self.plan.options;
        let server = if reflected {
            Server::Reflector
        } else {
            measure.server
        };
        let asked = Asked {
            stream: &measure.stream,
            place,
            reflected,
        };
        self.answering.switch_to(server)?;
        let before = self.answering.counters(server)?;
        let run = self.traffic.run(asked, frames, cpus);
        let after = self.answering.counters(server)?;
        if !reflected {
            // First, as it says more than that a reply is missing.
            let sent = u64::from(frames) * cpus.len() as u64;
            all_counted_as(measure.row, sent, &before, &after)?;
        }
        let run = run?;
        for (number, reply) in &run.samples {
            let expected = measure.stream.reply(*number, reflected)?;
            anyhow::ensure!(
                *reply == expected,
                "a sample is wrong:\n  {reply:02x?}\nexpected:\n  {expected:02x?}"
            );
        }
        if !reflected {
            self.judge(measure, measure.row, &run.samples)?;
        }
        Ok(run.ns)
    }

    fn judge(&self, measure: &Measure, row: Counter, samples: &[(u64, Vec<u8>)]) -> Result<()> {
        let model = &self.plan.servers.node(measure.server)?.model;
        let step = samples.len().div_ceil(JUDGED).max(1);
        for (number, reply) in samples.iter().step_by(step) {
            measure::judge(model, row, &measure.stream.query(*number), reply)
                .context("a sample is wrong, though it is what user space answers")?;
        }
        Ok(())
    }
}

impl Times {
    fn report(self, kernel: String, plan: &Plan, tracks: &[Track<'_>]) -> Report {
        let bare = |index: usize| &self.sent[tracks[index].bare].bare;
        let own = |index: usize| &self.sent[index].own;
        let shares = plan.shares.iter().enumerate();
        let mut figures: Vec<Figures> = shares
            .map(|(index, measure)| Figures::share(measure.name, bare(index), own(index)))
            .collect();
        if !self.queues.is_empty() {
            figures.push(Figures::ratio("two-queues", &self.queues));
        }
        if !plan.shares.is_empty() {
            figures.push(Figures::net("net-answer", bare(0), own(0)));
        }
        for (measure, sides) in plan.repeated.iter().zip(&self.repeated) {
            figures.push(Figures::net(measure.name, &sides.bare, &sides.own));
        }
        let mut first = plan.shares.len();
        let mut worst: Option<Figures> = None;
        for shapes in &plan.shapes {
            let nets = |index: usize| bare(index).iter().zip(own(index)).map(|(b, o)| o - b);
            for (shape, index) in shapes.iter().zip(first..).skip(1) {
                let ratios: Vec<_> = nets(index)
                    .zip(nets(first))
                    .map(|(own, typical)| own / typical)
                    .collect();
                let mut figures = Figures::ratio("worst-name", &ratios);
                figures.note = format!("{}: {:.1} ns", shape.name, median(nets(index)));
                if worst
                    .as_ref()
                    .is_none_or(|worst| worst.share < figures.share)
                {
                    worst = Some(figures);
                }
            }
            first += shapes.len();
        }
        figures.extend(worst);
        let reflector = self.sent.first().map_or(&[][..], |sides| &sides.bare);
        Report::new(kernel, reflector, figures)
    }
}
