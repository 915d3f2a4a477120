//! The report for people: hops as trees, findings by edge, coverage by service.

mod cells;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use hopseal_correlate::finding::{Finding, Severity, Who};
use hopseal_correlate::report::{Group, HopRow, Report, SuppressedRow, TraceRow};
use hopseal_correlate::sink::{SpanId, TraceId};
use hopseal_identity::{Assurance, Basis};

pub(crate) use self::cells::clean;

use self::cells::{Cell, Rows};
use super::{Alike, by_group};
use crate::check::{Checked, Gate, Minimum};

/// Traces printed as trees; the rest is counted.
const MAX_TRACES: usize = 20;
/// Hops printed of one trace.
const MAX_HOPS: usize = 200;
/// Steps of indentation; deeper hops stand at the last.
const MAX_INDENT: usize = 24;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// Different things that are said of one group.
const MAX_ALIKE: usize = 10;
/// Operations named of those that are quieted for one reason.
const MAX_OPERATIONS: usize = 3;

/// Writes the report; with colours where `colour` says so.
pub(super) fn write(checked: &Checked, gate: &Gate, colour: bool, out: &mut dyn Write) -> io::Result<()> {
    let report = &checked.report;
    let mut page = Page { out, colour };
    page.traces(report)?;
    page.findings(report, &|finding| checked.is_new(finding))?;
    page.suppressed(report)?;
    page.coverage(report)?;
    page.rejections(report)?;
    page.failures(checked, gate)
}

/// Writes the traces of the report and what was found in them, and nothing that is added up.
pub(super) fn write_traces(report: &Report, colour: bool, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page { out, colour };
    page.traces(report)?;
    page.findings(report, &|_| None)
}

struct Page<'o> {
    out: &'o mut dyn Write,
    colour: bool,
}

const fn of_severity(severity: Severity) -> Style {
    match severity {
        Severity::High => AnsiColor::Red.on_default().bold(),
        Severity::Medium => AnsiColor::Yellow.on_default(),
        Severity::Low => AnsiColor::Cyan.on_default(),
        Severity::Info => DIM,
    }
}

const fn of_assurance(assurance: Assurance) -> Style {
    match assurance {
        Assurance::Verified | Assurance::Sealed => AnsiColor::Green.on_default(),
        Assurance::Asserted => AnsiColor::Yellow.on_default(),
        Assurance::Refused | Assurance::Anonymous => AnsiColor::Red.on_default(),
        Assurance::Unknown => DIM,
    }
}

impl Page<'_> {
    fn heading(&mut self, text: &str) -> io::Result<()> {
        let style = if self.colour { BOLD } else { Style::new() };
        writeln!(self.out, "{style}{text}{style:#}")
    }

    fn rows(&mut self, rows: Rows) -> io::Result<()> {
        rows.write("  ", self.colour, self.out)
    }

    fn traces(&mut self, report: &Report) -> io::Result<()> {
        let mut at: BTreeMap<(TraceId, SpanId), Vec<&Finding>> = BTreeMap::new();
        for finding in &report.findings {
            if let (Some(trace), Some(span)) = (finding.trace_id, finding.span_id) {
                at.entry((trace, span)).or_default().push(finding);
            }
        }
        // Traces with the gravest findings first.
        let gravest = |trace: &TraceRow| {
            let findings = at.range((trace.trace_id, SpanId([0; 8]))..=(trace.trace_id, SpanId([255; 8])));
            findings.flat_map(|(_, findings)| findings).map(|finding| finding.severity).max()
        };
        let mut traces: Vec<&TraceRow> = report.traces.iter().collect();
        traces.sort_by_key(|trace| std::cmp::Reverse(gravest(trace)));
        for trace in traces.iter().take(MAX_TRACES) {
            self.trace(trace, &at)?;
        }
        match traces.len().saturating_sub(MAX_TRACES) {
            0 => {}
            more => writeln!(self.out, "... and {more} more traces; --format json lists them all\n")?,
        }
        let shown = traces.iter().take(MAX_TRACES).flat_map(|trace| &trace.hops);
        let shown: BTreeSet<&str> = shown.filter(|hop| shows_basis(hop)).map(|hop| mark(hop.basis)).collect();
        if shown.is_empty() {
            return Ok(());
        }
        for basis in [Basis::Claimed, Basis::Reverified, Basis::AuthenticatedSender] {
            if shown.contains(mark(basis)) {
                let style = if self.colour { DIM } else { Style::new() };
                writeln!(self.out, "{style}{} {}{style:#}", mark(basis), meaning(basis))?;
            }
        }
        writeln!(self.out)
    }

    fn trace(&mut self, trace: &TraceRow, at: &BTreeMap<(TraceId, SpanId), Vec<&Finding>>) -> io::Result<()> {
        let complete = match trace.grade.missing_parents {
            _ if trace.grade.is_complete() => "complete".to_owned(),
            0 => "incomplete".to_owned(),
            missing => format!("incomplete, {missing} parents missing"),
        };
        let hops = match trace.hops.len() {
            1 => "1 hop".to_owned(),
            more => format!("{more} hops"),
        };
        self.heading(&format!("trace {}  {hops}, {complete}", trace.trace_id))?;
        let mut rows = Rows::default();
        for (place, depth) in tree(&trace.hops).into_iter().take(MAX_HOPS) {
            let Some(hop) = trace.hops.get(place) else { continue };
            let found = at.get(&(trace.trace_id, hop.span_id)).map_or(&[][..], Vec::as_slice);
            rows.push(hop_cells(hop, depth, found));
        }
        self.rows(rows)?;
        if trace.hops.len() > MAX_HOPS {
            writeln!(self.out, "  ... and {} more hops", trace.hops.len() - MAX_HOPS)?;
        }
        writeln!(self.out)
    }

    fn findings(&mut self, report: &Report, is_new: &dyn Fn(&Finding) -> Option<bool>) -> io::Result<()> {
        if report.findings.is_empty() {
            return writeln!(self.out, "No findings.\n");
        }
        self.heading("FINDINGS")?;
        let groups = by_group(report, is_new);
        for group in &report.groups {
            self.group(group, groups.get(&group.id).map_or(&[], Vec::as_slice))?;
        }
        writeln!(self.out)
    }

    fn group(&mut self, group: &Group, alike: &[Alike<'_>]) -> io::Result<()> {
        let word = |is_new| match is_new {
            None => "",
            Some(true) => "new",
            Some(false) => "known",
        };
        let head = vec![
            Cell::new(group.severity.as_str()).styled(of_severity(group.severity)),
            Cell::new(group.rule.as_str()).styled(BOLD),
            Cell::new(&edge(group.caller.as_deref(), &group.service)),
            Cell::new(&clean(&group.operation)),
            Cell::new(&format!("x{}", group.count)),
            Cell::new(group.confidence.as_str()).styled(DIM),
            Cell::new(word(alike.first().and_then(|alike| alike.is_new))).styled(BOLD),
        ];
        self.rows(Rows::from_iter([head]))?;
        let Some((Alike { example, .. }, others)) = alike.split_first() else { return Ok(()) };
        writeln!(self.out, "      {}", clean(&example.message))?;
        for why in &example.why_not_sure {
            writeln!(self.out, "      not sure: {}", clean(why))?;
        }
        for (name, fact) in &example.evidence {
            writeln!(self.out, "      {name}: {}", clean(fact))?;
        }
        for Alike { example, count, is_new } in others.iter().take(MAX_ALIKE) {
            let said = if is_new.is_some() { format!(", {}", word(*is_new)) } else { String::new() };
            writeln!(self.out, "      and x{count}{said}: {}", clean(&example.message))?;
        }
        if others.len() > MAX_ALIKE {
            let more = others.len() - MAX_ALIKE;
            writeln!(self.out, "      ... and {more} more kinds; --format json lists them all")?;
        }
        writeln!(self.out, "      fix: {}", clean(&group.fix))
    }

    fn suppressed(&mut self, report: &Report) -> io::Result<()> {
        if report.suppressed.is_empty() {
            return Ok(());
        }
        self.heading("SUPPRESSED")?;
        let any_expires = report.suppressed.values().any(|row| row.expires.is_some());
        let rows = report.suppressed.iter().map(|((rule, reason, service), row)| {
            let mut cells = vec![
                Cell::new(rule.as_str()),
                Cell::new(reason.as_str()),
                Cell::new(&clean(service)),
                Cell::new(&format!("x{}", row.count)),
            ];
            if any_expires {
                let until = row.expires.map_or_else(String::new, |date| format!("until {date}"));
                cells.push(Cell::new(&until).styled(DIM));
            }
            cells.push(Cell::new(&operations(row)).styled(DIM));
            cells
        });
        self.rows(rows.collect())?;
        writeln!(self.out)
    }

    fn coverage(&mut self, report: &Report) -> io::Result<()> {
        self.heading("COVERAGE")?;
        let counted = ["hops"].into_iter().chain(Assurance::ALL.iter().rev().map(|it| it.as_str()));
        let counted = counted.map(|title| Cell::new(title).right().styled(DIM));
        let titles = [Cell::new("service").styled(DIM)].into_iter().chain(counted);
        let mut rows = Rows::from_iter([titles.collect::<Vec<_>>()]);
        for row in &report.services {
            let counts = Assurance::ALL.iter().rev().map(|assurance| match row.count(*assurance) {
                0 => Cell::new(".").right().styled(DIM),
                count => Cell::new(&count.to_string()).right().styled(of_assurance(*assurance)),
            });
            let mut cells = vec![Cell::new(&clean(&row.name)), Cell::new(&row.hops.to_string()).right()];
            cells.extend(counts);
            cells.push(Cell::new(if row.capable { "" } else { "never shows identity" }).styled(DIM));
            rows.push(cells);
        }
        self.rows(rows)?;
        let coverage = &report.coverage;
        let share = |part: u64| match coverage.hops {
            0 => String::new(),
            hops => format!(" ({:.1} %)", part as f64 * 100.0 / hops as f64),
        };
        writeln!(
            self.out,
            "  {} hops: {} identified{}, {} proven{}, {} uncovered{}",
            coverage.hops,
            coverage.identified,
            share(coverage.identified),
            coverage.proven,
            share(coverage.proven),
            coverage.uncovered,
            share(coverage.uncovered),
        )
    }

    fn rejections(&mut self, report: &Report) -> io::Result<()> {
        let input = &report.input;
        if input.rejected == 0 {
            return Ok(());
        }
        writeln!(self.out)?;
        self.heading(&format!("REJECTED  {} of the input", input.rejected))?;
        let listed = input.rejections.iter().take(MAX_TRACES);
        let rows = listed
            .map(|it| vec![Cell::new(&clean(&it.file)), Cell::new(&it.at), Cell::new(&clean(&it.reason))]);
        self.rows(rows.collect())
    }

    /// What fails the run besides findings.
    fn failures(&mut self, checked: &Checked, gate: &Gate) -> io::Result<()> {
        let missed = gate.minimums(&checked.report).filter(Minimum::is_missed);
        let missed = missed.map(|minimum| vec![Cell::new("missed"), Cell::new(&minimum.to_string())]);
        let unreadable = checked.unreadable.iter().take(MAX_TRACES).map(|it| {
            vec![Cell::new("unreadable"), Cell::new(&format!("{}: {}", clean(&it.file), clean(&it.reason)))]
        });
        let rows: Vec<_> = missed.chain(unreadable).collect();
        if rows.is_empty() {
            return Ok(());
        }
        writeln!(self.out)?;
        self.heading("FAILED")?;
        self.rows(rows.into_iter().collect())
    }
}

/// The most frequent operations, and how many more there are.
fn operations(row: &SuppressedRow) -> String {
    let named = row.by_count().into_iter().take(MAX_OPERATIONS).map(|(name, _)| name);
    let named: Vec<String> = named.filter(|name| !name.is_empty()).map(clean).collect();
    match row.operations.len().saturating_sub(MAX_OPERATIONS) {
        0 => named.join(", "),
        more => format!("{}, {more} more", named.join(", ")),
    }
}

/// Whether the basis makes a difference: the other words, and `claimed` with them, are what a span says.
fn shows_basis(hop: &HopRow) -> bool {
    hop.basis != Basis::Claimed || matches!(hop.assurance, Assurance::Verified | Assurance::Sealed)
}

/// A basis beside the word of a hop, short so that a row fits the screen.
const fn mark(basis: Basis) -> &'static str {
    match basis {
        Basis::Claimed => "(c)",
        Basis::Reverified => "(r)",
        Basis::AuthenticatedSender => "(s)",
    }
}

const fn meaning(basis: Basis) -> &'static str {
    match basis {
        Basis::Claimed => "claimed: the span says so, and anyone may send a span; not proven",
        Basis::Reverified => "reverified: the seal on the span was checked again, here; proven",
        Basis::AuthenticatedSender => {
            "authenticated sender: it proved that it may speak for that service; proven"
        }
    }
}

fn edge(caller: Option<&str>, service: &str) -> String {
    match caller {
        Some(caller) => format!("{} -> {}", clean(caller), clean(service)),
        None => clean(service),
    }
}

/// Places of the hops in the order of a tree, with their depth. Callers stand before callees in the list.
fn tree(hops: &[HopRow]) -> Vec<(usize, usize)> {
    let mut children: BTreeMap<Option<usize>, Vec<usize>> = BTreeMap::new();
    for (place, hop) in hops.iter().enumerate() {
        children.entry(hop.parent.filter(|parent| *parent < place)).or_default().push(place);
    }
    let mut stack: Vec<(usize, usize)> =
        children.get(&None).into_iter().flatten().rev().map(|place| (*place, 0)).collect();
    let mut order = Vec::with_capacity(hops.len());
    while let Some((place, depth)) = stack.pop() {
        order.push((place, depth));
        stack.extend(children.get(&Some(place)).into_iter().flatten().rev().map(|below| (*below, depth + 1)));
    }
    order
}

fn hop_cells(hop: &HopRow, depth: usize, found: &[&Finding]) -> Vec<Cell> {
    let indent = "  ".repeat(depth.min(MAX_INDENT));
    let caller = match (&hop.caller, depth) {
        (Some(caller), 0) => format!("{} -> ", clean(caller)),
        _ => String::new(),
    };
    let via = match hop.via.is_empty() {
        true => String::new(),
        false => format!(" via {}", clean(&hop.via.join(", "))),
    };
    let rules: BTreeSet<&str> = found.iter().map(|finding| finding.rule.as_str()).collect();
    let gravest = found.iter().map(|finding| finding.severity).max();
    let marks = match rules.is_empty() {
        true => String::new(),
        false => format!("<- {}", rules.into_iter().collect::<Vec<_>>().join(", ")),
    };
    let assurance = match shows_basis(hop) {
        true => format!("{} {}", hop.assurance.as_str(), mark(hop.basis)),
        false => hop.assurance.as_str().to_owned(),
    };
    vec![
        Cell::new(&format!("{indent}{caller}{}{via}", clean(&hop.service))),
        Cell::new(&clean(&hop.operation)),
        Cell::new(&assurance).styled(of_assurance(hop.assurance)),
        Cell::new(&hop.principal.as_ref().map_or_else(String::new, who)),
        Cell::new(&marks).styled(gravest.map_or(Style::new(), of_severity)),
    ]
}

fn who(who: &Who) -> String {
    let tenant = who.tenant.as_ref().map_or_else(String::new, |tenant| format!(" of {}", clean(tenant)));
    let actors: String = who.actors.iter().map(|actor| format!(" by {}", clean(&actor.id))).collect();
    format!("{} {}{tenant}{actors}", who.kind.as_str(), clean(&who.id))
}

#[cfg(test)]
mod tests;
