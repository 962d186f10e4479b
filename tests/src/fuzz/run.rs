//! The comparison, frame by frame.

use std::{collections::BTreeMap, fmt};

use anyhow::{Result, ensure};
use dglb_common::counters::{Counter, Counters, Kind};
use dglb_user::answer::{Answered, Answerer};

use super::{
    case::Case,
    hex,
    path::{self, InKernel, SHORTEST, Verdict},
};
use crate::{
    frames::{Frame, Frames, Message, Packet, sweep},
    oracle,
};

/// What the generator calls a frame that is in order.
const SOUND: &str = "sound";

/// A frame that is not answered as it must be.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The case's name.
    pub case: &'static str,
    /// The frame.
    pub frame: Frame,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (case, octets) = (self.case, hex(&self.frame.octets));
        writeln!(formatter, "{case}: {}: {}", self.frame.about, self.what)?;
        if octets.is_empty() {
            return Ok(());
        }
        write!(
            formatter,
            "to see it again: cargo xtask fuzz --case {case} --replay {octets}"
        )
    }
}

impl std::error::Error for Failure {}

/// What became of the frames of a run.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Frames.
    pub frames: u64,
    /// Frames that the kernel could not be asked of: shorter than an Ethernet header.
    pub too_short: u64,
    /// Answers of the kernel, by row.
    pub answered: BTreeMap<Counter, u64>,
    /// Frames that the kernel passed and user space answered.
    pub left_to_user_space: u64,
    /// Answers that the oracle judged.
    pub judged: u64,
}

/// One case under way.
pub struct Run<'a> {
    case: &'a Case,
    answerer: Answerer,
    /// `None`: user space alone, before the oracle.
    kernel: Option<InKernel>,
    /// The oracle judges one answer of so many.
    judge_every: u64,
    /// What became of the frames.
    pub tally: Tally,
}

impl<'a> Run<'a> {
    /// A run of `case`; the oracle judges one answer of `judge_every`.
    pub fn new(case: &'a Case, kernel: Option<InKernel>, judge_every: u64) -> Self {
        Self {
            case,
            answerer: path::answerer(&case.model),
            kernel,
            judge_every,
            tally: Tally::default(),
        }
    }

    /// Frames from a seed.
    ///
    /// # Errors
    /// The first that fails.
    pub fn random(&mut self, seed: u64, frames: usize) -> Result<(), Failure> {
        for frame in Frames::new(&self.case.model, seed).take(frames) {
            self.check(&frame)?;
        }
        Ok(())
    }

    /// One frame of each kind of header, spoilt at each octet.
    ///
    /// # Errors
    /// The first that fails.
    pub fn sweep(&mut self, seed: u64) -> Result<(), Failure> {
        let mut frames = Frames::new(&self.case.model, seed);
        // Of each family and number of tags one with OPT and one without.
        let mut seen = BTreeMap::new();
        for _ in 0..1000 {
            let packet: Packet = frames.packet();
            let kind = (packet.is_v6(), packet.tags.len(), packet.message[11] != 0);
            let octets = packet.octets();
            if octets.len() < 150 && self.answers(&octets) {
                seen.entry(kind).or_insert(octets);
            }
        }
        for ((is_v6, tags, has_opt), octets) in seen {
            let about = format!("IPv6 {is_v6}, {tags} tags, OPT {has_opt}");
            for frame in sweep(&about, &octets) {
                self.check(&frame)?;
            }
        }
        Ok(())
    }

    fn answers(&self, frame: &[u8]) -> bool {
        let answered = self.answerer.answer_frame(frame);
        answered.is_some_and(|answered| self.case.claimed.contains(&answered.counter))
    }

    /// One frame.
    ///
    /// # Errors
    /// It fails.
    pub fn check(&mut self, frame: &Frame) -> Result<(), Failure> {
        self.compare(frame).map_err(|error| Failure {
            case: self.case.name,
            frame: frame.clone(),
            what: format!("{error:#}"),
        })
    }

    fn compare(&mut self, frame: &Frame) -> Result<()> {
        let octets = &frame.octets;
        self.tally.frames += 1;
        let own = self.answerer.answer_frame(octets);
        self.judge(frame, own.as_ref())?;
        if octets.len() < SHORTEST {
            self.tally.too_short += 1;
            return Ok(());
        }
        let Some(kernel) = &mut self.kernel else {
            if let Some(answered) = own {
                *self.tally.answered.entry(answered.counter).or_default() += 1;
            }
            return Ok(());
        };
        match kernel.run(octets)? {
            Verdict::Reply(reply) => {
                let same = own.as_ref().is_some_and(|own| own.octets == reply);
                ensure!(
                    same,
                    "the kernel answers\n  {}\nuser space\n  {}",
                    hex(&reply),
                    path::shown(own.as_ref())
                );
                let row = own.map_or(Counter::Error, |own| own.counter);
                let is_claimed = self.case.claimed.contains(&row) || row == Counter::Truncated;
                ensure!(is_claimed, "the kernel answers in row {}", row.name());
                *self.tally.answered.entry(row).or_default() += 1;
            }
            Verdict::Pass(passed) => {
                ensure!(passed == *octets, "passed altered, as {}", hex(&passed));
                self.tally.left_to_user_space += u64::from(own.is_some());
            }
            Verdict::Drop => anyhow::bail!("dropped; user space: {}", path::shown(own.as_ref())),
        }
        Ok(())
    }

    fn judge(&mut self, frame: &Frame, own: Option<&Answered>) -> Result<()> {
        let model = &self.case.model;
        let Some(own) = own else {
            let left_to_resolver = self.case.name == "dns-isp-lb";
            ensure!(
                frame.about != SOUND || left_to_resolver,
                "user space is silent to a sound query"
            );
            return Ok(());
        };
        if !self.tally.frames.is_multiple_of(self.judge_every) {
            return Ok(());
        }
        self.tally.judged += 1;
        let judged = oracle::frame::judge_reply(model, &frame.octets, &own.octets);
        ensure!(
            judged == Ok(own.counter),
            "the oracle says {judged:?} of\n  {}",
            path::shown(Some(own))
        );
        Ok(())
    }

    /// Whether the kernel claimed enough, and its counters are what was seen.
    ///
    /// # Errors
    /// What is missing or counted otherwise.
    pub fn check_counters(&self, before: &Counters) -> Result<()> {
        let Some(kernel) = &self.kernel else {
            return Ok(());
        };
        let after = kernel.counters()?;
        let counted = |counter: Counter| counter.of(&after) - counter.of(before);
        let of_kinds = |kinds: &[Kind]| -> u64 {
            let all = Counter::ALL.iter();
            let all = all.filter(|counter| kinds.contains(&counter.kind()));
            all.map(|counter| counted(*counter)).sum()
        };
        let sent = self.tally.frames - self.tally.too_short;
        let verdicts = of_kinds(&[Kind::Answered, Kind::Passed, Kind::Dropped]);
        ensure!(verdicts == sent, "{sent} frames, {verdicts} are counted");
        let limited = of_kinds(&[Kind::Dropped, Kind::Noted]);
        ensure!(limited == 0, "{limited} are counted as over the limit");
        for counter in Counter::ALL {
            if counter.kind() == Kind::Answered {
                let seen = self.tally.answered.get(counter).copied().unwrap_or(0);
                let counted = counted(*counter);
                ensure!(
                    seen == counted,
                    "{}: {seen} answers, {counted} are counted",
                    counter.name()
                );
            }
        }
        Ok(())
    }

    /// Whether enough was answered to say something: three of ten frames in claimed rows, and of each row
    /// `of_each`.
    ///
    /// # Errors
    /// What is too little.
    pub fn check_quotas(&self, of_each: u64) -> Result<()> {
        let Tally {
            frames, answered, ..
        } = &self.tally;
        let of = |row: &Counter| answered.get(row).copied().unwrap_or(0);
        let claimed: u64 = self.case.claimed.iter().map(of).sum();
        ensure!(
            claimed * 10 >= frames * 3,
            "of {frames} frames {claimed} were answered: {answered:?}"
        );
        for row in self.case.frequent {
            ensure!(
                of(row) >= of_each,
                "{}: only {} answers of {answered:?}",
                row.name(),
                of(row)
            );
        }
        Ok(())
    }
}

/// The shortest query of a name, by the plainest frame.
pub fn plain_query(model: &crate::model::Model, name: &[u8], qtype: u16) -> Frame {
    let destination = model.config.node.addresses[0];
    let message = Message::plain(name, qtype).octets();
    let source = crate::world::STRANGER.into();
    let packet = Packet::plain(source, destination, message);
    Frame::new("plain", packet.octets())
}
