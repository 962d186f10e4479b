//! `cargo xtask bench measure`: what measuring and choosing cost, and how late they are.
//!
//! A DNS-LB with [`plan::SERVICES`] services probes 40,000 targets that live behind one wire
//! ([`sites`]), a thousand of which accept connections and never answer. What the daemon and its probing
//! process take is read from /proc ([`usage`]), how late they are is asked by `dglb sites`; ranking
//! is measured within this process ([`ranking`]).

pub mod plan;
pub mod ranking;
pub mod sites;
pub mod usage;

use std::{fmt, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use serde_json::Value;

use self::usage::Usage;
use crate::lab::{Lab, node::Node};

/// How long all targets may take until each was probed once, and the second probes are spread.
const WARM_UP: Duration = Duration::from_secs(75);

/// What `--json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Release of the kernel.
    pub kernel: String,
    /// All measures.
    pub measures: Vec<Figure>,
}

/// One measure.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Its name.
    pub name: &'static str,
    /// What was seen.
    pub value: f64,
    /// Of the value.
    pub unit: &'static str,
    /// The most that it may be.
    pub limit: f64,
    /// Whether it is not above that.
    pub ok: bool,
    /// What people want to know beside it.
    #[serde(skip)]
    pub note: String,
}

impl Figure {
    fn new(name: &'static str, value: f64, unit: &'static str, limit: f64, note: String) -> Self {
        Self {
            name,
            value: (value * 1000.0).round() / 1000.0,
            unit,
            limit,
            ok: value <= limit,
            note,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "Linux {}", self.kernel)?;
        writeln!(
            formatter,
            "{:<22}{:>10} {:<7}{:>8}",
            "measure", "value", "unit", "limit"
        )?;
        for figure in &self.measures {
            let Figure {
                name,
                value,
                unit,
                limit,
                ok,
                note,
            } = figure;
            let verdict = if *ok { "✓" } else { "✗" };
            writeln!(
                formatter,
                "{name:<22}{value:>10.3} {unit:<7}{limit:>8} {verdict}  {note}"
            )?;
        }
        Ok(())
    }
}

/// Measures for `window` after the warm-up; `progress` is told each step.
///
/// # Errors
/// A part does not start, or the daemon cannot be asked.
pub fn run(window: Duration, mut progress: impl FnMut(&str)) -> Result<Report> {
    progress("ranking of 10,000 services, within this process");
    let mut measures = vec![ranking::measure()?];
    progress("a DNS-LB and 40,000 targets");
    let mut lab = Lab::new("bench")?;
    let servers = lab.host("sites", &[plan::SITES_HOST])?;
    lab.route_to(&servers, plan::SITES)?;
    let _server = sites::start(&servers)?;
    let host = lab.host("dns-lb", &[plan::DNS_LB])?;
    lab.deliver_xdp_answers(&host)?;
    let name = format!("lb.{}.example", lab.name());
    let node = Node::new(&host, &name, &plan::toml(&lab, &name)?)?;
    let mut daemon = node.start()?;
    progress("each target is probed once");
    thread::sleep(WARM_UP);
    daemon.check_running()?;
    let before = Usage::of(daemon.id())?;
    progress(&format!("measuring for {} s", window.as_secs()));
    thread::sleep(window);
    let after = Usage::of(daemon.id())?;
    let prober = prober(&node)?;
    let probes = prober.probes;
    ensure!(
        prober.targets == plan::TARGETS,
        "{} targets are probed, {} were planned",
        prober.targets,
        plan::TARGETS
    );
    let cores = (after.cpu - before.cpu).as_secs_f64() / window.as_secs_f64();
    let parts = format!(
        "{} targets at {} s; `dglb run` {:.2}, `dglb probe` {:.2}",
        plan::TARGETS,
        plan::INTERVAL_S,
        (after.daemon_cpu - before.daemon_cpu).as_secs_f64() / window.as_secs_f64(),
        ((after.cpu - after.daemon_cpu) - (before.cpu - before.daemon_cpu)).as_secs_f64()
            / window.as_secs_f64(),
    );
    measures.push(Figure::new("probe-cpu", cores, "cores", 1.0, parts));
    let mib = after.resident as f64 / f64::from(1 << 20);
    measures.push(Figure::new(
        "probe-rss",
        mib,
        "MiB",
        512.0,
        "both processes".into(),
    ));
    measures.push(Figure::new(
        "lateness-p99",
        prober.lateness.p99,
        "ms",
        1000.0,
        format!(
            "{probes} probes, {} of the targets never answer; median {:.1}, most {:.1}",
            plan::SILENT_TARGETS,
            prober.lateness.p50,
            prober.lateness.max
        ),
    ));
    ensure!(
        prober.to_tables.count >= 100,
        "only {} probes changed the tables: nothing to measure",
        prober.to_tables.count
    );
    measures.push(Figure::new(
        "probe-to-kernel-p99",
        prober.to_tables.p99,
        "ms",
        5.0,
        format!(
            "{} changes; median {:.2}, most {:.2}",
            prober.to_tables.count, prober.to_tables.p50, prober.to_tables.max
        ),
    ));
    daemon.stop()?;
    Ok(Report {
        kernel: rustix::system::uname()
            .release()
            .to_string_lossy()
            .into_owned(),
        measures,
    })
}

/// What `dglb sites` says of the probing process.
struct Prober {
    targets: usize,
    probes: u64,
    lateness: Quantiles,
    to_tables: Quantiles,
}

struct Quantiles {
    count: u64,
    p50: f64,
    p99: f64,
    max: f64,
}

fn prober(node: &Node) -> Result<Prober> {
    let service = plan::name_of(plan::SERVICES - 1);
    let output = node.run("sites", &["--json", "--service", &service])?;
    let said: Value = serde_json::from_slice(&output)?;
    let prober = &said["prober"];
    ensure!(
        prober["running"] == true,
        "the probing process does not run: {prober}"
    );
    let lateness = quantiles(&prober["lateness_ms"])?;
    Ok(Prober {
        targets: prober["targets"].as_u64().context("targets")? as usize,
        probes: lateness.count,
        lateness,
        to_tables: quantiles(&prober["probe_to_tables_ms"])?,
    })
}

fn quantiles(value: &Value) -> Result<Quantiles> {
    let number = |key: &str| {
        value[key]
            .as_f64()
            .with_context(|| format!("no {key} in {value}"))
    };
    Ok(Quantiles {
        count: number("count")? as u64,
        p50: number("p50")?,
        p99: number("p99")?,
        max: number("max")?,
    })
}
