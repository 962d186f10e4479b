//! kxdpgun, a generator of DNS queries over AF_XDP, of Knot DNS.

use std::{
    fs::{self, File},
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use hickory_proto::rr::{Name, RecordType};

use super::{super::frame, super::wire::ASKING, server::Process};
use crate::world;

/// What is asked for.
const NAME: &str = "www.g.foo.com";

/// Seconds of one burst.
const SECONDS: u32 = 2;

/// How long kxdpgun may take for it.
const LIMIT: Duration = Duration::from_secs(30);

/// How long a server may take to answer first.
const START: Duration = Duration::from_secs(20);

/// kxdpgun.
#[derive(Debug)]
pub struct Gun {
    program: PathBuf,
    queries: PathBuf,
    output: PathBuf,
}

impl Gun {
    /// Writes what is asked for into `directory`.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn new(program: &Path, directory: &Path) -> Result<Self> {
        let queries = directory.join("queries");
        fs::write(&queries, format!("{NAME} A\n"))?;
        Ok(Self {
            program: program.to_owned(),
            queries,
            output: directory.join("kxdpgun.out"),
        })
    }

    /// Waits until the server answers a query, which shows that it runs and is reached.
    ///
    /// # Errors
    /// It ends, or does not answer.
    pub fn wait_for(&self, server: &mut Process) -> Result<()> {
        let socket = UdpSocket::bind((world::RESOLVER_2, 0))?;
        socket.connect((world::DNS_LB, 53))?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        let name = Name::from_ascii(NAME).expect("a name");
        let query = frame::question(&name, RecordType::A, false);
        let end = Instant::now() + START;
        let mut reply = [0; 512];
        while Instant::now() < end {
            server.check_running()?;
            // Refused while nobody listens; lost while an address is not resolved.
            let sent = socket.send(&query);
            if let Ok(len) = sent.and_then(|_| socket.recv(&mut reply)) {
                // NOERROR and one answer.
                ensure!(
                    len > 12 && reply[3] & 15 == 0 && reply[6..8] == [0, 1],
                    "it has no answer: {:02x?}",
                    &reply[..len]
                );
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        bail!("it does not answer; it wrote:\n{}", server.log())
    }

    /// Asks as fast as it can; gives the answers a second.
    ///
    /// # Errors
    /// It fails, or says something that is not understood.
    pub fn fire(&self) -> Result<f64> {
        let out = File::create(&self.output)?;
        let mut command = Command::new(&self.program);
        command
            .args(["-t", &SECONDS.to_string(), "-Q", "2000000", "-b", "64"])
            .args(["-I", ASKING, "-i"])
            .arg(&self.queries)
            .arg(world::DNS_LB.to_string())
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out);
        let mut process = Process::spawn(command, &self.output)?;
        process.wait(LIMIT).context("kxdpgun")?;
        replies_a_second(&process.log())
            .with_context(|| format!("kxdpgun said:\n{}", process.log()))
    }
}

/// Out of `total replies:     132952 (44317 pps) (12%)`.
fn replies_a_second(said: &str) -> Option<f64> {
    let line = said
        .lines()
        .find(|line| line.starts_with("total replies:"))?;
    let (_, rest) = line.split_once('(')?;
    let (rate, _) = rest.split_once(" pps)")?;
    rate.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read() {
        let said = "using interface x, XDP threads 1, UDP, native mode\n\
            total queries:     1058176 (352725 pps)\n\
            total replies:     132952 (44317 pps) (12%)\n";
        assert_eq!(replies_a_second(said), Some(44_317.0));
    }

    #[test]
    fn what_is_no_rate_is_none() {
        for said in [
            "",
            "total replies:",
            "total replies: 1 (x pps)",
            "error: 7 pps",
        ] {
            assert_eq!(replies_a_second(said), None, "{said}");
        }
    }
}
