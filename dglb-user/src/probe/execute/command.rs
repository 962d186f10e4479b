//! An external command of the node's own file. Its exit code 0 is success.

use std::{io, os::unix::process::ExitStatusExt as _, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group, set_parent_process_death_signal};
use tokio::{process::Command, time::timeout};

use crate::probe::failure::Failure;

/// Where commands find others.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs `argv` without a shell, with nothing to read and nobody to read what it writes; its process group is
/// killed when `limit` is over.
pub async fn run(argv: &[String], limit: Duration) -> Result<(), Failure> {
    let [program, arguments @ ..] = argv else {
        return Err(Failure::Local("the profile has no command".into()));
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    // SAFETY: between fork and exec only this one system call is made, which takes no lock and no memory.
    unsafe { command.pre_exec(end_with_this_process) };
    let mut child = command
        .spawn()
        .map_err(|error| Failure::Local(format!("{program}: {error}")))?;
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let _killed = KillGroup(group);
    let ended = match timeout(limit, child.wait()).await {
        Ok(ended) => ended.map_err(|error| Failure::Local(error.to_string()))?,
        Err(_) => return Err(Failure::TimedOut),
    };
    if ended.success() {
        return Ok(());
    }
    Err(Failure::Command(match (ended.code(), ended.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no exit code".into(),
    }))
}

/// A probing process that is killed leaves no command behind.
fn end_with_this_process() -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}

/// Ends what the command left behind.
struct KillGroup(Option<Pid>);

impl Drop for KillGroup {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Mostly there is nobody any more.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
