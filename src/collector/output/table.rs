//! The report for people: hops as trees, findings by edge, coverage by service.

mod cells;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use hopseal_correlate::finding::{Finding, Severity, Who};
use hopseal_correlate::report::{Group, HopRow, Report, TraceRow};
use hopseal_correlate::sink::{SpanId, TraceId};
use hopseal_identity::Assurance;

pub(crate) use self::cells::clean;

use self::cells::{Cell, Rows};

/// Traces printed as trees; the rest is counted.
const MAX_TRACES: usize = 20;
/// Hops printed of one trace.
const MAX_HOPS: usize = 200;
/// Steps of indentation; deeper hops stand at the last.
const MAX_INDENT: usize = 24;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// Writes the report; with colours where `colour` says so.
pub(super) fn write(report: &Report, colour: bool, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page { out, colour };
    page.traces(report)?;
    page.findings(report)?;
    page.suppressed(report)?;
    page.coverage(report)?;
    page.rejections(report)
}

/// Writes the traces of the report and what was found in them, and nothing that is added up.
pub(super) fn write_traces(report: &Report, colour: bool, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page { out, colour };
    page.traces(report)?;
    page.findings(report)
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
            0 => Ok(()),
            more => writeln!(self.out, "... and {more} more traces; --format json lists them all\n"),
        }
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

    fn findings(&mut self, report: &Report) -> io::Result<()> {
        if report.findings.is_empty() {
            return writeln!(self.out, "No findings.\n");
        }
        self.heading("FINDINGS")?;
        let mut examples: BTreeMap<_, &Finding> = BTreeMap::new();
        for finding in &report.findings {
            examples.entry(finding.group_id).or_insert(finding);
        }
        for group in &report.groups {
            self.group(group, examples.get(&group.id).copied())?;
        }
        writeln!(self.out)
    }

    fn group(&mut self, group: &Group, example: Option<&Finding>) -> io::Result<()> {
        let head = vec![
            Cell::new(group.severity.as_str()).styled(of_severity(group.severity)),
            Cell::new(group.rule.as_str()).styled(BOLD),
            Cell::new(&edge(group.caller.as_deref(), &group.service)),
            Cell::new(&clean(&group.operation)),
            Cell::new(&format!("x{}", group.count)),
            Cell::new(group.confidence.as_str()).styled(DIM),
        ];
        self.rows(Rows::from_iter([head]))?;
        let Some(example) = example else { return Ok(()) };
        writeln!(self.out, "      {}", clean(&example.message))?;
        for why in &example.why_not_sure {
            writeln!(self.out, "      not sure: {}", clean(why))?;
        }
        for (name, fact) in &example.evidence {
            writeln!(self.out, "      {name}: {}", clean(fact))?;
        }
        writeln!(self.out, "      fix: {}", clean(&group.fix))
    }

    fn suppressed(&mut self, report: &Report) -> io::Result<()> {
        if report.suppressed.is_empty() {
            return Ok(());
        }
        self.heading("SUPPRESSED")?;
        let rows = report.suppressed.iter().map(|((rule, reason, service), row)| {
            let mut cells = vec![
                Cell::new(rule.as_str()),
                Cell::new(reason.as_str()),
                Cell::new(&clean(service)),
                Cell::new(&format!("x{}", row.count)),
            ];
            cells.extend(row.expires.map(|date| Cell::new(&format!("until {date}")).styled(DIM)));
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
    vec![
        Cell::new(&format!("{indent}{caller}{}{via}", clean(&hop.service))),
        Cell::new(&clean(&hop.operation)),
        Cell::new(hop.assurance.as_str()).styled(of_assurance(hop.assurance)),
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
