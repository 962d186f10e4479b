//! `--keep`: everything whole again, left running, with commands to try.

use std::time::Duration;

use anyhow::{Context, Result};
use dglb_user::config::Config;

use crate::lab::{chain::Chain, node, site, wait};

/// How long the chain may take to be whole again.
const MENDED: Duration = Duration::from_secs(30);

/// Mends what the events broke, prints what to try, and returns at Ctrl-C or SIGTERM.
///
/// # Errors
/// When the chain does not come back.
pub fn keep(chain: &mut Chain) -> Result<()> {
    eprintln!("\nEverything is mended and left running ...");
    let program = std::env::current_exe()?;
    for mirror in &mut chain.mirrors {
        if mirror.server.check_running().is_err() {
            mirror.host.set_interface(true)?;
            mirror.server = site::start(&mirror.host, &program, &mirror.site)?;
        }
    }
    for isp in &chain.isps {
        isp.dns_lb.host().set_interface(true)?;
    }
    wait::until("the chain is whole again", MENDED, || chain.check_ready())?;
    eprintln!("{}", what_to_try(chain)?);
    wait_for_signal()
}

fn what_to_try(chain: &Chain) -> Result<String> {
    let dglb = node::dglb_binary()?;
    let inside =
        |host: &crate::lab::Host| format!("nsenter --net=/run/netns/{}", host.namespace().name());
    let mut text = String::from("Try these, as root, in another terminal:\n");
    for isp in &chain.isps {
        text += &format!(
            "\n# {client} asks its resolver, {make}, by form R and by form C\n\
             {inside} dig @{resolver} www.foo.com\n\
             {inside} dig @{resolver} shop.foo.com\n",
            client = isp.client.name(),
            make = isp.make.name(),
            inside = inside(&isp.client),
            resolver = isp.resolver.address(),
        );
    }
    let isp = &chain.isps[0];
    text += &format!(
        "\n# what the DNS-B answers that resolver, and what the DNS-LB does\n\
         {inside} dig @{dns_b} www.g.foo.com +norecurse\n\
         {inside} dig @{dns_lb} www.g.foo.com +norecurse\n\
         \n# the mapping table in the kernel: resolver, and the DNS-LB beside it\n\
         bpftool map dump pinned {bpffs}/dglb/{node}/v*/resolvers_v4\n",
        inside = inside(&isp.resolver),
        dns_b = chain.dns_b.host().address(),
        dns_lb = isp.dns_lb.host().address(),
        bpffs = chain.lab.bpffs()?.display(),
        node = Config::load(chain.dns_b.config())?.node.pin_name(),
    );
    text += "\n# counters, sites, mappings of each node\n";
    for node in [&chain.dns_b]
        .into_iter()
        .chain(chain.isps.iter().map(|isp| &isp.dns_lb))
    {
        text += &format!(
            "{} {} stats --config {}\n",
            inside(node.host()),
            dglb.display(),
            node.config().display()
        );
    }
    Ok(text + "\nCtrl-C ends and removes everything.")
}

fn wait_for_signal() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot wait for Ctrl-C")?;
    runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminated = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted?,
            _ = terminated.recv() => {}
        }
        eprintln!("removing everything ...");
        Ok(())
    })
}
