//! A steady stream of queries from the asker, in which no reply is lost unseen.
//!
//! At most `WINDOW` queries are under way at a time, fewer than a veth interface's ring holds: what
//! is lost then is lost by the node. Replies are compared, octet by octet behind the ID, with those
//! that came before; what differs is kept for the oracle to judge.

use std::{
    collections::HashMap,
    io::ErrorKind,
    net::{Ipv4Addr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use dglb_common::counters::Counter;
use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query},
    rr::{Name, RecordType},
};

use crate::{
    lab::{Host, wait},
    model::Model,
    oracle::{self, Transport},
};

/// Queries under way.
const WINDOW: usize = 64;
/// A query without a reply for this long is lost.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where DNS is answered.
const PORT: u16 = 53;

/// A query; its ID is set when it is sent.
#[derive(Clone, Debug)]
pub struct Question {
    /// Name and type, for people.
    pub about: String,
    octets: Vec<u8>,
}

impl Question {
    /// A query as resolvers send it: with OPT, or without.
    ///
    /// # Errors
    /// When `name` is none.
    pub fn new(name: &str, record_type: RecordType, with_opt: bool) -> Result<Self> {
        let mut message = Message::new(0, MessageType::Query, OpCode::Query);
        message.add_query(Query::query(
            Name::from_ascii(format!("{name}."))?,
            record_type,
        ));
        if with_opt {
            let mut edns = Edns::new();
            edns.set_max_payload(1232);
            message.set_edns(edns);
        }
        Ok(Self {
            about: format!("{name} {record_type}"),
            octets: message.to_vec()?,
        })
    }

    /// The message, with ID 0.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }
}

/// What came of the queries.
#[derive(Debug, Default)]
pub struct Report {
    /// Queries sent.
    pub sent: u64,
    /// Replies by question, in the order in which they came: indices into `replies` of the question.
    pub order: Vec<Vec<usize>>,
    /// The different replies to each question, without their IDs.
    pub replies: Vec<Vec<Vec<u8>>>,
    /// Queries that got no reply.
    pub lost: u64,
    /// Replies to no query under way, and errors of the socket.
    pub strange: Vec<String>,
}

/// The stream; ended by [`Load::stop`].
#[derive(Debug)]
pub struct Load {
    questions: Vec<Question>,
    source: Ipv4Addr,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<Report>>>,
}

impl Load {
    /// Sends `questions` in turn from `source`, an address of `host`, `per_second` of them.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn start(
        host: &Host,
        source: Ipv4Addr,
        server: Ipv4Addr,
        questions: Vec<Question>,
        per_second: u32,
    ) -> Result<Self> {
        let socket = host.namespace().enter(|| -> Result<UdpSocket> {
            let socket = UdpSocket::bind((source, 0))?;
            socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20)?;
            socket.connect((server, PORT))?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        })??;
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicU64::new(0));
        let mut sender = Sender {
            socket,
            questions: questions.clone(),
            under_way: HashMap::new(),
            every: Duration::from_secs(1) / per_second,
            report: Report {
                order: vec![Vec::new(); questions.len()],
                replies: vec![Vec::new(); questions.len()],
                ..Report::default()
            },
            answered: Arc::clone(&answered),
        };
        let thread = thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                sender.run(&stop)?;
                Ok(sender.report)
            }
        });
        Ok(Self {
            questions,
            source,
            stop,
            answered,
            thread: Some(thread),
        })
    }

    /// Waits for so many replies from now on.
    ///
    /// # Errors
    /// When they do not come.
    pub fn wait_for(&self, replies: u64) -> Result<()> {
        let until = self.answered.load(Ordering::Relaxed) + replies;
        let what = format!("{replies} more replies");
        wait::until(&what, Duration::from_secs(40), || {
            let answered = self.answered.load(Ordering::Relaxed);
            ensure!(answered >= until, "{answered} of {until}");
            Ok(())
        })
    }

    /// Ends the stream, waits for the replies under way, and lets the oracle judge: every query must
    /// have got one reply, and every reply be right by one of `models`.
    ///
    /// # Errors
    /// What was lost, strange, or wrong.
    pub fn stop(mut self, models: &[Model]) -> Result<Report> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("stopped before")?;
        let report = thread
            .join()
            .map_err(|_| anyhow!("the sender panicked"))??;
        ensure!(
            report.lost == 0 && report.strange.is_empty(),
            "of {} queries {} were lost; {:?}",
            report.sent,
            report.lost,
            report.strange
        );
        for (question, replies) in self.questions.iter().zip(&report.replies) {
            ensure!(!replies.is_empty(), "{} was not asked", question.about);
            for reply in replies {
                judge(models, self.source, question, reply)?;
            }
        }
        Ok(report)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// The row of a reply that is right by one of the models.
fn judge(models: &[Model], source: Ipv4Addr, question: &Question, reply: &[u8]) -> Result<Counter> {
    let with_id = [&[0, 0], reply].concat();
    let mut wrong = Vec::new();
    for model in models {
        let query = &question.octets;
        match oracle::judge(model, source, Transport::Udp, query, Some(&with_id)) {
            Ok(Some(row)) => return Ok(row),
            Ok(None) => wrong.push("a reply to what is no query".to_owned()),
            Err(error) => wrong.push(error),
        }
    }
    Err(anyhow!("{}: {}", question.about, wrong.join("\n")))
}

struct Sender {
    socket: UdpSocket,
    questions: Vec<Question>,
    /// By ID: the question, and when it was sent.
    under_way: HashMap<u16, (usize, Instant)>,
    every: Duration,
    report: Report,
    answered: Arc<AtomicU64>,
}

impl Sender {
    fn run(&mut self, stop: &AtomicBool) -> Result<()> {
        let mut next = Instant::now();
        loop {
            let stopping = stop.load(Ordering::Relaxed);
            if stopping && self.under_way.is_empty() {
                return Ok(());
            }
            let now = Instant::now();
            while !stopping && next <= now && self.under_way.len() < WINDOW {
                self.send()?;
                next += self.every;
            }
            // What a full window held back is not made up for.
            next = next.max(now);
            self.receive_all()?;
            self.give_up();
            thread::sleep(Duration::from_micros(500));
        }
    }

    fn send(&mut self) -> Result<()> {
        let id = self.report.sent as u16;
        let index = (self.report.sent % self.questions.len() as u64) as usize;
        let mut octets = self.questions[index].octets.clone();
        octets[..2].copy_from_slice(&id.to_be_bytes());
        loop {
            match self.socket.send(&octets) {
                Ok(_) => break,
                // An ICMP error that came for an earlier query; this one was not sent.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    self.report.strange.push(error.to_string());
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.report.sent += 1;
        self.under_way.insert(id, (index, Instant::now()));
        Ok(())
    }

    fn receive_all(&mut self) -> Result<()> {
        let mut buffer = [0; 2048];
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(length) => self.take(&buffer[..length]),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return Ok(()),
                    ErrorKind::ConnectionRefused => self.report.strange.push(error.to_string()),
                    _ => return Err(error.into()),
                },
            }
        }
    }

    fn take(&mut self, reply: &[u8]) {
        let query = reply
            .first_chunk()
            .and_then(|id| self.under_way.remove(&u16::from_be_bytes(*id)));
        let Some((index, _)) = query else {
            self.report
                .strange
                .push(format!("a reply to nothing: {reply:02x?}"));
            return;
        };
        let known = &mut self.report.replies[index];
        let place = known.iter().position(|known| known == &reply[2..]);
        let place = place.unwrap_or_else(|| {
            known.push(reply[2..].to_vec());
            known.len() - 1
        });
        self.report.order[index].push(place);
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    fn give_up(&mut self) {
        let before = self.under_way.len();
        self.under_way
            .retain(|_, (_, sent)| sent.elapsed() < PATIENCE);
        self.report.lost += (before - self.under_way.len()) as u64;
    }
}
