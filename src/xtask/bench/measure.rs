//! What a program costs, as the kernel counts it.

use std::process::{Command, Stdio};
use std::time::Duration;

use wait4::Wait4;

use crate::exec;
use crate::task::TaskError;

/// The cheapest of several runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// User and system time.
    pub(super) cpu: Duration,
    /// The most memory resident at once, in bytes.
    pub(super) peak: u64,
}

impl Cost {
    /// Runs `command` `runs` times; its output is thrown away.
    pub(super) fn of(command: &mut Command, runs: u32) -> Result<Self, TaskError> {
        let mut cheapest = Self { cpu: Duration::MAX, peak: u64::MAX };
        for _ in 0..runs {
            let started = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
            let ended = started.and_then(Wait4::wait4);
            let used = ended.map_err(|source| TaskError::Start { command: exec::shown(command), source })?;
            if !used.status.success() {
                return Err(TaskError::Failed { command: exec::shown(command), status: used.status });
            }
            cheapest.cpu = cheapest.cpu.min(used.rusage.utime + used.rusage.stime);
            cheapest.peak = cheapest.peak.min(used.rusage.maxrss);
        }
        Ok(cheapest)
    }
}

/// The 14th and 15th field together, in hundredths of a second (proc(5)).
pub(crate) fn ticks(stat: &str) -> Option<u64> {
    // The name, which may hold anything, ends with the last bracket; behind it stands the third field.
    let (_, fields) = stat.rsplit_once(") ")?;
    let (mut fields, mut ticks) = (fields.split(' ').skip(11), 0);
    for _ in 0..2 {
        ticks += fields.next()?.parse::<u64>().ok()?;
    }
    Some(ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_process_is_read() {
        assert_eq!(ticks("7 (a) b) R 1 2 3 4 5 6 7 8 9 10 120 30 0 0"), Some(150));
        assert_eq!(ticks("7 (a) R 1 2 3"), None);
        let own = std::fs::read_to_string("/proc/self/stat").expect("a process");
        assert!(ticks(&own).is_some());
    }
}
