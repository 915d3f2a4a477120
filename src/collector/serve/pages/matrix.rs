//! `/matrix`: who calls whom, with what assurance.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use hopseal_identity::Assurance;
use maud::{Markup, html};

use super::ask::{Asked, PeriodAsk};
use super::frame::Page;
use super::parts::{assurance, caller, counted, figure, link, name, number, percent, periods};
use super::period::Period;
use super::{Answer, Pages};
use crate::serve::api::asked;
use crate::serve::store::{EdgeQuery, EdgeRow, Store};

/// Services on a side of the matrix, and edges in the table: what has most hops comes first.
const SIDE: usize = 40;
const EDGES: usize = 500;

/// Hops of one edge, by assurance.
#[derive(Debug, Default, PartialEq, Eq)]
struct Cell {
    by: BTreeMap<Assurance, u64>,
    hops: u64,
    proven: u64,
}

impl Cell {
    fn add(&mut self, row: &EdgeRow) {
        *self.by.entry(row.assurance).or_default() += row.hops;
        self.hops += row.hops;
        self.proven += if row.assurance.is_identified() && row.basis.is_proven() { row.hops } else { 0 };
    }

    fn identified(&self) -> u64 {
        self.by.iter().filter(|(assurance, _)| assurance.is_identified()).map(|(_, hops)| hops).sum()
    }

    fn of(&self, assurance: Assurance) -> u64 {
        self.by.get(&assurance).copied().unwrap_or(0)
    }
}

type Cells<'a> = BTreeMap<(&'a str, &'a str), Cell>;

/// The page.
pub(super) async fn page(State(pages): State<Pages>, Asked(ask): Asked<PeriodAsk>) -> Answer {
    let (period, now) = (ask.period()?, pages.api.clock.now());
    let rows =
        asked(&pages.api, move |store: &dyn Store| store.edges(&EdgeQuery::of(period.interval(now)))).await?;
    let mut cells = Cells::new();
    for row in &rows {
        cells.entry((&row.caller, &row.service)).or_default().add(row);
    }
    Ok(Page::new("/matrix", "Matrix", content(period, &cells)))
}

fn content(period: Period, cells: &Cells<'_>) -> Markup {
    html! {
        h1 { "Who calls whom" }
        p.lead { "Each cell is an edge: how many of its hops showed a principal, and with what assurance. It leads to the findings of the edge." }
        (periods("/matrix", period, &[]))
        @if cells.is_empty() {
            p.empty {
                "No hops in " (period.name()) ". "
                @if period != Period::All { a href="/matrix?period=all" { "Show all that is kept" } }
            }
        } @else {
            (matrix(cells))
            ul.key aria-label="Signs" { @for word in Assurance::ALL.into_iter().rev() { li { (assurance(word)) } } }
            section {
                h2 id="edges" { "Edge by edge" }
                (table(cells))
            }
        }
    }
}

/// The address of the findings of an edge.
fn findings(from: &str, to: &str) -> String {
    let outside = if from.is_empty() { "yes" } else { "" };
    link("/findings", &[("caller", from), ("outside", outside), ("service", to), ("state", "any")])
}

/// Callers and services of the edges with most hops, as many as fit.
fn busiest<'a>(cells: &Cells<'a>) -> (BTreeSet<&'a str>, BTreeSet<&'a str>) {
    let mut order: Vec<_> = cells.iter().collect();
    order.sort_by_key(|(_, cell)| Reverse(cell.hops));
    let (mut callers, mut services) = (BTreeSet::new(), BTreeSet::new());
    for ((from, to), _) in order {
        let fits = |side: &BTreeSet<&str>, name| side.len() < SIDE || side.contains(name);
        if fits(&callers, *from) && fits(&services, *to) {
            callers.insert(*from);
            services.insert(*to);
        }
    }
    (callers, services)
}

fn matrix(cells: &Cells<'_>) -> Markup {
    let (callers, services) = busiest(cells);
    let left = cells.keys().filter(|(from, to)| !callers.contains(from) || !services.contains(to)).count();
    html! {
        @if left > 0 {
            p.muted { "The edges with most hops; " (number(left as u64)) " more have no place here." }
        }
        div.wide.tall role="region" aria-label="Matrix" tabindex="0" { table.matrix {
            thead {
                tr {
                    th scope="col" { span.muted { "calls \u{2192}" } }
                    @for to in &services { th scope="col" { (name(to)) } }
                }
            }
            tbody { @for from in &callers { tr {
                th scope="row" { (caller(Some(from))) }
                @for to in &services {
                    @match cells.get(&(*from, *to)) {
                        None => td {},
                        Some(cell) => td { (shown(from, to, cell)) },
                    }
                }
            } } }
        } }
    }
}

fn shown(from: &str, to: &str, cell: &Cell) -> Markup {
    let address = findings(from, to);
    let most = cell.by.iter().max_by_key(|(_, hops)| **hops).map_or(Assurance::Unknown, |(word, _)| *word);
    let parts: Vec<String> =
        cell.by.iter().rev().map(|(word, hops)| format!("{} {}", number(*hops), word.as_str())).collect();
    let from = if from.is_empty() { "outside" } else { from };
    let parts = parts.join(", ");
    html! {
        a.cell href=(address) title={ (from) " to " (to) ": " (parts) } {
            span.hidden { (from) " to " (to) ": " }
            span class={ "share a-" (most.as_str()) } {
                svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" { (figure(most)) }
                (percent(cell.identified(), cell.hops))
            }
            span.hidden { " identified of " }
            (bar(cell))
            span.muted { (counted(cell.hops, "hop")) }
            span.hidden { ": " (parts) }
        }
    }
}

/// Shares of each assurance, the surest first.
fn bar(cell: &Cell) -> Markup {
    let mut parts = Vec::new();
    let mut from = 0.0;
    for word in Assurance::ALL.into_iter().rev().filter(|word| cell.of(*word) > 0) {
        let width = cell.of(word) as f64 * 100.0 / cell.hops as f64;
        parts.push((word.as_str(), from, width));
        from += width;
    }
    html! {
        svg.bar viewBox="0 0 100 6" width="84" height="6" preserveAspectRatio="none" aria-hidden="true" {
            @for (word, from, width) in parts {
                rect class={ "a-" (word) } x=(format_args!("{from:.1}")) y="0" width=(format_args!("{width:.1}")) height="6" {}
            }
        }
    }
}

fn table(cells: &Cells<'_>) -> Markup {
    let mut order: Vec<_> = cells.iter().collect();
    let left = order.len().saturating_sub(EDGES);
    if left > 0 {
        order.sort_by_key(|(_, cell)| Reverse(cell.hops));
        order.truncate(EDGES);
    }
    html! {
        @if left > 0 { p.muted { "Those with most hops; " (number(left as u64)) " more edges are left out." } }
        div.wide role="region" aria-labelledby="edges" tabindex="0" { table {
            thead { tr {
                th scope="col" { "From" } th scope="col" { "To" } th.n scope="col" { "Hops" }
                th.n scope="col" { "Identified" } th.n scope="col" { "Proven" }
                @for word in Assurance::ALL.into_iter().rev() { th.n scope="col" { (word.as_str()) } }
            } }
            tbody { @for ((from, to), cell) in order { tr {
                th scope="row" { (caller(Some(from))) }
                td { a href=(findings(from, to)) { (name(to)) } }
                td.n { (number(cell.hops)) }
                td.n { (percent(cell.identified(), cell.hops)) }
                td.n { (percent(cell.proven, cell.hops)) }
                @for word in Assurance::ALL.into_iter().rev() {
                    td.n { @match cell.of(word) { 0 => span.muted { "0" }, hops => (number(hops)) } }
                }
            } } }
        } }
    }
}

#[cfg(test)]
mod tests {
    use hopseal_identity::Basis;

    use super::*;

    /// Scenario: more services than a matrix can show.
    /// Guarantees: those with most hops are shown, it says how many are not, and the page stays within bounds.
    #[test]
    fn a_matrix_of_many_services() {
        let names: Vec<String> = (0..1200).map(|number| format!("service-{number:04}")).collect();
        let mut cells = Cells::new();
        for (name, hops) in names.iter().zip(1..) {
            let row = EdgeRow {
                at: 0,
                caller: String::new(),
                service: name.clone(),
                assurance: Assurance::Sealed,
                basis: Basis::Claimed,
                hops,
                failed: 0,
                uncovered: 0,
            };
            cells.entry(("", name.as_str())).or_default().add(&row);
        }
        let page = content(Period::All, &cells).into_string();
        assert_eq!(page.matches("class=\"cell\"").count(), SIDE);
        assert!(page.contains("service-1199") && !page.contains("service-0600"));
        assert!(page.contains("1\u{202f}160 more have no place here"));
        assert!(page.contains("700 more edges are left out"));
    }
}
