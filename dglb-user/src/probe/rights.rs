//! Gives up all rights, before anything of the network is touched. Called once, by a process with one
//! thread.

use anyhow::{Context as _, bail};
use nix::unistd::{User, setgroups, setresgid, setresuid};
use rustix::{
    process::{DumpableBehavior, Resource, Rlimit, Signal},
    thread::{CapabilitySet, CapabilitySets},
};

/// Descriptors beside those of the probes.
const OTHER_DESCRIPTORS: u64 = 64;

/// Becomes `user` if this is root, and keeps no capability in any case; nor can a program that is started
/// from here get any.
///
/// # Errors
/// There is no such account, or the kernel refuses: then nothing may be done.
pub fn give_up(user: &str) -> anyhow::Result<()> {
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        let account = User::from_name(user)
            .with_context(|| format!("the account \"{user}\" can't be looked up"))?
            .with_context(|| {
                format!("there is no account \"{user}\": make it, or set probe.user to another")
            })?;
        if account.uid.is_root() {
            bail!("probe.user is \"{user}\", which is root: set it to an account without rights");
        }
        for capability in CapabilitySet::all() {
            if let Err(error) = rustix::thread::remove_capability_from_bounding_set(capability) {
                // The kernel has fewer of them than this list (capability(7)), or this is no full root.
                tracing::debug!(?capability, %error, "stays in the bounding set");
            }
        }
        setgroups(&[account.gid]).context("groups can't be given up")?;
        setresgid(account.gid, account.gid, account.gid).context("the group can't be changed")?;
        setresuid(account.uid, account.uid, account.uid).context("the user can't be changed")?;
    }
    rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            effective: CapabilitySet::empty(),
            permitted: CapabilitySet::empty(),
            inheritable: CapabilitySet::empty(),
        },
    )
    .context("capabilities can't be given up")?;
    rustix::thread::set_no_new_privs(true).context("no_new_privs can't be set")?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .context("memory can't be protected")?;
    // After the change of user, which clears it (prctl(2)).
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .context("the daemon's end can't be followed")?;
    Ok(())
}

/// Raises the number of open files so that `probes` can run at once; how many can.
pub fn raise_open_files(probes: usize) -> usize {
    let wanted = probes as u64 + OTHER_DESCRIPTORS;
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let reach = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = Rlimit {
        current: Some(limit.current.map_or(wanted, |current| current.max(reach))),
        maximum: limit.maximum,
    };
    let reach = match rustix::process::setrlimit(Resource::Nofile, raised) {
        Ok(()) => reach,
        Err(_) => limit.current.unwrap_or(wanted).min(wanted),
    };
    let possible = usize::try_from(reach.saturating_sub(OTHER_DESCRIPTORS)).unwrap_or(probes);
    if possible < probes {
        tracing::warn!(
            possible,
            wanted = probes,
            "fewer probes at once than probe.concurrency: raise the limit of open files (LimitNOFILE of \
             the service, or `ulimit -Hn`)"
        );
    }
    possible.max(1)
}
