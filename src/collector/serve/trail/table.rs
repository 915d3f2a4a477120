//! Answers for people.

use std::io::{self, Write};

use hopseal_correlate::policy::Date;

use crate::output::clean;
use crate::output::trail::{HopShape, HopsShape, TraceShape};

const SECOND: u64 = 1_000_000_000;

/// `2026-12-31 23:59:59.123`, UTC.
fn time(nanos: &str) -> String {
    let nanos: u64 = nanos.parse().unwrap_or(0);
    let seconds = nanos / SECOND % 86_400;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{} {hour:02}:{minute:02}:{second:02}.{:03}", Date::of(nanos), nanos % SECOND / 1_000_000)
}

fn who(hop: &HopShape) -> String {
    let Some(principal) = &hop.principal else { return "-".to_owned() };
    let mut text = principal.id.clone();
    if let Some(issuer) = &principal.issuer {
        text.push_str(&format!(" of {issuer}"));
    }
    for actor in &principal.actors {
        text.push_str(&format!(" via {} {}", actor.kind, actor.id));
    }
    text
}

/// One hop a line, the newest first.
pub(super) fn hops(answer: &HopsShape, out: &mut dyn Write) -> io::Result<()> {
    for hop in &answer.hops {
        let (at, who) = (time(&hop.start_unix_nano), who(hop));
        let caller = hop.caller.as_deref().unwrap_or("outside");
        let HopShape { assurance, basis, service, operation, trace_id, .. } = hop;
        let line =
            format!("{at}  {assurance} ({basis})  {who}  {caller} -> {service}  {operation}  {trace_id}");
        writeln!(out, "{}", clean(&line))?;
    }
    if answer.hops.is_empty() {
        writeln!(out, "no hops found")?;
    }
    if let Some(next) = &answer.next {
        writeln!(out, "there may be more: --after {next}")?;
    }
    Ok(())
}

/// The hops of a trace as a tree, then what was found.
pub(super) fn trace(answer: &TraceShape, out: &mut dyn Write) -> io::Result<()> {
    let grade = match (answer.complete, answer.closed_early) {
        (true, _) => "complete".to_owned(),
        (false, true) => "judged before all of it had time to arrive".to_owned(),
        (false, false) => format!("incomplete: {} missing parents", answer.missing_parents),
    };
    writeln!(out, "{}  {grade}", answer.trace_id)?;
    let mut depths: Vec<usize> = Vec::new();
    for hop in &answer.hops {
        let above = hop.caller_place.and_then(|place| depths.get(place as usize));
        let depth = above.map_or(0, |depth| depth + 1);
        depths.push(depth);
        let HopShape { assurance, basis, service, operation, .. } = hop;
        let line = format!("{service}  {operation}  {assurance} ({basis})  {}", who(hop));
        writeln!(out, "{:1$}{2}", "", depth * 2, clean(&line))?;
    }
    for finding in &answer.findings {
        let said: serde_json::Value = serde_json::from_str(finding.finding.get())?;
        let text = |name: &str| said.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
        let (severity, rule, message) = (text("severity"), text("rule"), text("message"));
        writeln!(out, "{}", clean(&format!("{}  {severity}  {rule}: {message}", finding.state)))?;
    }
    Ok(())
}
