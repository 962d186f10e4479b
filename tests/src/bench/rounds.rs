//! The rounds: each runs every measure once, and the reflector with each kind of stream.

use anyhow::{Context as _, Result};
use dglb_common::{bench::Place, counters::Counter};

use super::{
    Plan,
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

/// Frames on each of two queues, for each frame of another run: beside these the milliseconds by which one
/// begins before the other are few.
const TWO_QUEUES: u32 = 8;

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
    let sent = all_sent(plan);
    let blocks = sent.iter().map(|measure| measure.stream.blocks().count());
    let mut traffic = Traffic::load(&object, blocks.sum())?;
    let places = keep(&mut traffic, &sent)?;
    let asked = sent.iter().map(|measure| measure.server);
    let repeated = plan.repeated.iter().map(|measure| measure.server);
    let used = asked.chain(repeated).collect();
    let mut bench = Bench {
        answering: Answering::load(&object, &wire, &plan.servers, &used)?,
        repeater: Repeater::load(&object, plan.options.frames * REPEATS_A_FRAME)?,
        traffic,
        plan,
        cpu: own,
    };
    let mut times = Times {
        sent: vec![Sides::default(); sent.len()],
        repeated: vec![Sides::default(); plan.repeated.len()],
        queues: Vec::new(),
    };
    for round in 0..plan.options.rounds {
        progress(round);
        bench
            .round(&sent, &places, second, &mut times)
            .map_err(|error| error.context(format!("round {}", round + 1)))?;
    }
    let kernel = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    Ok(times.report(kernel, plan))
}

/// All that is sent: the shares, then the shapes.
fn all_sent(plan: &Plan) -> Vec<&Measure> {
    let shapes = plan.shapes.iter().flatten();
    plan.shares.iter().chain(shapes).collect()
}

fn keep(traffic: &mut Traffic, sent: &[&Measure]) -> Result<Vec<Place>> {
    let mut next = 0;
    sent.iter()
        .map(|measure| {
            let place = traffic.keep(&measure.stream, next)?;
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

impl Sides {
    fn nets(&self) -> impl Iterator<Item = f64> + Clone {
        self.bare
            .iter()
            .zip(&self.own)
            .map(|(bare, own)| own - bare)
    }
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
        sent: &[&Measure],
        places: &[Place],
        second: Option<usize>,
        times: &mut Times,
    ) -> Result<()> {
        let (frames, one) = (self.plan.options.frames, [self.cpu]);
        for ((measure, place), sides) in sent.iter().zip(places).zip(&mut times.sent) {
            // One right after the other: the host may be slower a moment later.
            sides
                .bare
                .push(self.time(measure, *place, true, frames, &one)?);
            sides
                .own
                .push(self.time(measure, *place, false, frames, &one)?);
        }
        for (measure, sides) in self.plan.repeated.iter().zip(&mut times.repeated) {
            let about = || measure.name;
            let empty = self.repeater.empty(&measure.frame);
            sides.bare.push(empty.with_context(about)?);
            let own = self.repeater.own(&mut self.answering, measure);
            sides.own.push(own.with_context(about)?);
        }
        if let (true, Some(first), Some(second)) = (self.plan.two_queues, sent.first(), second) {
            let (frames, two) = (frames * TWO_QUEUES, [self.cpu, second]);
            let mut gain = |reflected| -> Result<f64> {
                let one = self.time(first, places[0], reflected, frames, &one)?;
                let two = self.time(first, places[0], reflected, frames, &two)?;
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
        frames: u32,
        cpus: &[usize],
    ) -> Result<f64> {
        self.checked(measure, place, reflected, frames, cpus)
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
        frames: u32,
        cpus: &[usize],
    ) -> Result<f64> {
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
    fn report(self, kernel: String, plan: &Plan) -> Report {
        let (shares, shapes) = self.sent.split_at(plan.shares.len());
        let mut figures: Vec<Figures> = plan
            .shares
            .iter()
            .zip(shares)
            .map(|(measure, sides)| Figures::share(measure.name, &sides.bare, &sides.own))
            .collect();
        if !self.queues.is_empty() {
            figures.push(Figures::ratio("two-queues", &self.queues));
        }
        if let Some(Sides { bare, own }) = shares.first() {
            figures.push(Figures::net("net-answer", bare, own));
        }
        for (measure, sides) in plan.repeated.iter().zip(&self.repeated) {
            figures.push(Figures::net(measure.name, &sides.bare, &sides.own));
        }
        figures.extend(worst(plan, shapes));
        let reflector = shares.first().map_or(&[][..], |sides| &sides.bare);
        Report::new(kernel, reflector, figures)
    }
}

/// Of all names of odd shape the one that costs the most times what the typical name of its list does.
fn worst(plan: &Plan, mut times: &[Sides]) -> Option<Figures> {
    let mut worst: Option<Figures> = None;
    for shapes in &plan.shapes {
        let (own, rest) = times.split_at(shapes.len());
        times = rest;
        let Some((typical, others)) = own.split_first() else {
            continue;
        };
        for (shape, sides) in shapes.iter().skip(1).zip(others) {
            // Whole frames, as the shares have them: how much slower the worst name is answered.
            let both = sides.own.iter().zip(&typical.own);
            let ratios: Vec<_> = both.map(|(own, typical)| own / typical).collect();
            let mut figures = Figures::ratio("worst-name", &ratios);
            if worst
                .as_ref()
                .is_none_or(|worst| worst.share < figures.share)
            {
                let [net, least] = [sides, typical].map(|sides| median(sides.nets()));
                figures.note = format!("{}: net {net:.1} by {least:.1} ns", shape.name);
                worst = Some(figures);
            }
        }
    }
    worst
}
