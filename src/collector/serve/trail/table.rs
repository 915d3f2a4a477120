//! Answers for people.

use std::io::{self, Write};

use hopseal_correlate::policy::Date;

use crate::output::clean;
use crate::output::trail::{
    ActorShape, CoverageOverTimeShape, EdgeShape, EdgesShape, FindingsShape, HopShape, HopsShape,
    PrincipalShape, ReadFinding, TouchedByShape, TouchedShape, TraceShape,
};

const SECOND: u64 = 1_000_000_000;

/// `2026-12-31 23:59:59.123`, UTC.
fn time(nanos: &str) -> String {
    let nanos: u64 = nanos.parse().unwrap_or(0);
    let seconds = nanos / SECOND % 86_400;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{} {hour:02}:{minute:02}:{second:02}.{:03}", Date::of(nanos), nanos % SECOND / 1_000_000)
}

/// The same to the minute.
fn minute(nanos: &str) -> String {
    let mut text = time(nanos);
    text.truncate("2026-12-31 23:59".len());
    text
}

fn who(hop: &HopShape) -> String {
    let Some(principal) = &hop.principal else { return "-".to_owned() };
    let mut text = named(principal);
    text.push_str(&through(&principal.actors));
    text
}

/// A principal without its actors.
fn named(principal: &PrincipalShape) -> String {
    // A service leaves it out for who may not see it.
    let id = if principal.id.is_empty() { "(withheld)" } else { &principal.id };
    match &principal.issuer {
        Some(issuer) => format!("{id} of {issuer}"),
        None => id.to_owned(),
    }
}

fn through(actors: &[ActorShape]) -> String {
    actors.iter().map(|actor| format!(" via {} {}", actor.kind, actor.id)).collect()
}

fn outside(caller: Option<&String>) -> &str {
    caller.map_or("outside", String::as_str)
}

/// How to ask for what was cut off.
fn more(next: Option<&String>, out: &mut dyn Write) -> io::Result<()> {
    match next {
        Some(next) => writeln!(out, "there may be more: --after {}", clean(next)),
        None => Ok(()),
    }
}

/// "1 hop", "2 hops".
fn counted(hops: u64) -> String {
    format!("{hops} hop{}", if hops == 1 { "" } else { "s" })
}

/// A part of a whole, as people write it.
fn percent(part: u64, whole: u64) -> String {
    match whole {
        0 => "-".to_owned(),
        // Exact up to 2^53.
        _ => format!("{:.1} %", part as f64 * 100.0 / whole as f64),
    }
}

/// One hop a line, the newest first.
pub(super) fn hops(answer: &HopsShape, out: &mut dyn Write) -> io::Result<()> {
    for hop in &answer.hops {
        let (at, who) = (time(&hop.start_unix_nano), who(hop));
        let caller = outside(hop.caller.as_ref());
        let HopShape { assurance, basis, service, operation, trace_id, .. } = hop;
        let line =
            format!("{at}  {assurance} ({basis})  {who}  {caller} -> {service}  {operation}  {trace_id}");
        writeln!(out, "{}", clean(&line))?;
    }
    if answer.hops.is_empty() {
        writeln!(out, "no hops found")?;
    }
    more(answer.next.as_ref(), out)
}

/// One principal a line, who was there last first, and its ways below it.
pub(super) fn touched(answer: &TouchedShape, out: &mut dyn Write) -> io::Result<()> {
    for by in &answer.principals {
        let (first, last) = (time(&by.first_unix_nano), time(&by.last_unix_nano));
        let TouchedByShape { hops, proven, last: newest, .. } = by;
        let line = format!(
            "{last}  {}  {} ({proven} proven) since {first}  {}  {}",
            named(&by.principal),
            counted(*hops),
            newest.chain.join(" -> "),
            newest.trace_id
        );
        writeln!(out, "{}", clean(&line))?;
        for way in &by.through {
            let (caller, actors) = (outside(way.caller.as_ref()), through(&way.actors));
            let line = format!(
                "from {caller}{actors}: {}, {} to {}",
                counted(way.hops),
                time(&way.first_unix_nano),
                time(&way.last_unix_nano)
            );
            writeln!(out, "    {}", clean(&line))?;
        }
        if by.more_ways {
            writeln!(out, "    and in more ways")?;
        }
    }
    if answer.principals.is_empty() {
        writeln!(out, "nobody found")?;
    }
    more(answer.next.as_ref(), out)
}

/// One finding a line, the newest first.
pub(super) fn findings(answer: &FindingsShape, out: &mut dyn Write) -> io::Result<()> {
    for stated in &answer.findings {
        let finding: ReadFinding = serde_json::from_str(stated.finding.get())?;
        let ReadFinding { severity, confidence, rule, service, operation, message, id, .. } = &finding;
        let (at, caller) = (time(&stated.at_unix_nano), outside(finding.caller.as_ref()));
        let trace = finding.trace_id.as_deref().unwrap_or("many traces");
        let line = format!(
            "{at}  {}  {severity}  {confidence}  {rule}: {message}  {caller} -> {service}  {operation}  {trace}  {id}",
            stated.state
        );
        writeln!(out, "{}", clean(&line))?;
    }
    if answer.findings.is_empty() {
        writeln!(out, "no findings found")?;
    }
    more(answer.next.as_ref(), out)
}

/// One edge a line, as they come.
pub(super) fn edges(answer: &EdgesShape, out: &mut dyn Write) -> io::Result<()> {
    for edge in &answer.edges {
        let EdgeShape { assurance, basis, service, hops, failed, uncovered, .. } = edge;
        let at = edge.at_unix_nano.as_deref().map(|at| format!("{}  ", minute(at))).unwrap_or_default();
        let caller = outside(edge.caller.as_ref());
        let line = format!(
            "{at}{caller} -> {service}  {assurance} ({basis})  {}, {failed} failed, {uncovered} uncovered",
            counted(*hops)
        );
        writeln!(out, "{}", clean(&line))?;
    }
    if answer.edges.is_empty() {
        writeln!(out, "no hops found")?;
    }
    more(answer.next.as_ref(), out)
}

/// One point a line, in the order of time.
pub(super) fn coverage(answer: &CoverageOverTimeShape, out: &mut dyn Write) -> io::Result<()> {
    for point in &answer.points {
        let (at, hops) = (minute(&point.at_unix_nano), point.hops);
        let [identified, proven, uncovered] =
            [point.identified, point.proven, point.uncovered].map(|part| percent(part, hops));
        writeln!(
            out,
            "{at}  {}  {identified} identified  {proven} proven  {uncovered} uncovered",
            counted(hops)
        )?;
    }
    if answer.points.is_empty() {
        writeln!(out, "no hops found")?;
    }
    more(answer.next.as_ref(), out)
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
