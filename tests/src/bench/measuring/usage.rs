//! What processes take, from /proc (proc_pid_stat(5), proc_pid_status(5)).

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};

/// Time and memory of the daemon and its children.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// CPU time of all of them, in user space and in the kernel on their behalf.
    pub cpu: Duration,
    /// CPU time of the daemon alone.
    pub daemon_cpu: Duration,
    /// Octets that are resident, of all of them; what they share counts for each.
    pub resident: u64,
}

impl Usage {
    /// Of the process `id` and of its children.
    ///
    /// # Errors
    /// It is gone, or has no child: then nobody probes.
    pub fn of(id: u32) -> Result<Self> {
        let children = children(id)?;
        ensure!(
            !children.is_empty(),
            "the daemon has no probing process beside it"
        );
        let daemon_cpu = cpu(id)?;
        let mut usage = Self {
            cpu: daemon_cpu,
            daemon_cpu,
            resident: resident(id)?,
        };
        for child in children {
            usage.cpu += cpu(child)?;
            usage.resident += resident(child)?;
        }
        Ok(usage)
    }
}

fn children(id: u32) -> Result<Vec<u32>> {
    let mut children = Vec::new();
    for task in fs::read_dir(format!("/proc/{id}/task"))? {
        let list = fs::read_to_string(task?.path().join("children"))?;
        children.extend(
            list.split_whitespace()
                .filter_map(|id| id.parse::<u32>().ok()),
        );
    }
    Ok(children)
}

/// Fields 14 and 15 of `stat`: utime and stime, in clock ticks.
fn cpu(id: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The program's name may hold spaces; it ends with the last parenthesis, and is field 2.
    let (_, fields) = stat.rsplit_once(')').context("stat")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks =
        |field: usize| -> Result<u64> { Ok(fields.get(field - 3).context("stat")?.parse()?) };
    let per_second = rustix::param::clock_ticks_per_second();
    let ticks = ticks(14)? + ticks(15)?;
    Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
}

fn resident(id: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .context("VmRSS")?
        .trim()
        .parse()?;
    Ok(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_takes_something() {
        let id = std::process::id();
        assert!(resident(id).expect("status") > 1 << 20);
        let before = cpu(id).expect("stat");
        let mut sum = 0_u64;
        while cpu(id).expect("stat") == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(cpu(id).expect("stat") > before);
    }
}
