//! A trace as services and the hops between them, from left to right.

use std::collections::{BTreeSet, HashMap};

use maud::{Markup, html};
use unicode_width::UnicodeWidthChar as _;

use super::steps::{Alike, Change, Node, Step, nodes};
use crate::serve::pages::finding::Shown;
use crate::serve::pages::parts::{assurance, basis_name, counted, figure};
use crate::serve::store::HopRecord;
use hopseal_identity::Assurance;

/// Pixels of a box, of what lies between two columns and two rows, and of the margin.
const BOX: (usize, usize) = (248, 84);
const GAP: (usize, usize) = (88, 26);
const MARGIN: (usize, usize) = (76, 20);
/// Columns of text that fit into a box: a whole pseudonym does.
const COLUMNS: usize = 25;

/// The drawing, and what its signs mean.
pub(super) fn draw(hops: &[HopRecord], steps: &[Step], findings: &[Shown]) -> Markup {
    let (nodes, alike) = nodes(hops, steps);
    let spans: HashMap<String, usize> = hops.iter().map(|hop| hop.span_id.to_string()).zip(0..).collect();
    let mut found: HashMap<usize, usize> = HashMap::new();
    for shown in findings.iter().filter(|shown| shown.record.state.as_str() == "open") {
        if let Some(hop) = shown.body.span_id.as_ref().and_then(|span| spans.get(span)) {
            *found.entry(*hop).or_default() += 1;
        }
    }
    let drawing = Drawing { hops, steps, nodes: &nodes, found };
    html! {
        a.skip.inline href="#table" { "Skip the drawing: the table below says the same" }
        @if nodes.len() < hops.len() {
            p.muted {
                (counted(hops.len() as u64, "hop")) " drawn as " (nodes.len()) ": calls that are alike"
                @match alike {
                    Alike::Calls => {}
                    Alike::Services => " but for their operation",
                    Alike::Assurances => " but for their operation and principal",
                }
                " are one box, marked \u{d7}n."
            }
        }
        div.wide.diagram role="region" aria-labelledby="diagram" tabindex="0" { (drawing.svg()) }
        (key())
    }
}

/// What the signs mean.
fn key() -> Markup {
    html! {
        ul.key aria-label="Signs" {
            @for word in Assurance::ALL.into_iter().rev() { li { (assurance(word)) } }
            li { svg viewBox="0 0 28 16" width="28" height="16" aria-hidden="true" { rect.box.proven x="1" y="2" width="26" height="12" rx="3" {} } "proven" }
            li { svg viewBox="0 0 28 16" width="28" height="16" aria-hidden="true" { rect.box x="1" y="2" width="26" height="12" rx="3" {} } "claimed by the span alone" }
            li { svg viewBox="0 0 28 16" width="28" height="16" aria-hidden="true" { path.break d="M9 3 19 13M19 3 9 13" {} } "identity lost" }
        }
    }
}

struct Drawing<'a> {
    hops: &'a [HopRecord],
    steps: &'a [Step],
    nodes: &'a [Node],
    /// Open findings of a hop, by its index.
    found: HashMap<usize, usize>,
}

impl Drawing<'_> {
    fn svg(&self) -> Markup {
        let columns = self.nodes.iter().map(|node| node.depth + 1).max().unwrap_or(1);
        let rows = self.nodes.iter().map(|node| node.row + 1).max().unwrap_or(1);
        let width = MARGIN.0 + columns * (BOX.0 + GAP.0) - GAP.0 + 12;
        let height = MARGIN.1 + rows * (BOX.1 + GAP.1) - GAP.1 + 12;
        html! {
            svg.hops role="group" aria-labelledby="diagram" viewBox={ "0 0 " (width) " " (height) } width=(width) height=(height) {
                @for node in self.nodes { (self.edge(node)) }
                @for node in self.nodes { (self.node(node)) }
            }
        }
    }

    /// The hop that a node is drawn as, and its step.
    fn first(&self, node: &Node) -> Option<(&HopRecord, Step)> {
        let index = *node.hops.first()?;
        Some((self.hops.get(index)?, *self.steps.get(index)?))
    }

    /// The line from the calling node.
    fn edge(&self, node: &Node) -> Markup {
        let Some((hop, step)) = self.first(node) else { return html! {} };
        let (x, y) = place(node);
        let middle = y + BOX.1 / 2;
        let parent = node.parent.and_then(|parent| self.nodes.get(parent)).map(place);
        let from = parent.map_or((x - 60, middle), |(x, y)| (x + BOX.0, y + BOX.1 / 2));
        let turn = (from.0 + x) / 2;
        // Straight where it can be; else round the corner, along the lane between two columns.
        let path = match from.1 == middle {
            true => format!("M{} {middle}H{}", from.0, x - 7),
            false => format!(
                "M{} {}H{}Q{turn} {} {turn} {}V{}Q{turn} {middle} {} {middle}H{}",
                from.0,
                from.1,
                turn - 8,
                from.1,
                from.1 + 8,
                middle - 8,
                turn + 8,
                x - 7
            ),
        };
        let count = node.hops.len();
        // Past the lane that goes down, which others take too.
        let sign = turn + 20;
        html! {
            g.edge.proven[hop.basis.is_proven()] .{ "a-" (hop.assurance.as_str()) } {
                path.line d=(path) {}
                path.head d={ "M" (x - 8) " " (middle - 5) "l8 5-8 5Z" } {}
                @if parent.is_none() {
                    @let from = if hop.caller.is_some() { "gap" } else { "outside" };
                    text.small x=(x - 60) y=(middle - 8) { (from) }
                }
                @match step.change {
                    Change::Lost => {
                        path.break d={ "M" (sign - 6) " " (middle - 6) "l12 12m0-12-12 12" } {}
                        text.small.lost x=(sign) y=(middle - 11) text-anchor="middle" { "lost" }
                    }
                    Change::Changed => text.small.changed x=(sign) y=(middle - 8) text-anchor="middle" { "changed" },
                    _ => {}
                }
                @if count > 1 { text.small x=(sign) y=(middle + 17) text-anchor="middle" { "\u{d7}" (count) } }
            }
        }
    }

    fn node(&self, node: &Node) -> Markup {
        let Some((hop, step)) = self.first(node) else { return html! {} };
        let (x, y) = place(node);
        let each = || node.hops.iter().filter_map(|index| self.hops.get(*index));
        let operations: BTreeSet<&str> = each().map(|hop| &*hop.operation).collect();
        let people: BTreeSet<&str> =
            each().filter_map(|hop| hop.principal.as_ref()).map(|who| &*who.id).collect();
        let operation = several(&operations, "operations");
        let who = match people.len() {
            0 if hop.uncovered => "no principal (uncovered)".to_owned(),
            0 => "no principal".to_owned(),
            _ if people.contains("") => "principal withheld".to_owned(),
            _ => several(&people, "principals"),
        };
        let found: usize = node.hops.iter().filter_map(|hop| self.found.get(hop)).sum();
        let word = hop.assurance.as_str();
        let vouched = basis_name(hop.basis);
        let label = {
            let times =
                if node.hops.len() > 1 { format!(", {} times", node.hops.len()) } else { String::new() };
            let change = match step.change {
                Change::Lost => ", identity lost",
                Change::Changed => ", identity changed",
                _ => "",
            };
            let found = if found > 0 {
                format!(", {}", counted(found as u64, "open finding"))
            } else {
                String::new()
            };
            format!("{}{times}: {operation}, {who}, {word}, {vouched}{change}{found}", hop.service)
        };
        html! {
            a class={ "node a-" (word) } href={ "#s-" (hop.span_id) } {
                title { (label) }
                rect.box.proven[hop.basis.is_proven()] x=(x) y=(y) width=(BOX.0) height=(BOX.1) rx="8" {}
                // What is too wide all the same is cut off by its own frame.
                svg x=(x + 12) y=(y) width=(BOX.0 - 18) height=(BOX.1) {
                    text.service y="22" { (cut(&hop.service, COLUMNS)) }
                    text.small y="39" { (cut(&operation, COLUMNS + 7)) }
                    svg y="47" width="14" height="14" viewBox="0 0 16 16" { (figure(hop.assurance)) }
                    text.word x="19" y="58" { (word) tspan.small { " \u{b7} " (vouched) } }
                    text.who.muted[people.is_empty()] y="75" { (cut(&who, COLUMNS)) }
                }
                @if found > 0 {
                    g.flag {
                        rect x=(x + BOX.0 - 78) y=(y - 9) width="72" height="18" rx="9" {}
                        text.small x=(x + BOX.0 - 42) y=(y + 4) text-anchor="middle" { (counted(found as u64, "finding")) }
                    }
                }
            }
        }
    }
}

const fn place(node: &Node) -> (usize, usize) {
    (MARGIN.0 + node.depth * (BOX.0 + GAP.0), MARGIN.1 + node.row * (BOX.1 + GAP.1))
}

/// The one there is, or how many there are.
fn several(texts: &BTreeSet<&str>, what: &str) -> String {
    match texts.first() {
        Some(text) if texts.len() == 1 => (*text).to_owned(),
        _ => format!("{} {what}", texts.len()),
    }
}

/// As much of a text as fits into so many columns.
fn cut(text: &str, columns: usize) -> String {
    let (mut cut, mut used) = (String::new(), 0);
    for letter in text.chars() {
        used += letter.width().unwrap_or(0);
        if used > columns {
            cut.push('\u{2026}');
            break;
        }
        cut.push(letter);
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_where_a_box_ends() {
        assert_eq!(cut("orders", 6), "orders");
        assert_eq!(cut("orders", 5), "order\u{2026}");
        assert_eq!(cut("\u{6ce8}\u{6587}\u{5355}", 4), "\u{6ce8}\u{6587}\u{2026}");
    }
}
