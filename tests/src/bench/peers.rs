//! Other DNS servers beside ours, all asked by kxdpgun for the same A record, over a veth pair: one CPU
//! for the generator, another for what runs as a process.
//!
//! This is a comparison of orders of magnitude: kxdpgun stops at about 0.6 million queries a second on
//! veth, at more on a fast host, and does not check the answers. What is ours is measured properly by
//! the rest of the benchmark.

mod gun;
mod server;

use std::{collections::BTreeMap, process::Command, thread, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use aya::{
    Ebpf,
    programs::{Xdp, xdp::XdpMode},
};
use dglb_user::kernel::Kernel;

use self::server::Peer;
use super::{
    cpus,
    report::median,
    servers::{RAISED, Server, Servers},
    stay_on,
    traffic::program,
    wire::{ANSWERING, ASKING, Wire},
};
use crate::{
    lab::{find_program, wait},
    lab_object, world,
};

/// Rounds, in which all servers take turns.
const ROUNDS: usize = 3;

/// What stands above the figures.
const CAVEAT: &str = "\nOther servers, one A record, asked by kxdpgun, which stops at about 0.6 million \
    queries a second on veth (more on a fast host) and does not check the answers:";

/// Compares, and prints.
///
/// # Errors
/// kxdpgun is not installed, or a server that is installed does not answer.
pub fn compare() -> Result<()> {
    let gun =
        find_program("kxdpgun").context("--peers needs kxdpgun (Debian package knot-dnsutils)")?;
    println!("{CAVEAT}");
    thread::scope(|scope| {
        scope
            .spawn(|| compare_here(&gun))
            .join()
            .map_err(|_| anyhow!("the comparing thread panicked"))?
    })
}

fn compare_here(gun: &std::path::Path) -> Result<()> {
    let (first, second) = cpus()?;
    // kxdpgun's threads begin at CPU 0.
    let others = second.map_or(first, |second| first.max(second));
    let wire = Wire::connect(1)?;
    address(&wire)?;
    let directory = tempfile::tempdir()?;
    let gun = gun::Gun::new(gun, directory.path())?;
    let mut rates: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    let installed: Vec<_> = Peer::ALL
        .iter()
        .enumerate()
        .filter(|(_, peer)| peer.is_installed())
        .collect();
    for peer in Peer::ALL.iter().filter(|peer| !peer.is_installed()) {
        println!(
            "{:<24}skipped: Debian package {} is not installed",
            peer.name, peer.package
        );
    }
    let mut own = Vec::new();
    for _ in 0..ROUNDS {
        own.push(ours(&wire, &gun)?);
        for (index, peer) in &installed {
            stay_on(others)?;
            let measured = theirs(&wire, &gun, peer, directory.path());
            rates
                .entry(*index)
                .or_default()
                .push(measured.with_context(|| peer.name)?);
        }
    }
    println!(
        "{:<24}{:>8.3} Mpps",
        "dglb, XDP",
        median(own.into_iter()) / 1e6
    );
    for (index, rates) in rates {
        let rate = median(rates.into_iter()) / 1e6;
        println!("{:<24}{rate:>8.3} Mpps", Peer::ALL[index].name);
    }
    Ok(())
}

/// Answers a second of the product's program.
fn ours(wire: &Wire, gun: &gun::Gun) -> Result<f64> {
    let servers = Servers::new(RAISED, None);
    let node = servers.node(Server::DnsLb)?;
    let mut kernel = Kernel::load(&node.model.tables(), None)?;
    wire.beside_the_answerer(|| attach(kernel.program()?))?;
    gun.fire()
}

/// Answers a second of another server. One on sockets gets a program that passes everything: a veth
/// interface with a program, as ours has, receives otherwise than one without.
fn theirs(wire: &Wire, gun: &gun::Gun, peer: &Peer, directory: &std::path::Path) -> Result<f64> {
    let mut pass = Ebpf::load(&lab_object::object()?)?;
    if !peer.has_xdp {
        let pass = program(&mut pass, "pass")?;
        pass.load()?;
        wire.beside_the_answerer(|| attach(pass))?;
    }
    let mut process = wire.beside_the_answerer(|| peer.start(directory))?;
    gun.wait_for(&mut process)?;
    let rate = gun.fire()?;
    drop(process);
    if peer.has_xdp {
        // Attached by netlink, a program outlives its process.
        let off = ["link", "set", "dev", ANSWERING, "xdp", "off"];
        wire.beside_the_answerer(|| ip(&off))?;
    }
    Ok(rate)
}

/// Attaches, once the program of the server before is gone: the kernel detaches it some time after its
/// process has ended.
fn attach(program: &mut Xdp) -> Result<()> {
    wait::until("the interface is free", Duration::from_secs(20), || {
        Ok(program.attach(ANSWERING, XdpMode::Driver).map(drop)?)
    })
}

/// Gives both ends their addresses: that of the world's DNS-LB, and a resolver's.
fn address(wire: &Wire) -> Result<()> {
    let (server, asker) = (world::DNS_LB, world::RESOLVER_2);
    ends(ASKING, &asker.to_string(), &server.to_string())?;
    wire.beside_the_answerer(|| ends(ANSWERING, &server.to_string(), &asker.to_string()))
}

fn ends(interface: &str, own: &str, other: &str) -> Result<()> {
    for arguments in [
        &["link", "set", "lo", "up"][..],
        &["address", "add", own, "dev", interface],
        &["route", "add", other, "dev", interface],
    ] {
        ip(arguments)?;
    }
    Ok(())
}

fn ip(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("ip");
    let output = command.args(arguments).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{command:?}: {}", said.trim());
    Ok(())
}
