//! What is measured by repeating (`BPF_PROG_TEST_RUN` with `repeat`): frames that are passed up, which
//! is repeatable because the program leaves them unaltered. The figure is nanoseconds above a program
//! that passes everything.

use anyhow::{Context as _, Result, ensure};
use aya::{Ebpf, TestRun as _, TestRunOptions, programs::Xdp};
use dglb_common::counters::Counter;
use hickory_proto::rr::{Name, RecordType};

use super::{
    answering::{Answering, all_counted_as},
    frame::{self, Ends},
    servers::{Server, Servers},
    traffic::program,
};
use crate::world;

/// XDP_PASS.
const PASS: u32 = 2;

/// One such measure.
#[derive(Clone, Debug)]
pub struct Repeated {
    /// Its name in `--json`; of a stage, what the frame is.
    pub name: &'static str,
    /// Who is asked.
    pub server: Server,
    /// The reason that must have been counted for each run.
    pub reason: Counter,
    /// The frame.
    pub frame: Vec<u8>,
}

/// The two of `--json`: a query for a name that is not ours, and a datagram to another port, which of
/// all that is not DNS is looked at for longest.
///
/// # Errors
/// There is no such node.
pub fn passed(servers: &Servers) -> Result<Vec<Repeated>> {
    let ends = ends(servers)?;
    Ok(vec![
        passed_up(
            "net-pass-dns",
            Counter::PassedName,
            query(ends, "www.example.com.", RecordType::A),
        ),
        passed_up(
            "net-pass-other",
            Counter::PassedNotDns,
            frame::datagram(ends, 443, &[0x40; 64]),
        ),
    ])
}

/// Frames that leave the program at one stage after another: what each stage costs is the difference.
///
/// # Errors
/// There is no such node.
pub fn stages(servers: &Servers) -> Result<Vec<Repeated>> {
    let ends = ends(servers)?;
    let good = || query(ends, "www.g.foo.com.", RecordType::A);
    let (mut arp, mut response, mut class) = (good(), good(), good());
    arp[12..14].copy_from_slice(&[8, 6]);
    response[44] |= 0x80;
    let last = class.len() - 1;
    class[last] = 3;
    Ok(vec![
        passed_up("another EtherType", Counter::PassedNotDns, arp),
        passed_up("TCP", Counter::PassedNotDns, frame::segment(ends)),
        passed_up(
            "another port",
            Counter::PassedNotDns,
            frame::datagram(ends, 443, &[0x40; 64]),
        ),
        passed_up(
            "charged to the limit, a response",
            Counter::PassedForm,
            response,
        ),
        passed_up("question read, class CH", Counter::PassedForm, class),
        passed_up(
            "name looked up, not ours",
            Counter::PassedName,
            query(ends, "www.x.foo.com.", RecordType::A),
        ),
        passed_up(
            "name looked up, another type",
            Counter::PassedType,
            query(ends, "www.g.foo.com.", RecordType::ANY),
        ),
    ])
}

fn passed_up(name: &'static str, reason: Counter, frame: Vec<u8>) -> Repeated {
    Repeated {
        name,
        server: Server::DnsLb,
        reason,
        frame,
    }
}

fn ends(servers: &Servers) -> Result<Ends> {
    Ok(Ends {
        source: world::RESOLVER_2,
        port: 0xf000,
        destination: servers.node(Server::DnsLb)?.address(),
    })
}

fn query(ends: Ends, name: &str, kind: RecordType) -> Vec<u8> {
    let name = Name::from_ascii(name).expect("a name");
    frame::query(ends, 0x1000, &frame::question(&name, kind, false))
}

/// Runs them.
#[derive(Debug)]
pub struct Repeater {
    empty: Ebpf,
    times: u32,
}

impl Repeater {
    /// Loads the program that passes everything; each run repeats it so often.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn load(object: &[u8], times: u32) -> Result<Self> {
        let mut empty = Ebpf::load(object).context("cannot load the program that passes")?;
        program(&mut empty, "pass")?.load()?;
        Ok(Self { empty, times })
    }

    /// Nanoseconds of the program that passes everything.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn empty(&mut self, frame: &[u8]) -> Result<f64> {
        let program = program(&mut self.empty, "pass")?;
        time(program, frame, self.times)
    }

    /// Nanoseconds of the product's program.
    ///
    /// # Errors
    /// One run ended otherwise than it must, or has altered the frame.
    pub fn own(&self, answering: &mut Answering, measure: &Repeated) -> Result<f64> {
        let before = answering.counters(measure.server)?;
        let ns = time(
            answering.program(measure.server)?,
            &measure.frame,
            self.times,
        )?;
        let after = answering.counters(measure.server)?;
        all_counted_as(measure.reason, u64::from(self.times), &before, &after)?;
        Ok(ns)
    }
}

/// By the kernel's own clock, in whole nanoseconds: ours would count the set-up of a test run too, which
/// waits for all that read the program before it (some milliseconds).
fn time(program: &Xdp, frame: &[u8], times: u32) -> Result<f64> {
    let mut out = vec![0; frame.len() + 256];
    let result = program.test_run(TestRunOptions {
        data_in: Some(frame),
        data_out: Some(&mut out),
        repeat: times,
        ..TestRunOptions::new()
    })?;
    ensure!(
        result.return_value == PASS,
        "the verdict is {}, not XDP_PASS",
        result.return_value
    );
    out.truncate(result.data_size_out as usize);
    ensure!(out == frame, "the frame was altered");
    Ok(result.duration.as_nanos() as f64)
}
