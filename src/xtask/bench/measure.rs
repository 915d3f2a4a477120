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
