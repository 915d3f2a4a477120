//! `/traces/{id}`: one trace, drawn and as a table.

mod diagram;
mod steps;

use std::collections::HashMap;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use hopseal_correlate::hop::{HopKind, Outcome};
use maud::{Markup, html};
use serde::Deserialize;

use self::steps::{Change, Step, steps};
use super::ask::Asked;
use super::finding::{On, Shown, card};
use super::frame::{Page, Wrong};
use super::parts::{assurance, basis, caller, counted, duration, name, principal, severity, time};
use super::{Answer, Pages};
use crate::output::iso;
use crate::serve::api::{Problem, asked, trace_id};
use crate::serve::identities::Identities;
use crate::serve::store::{HopRecord, Store, TraceRecord};

/// Findings that are open to be read; the others are folded.
const CARDS: usize = 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LookUp {
    trace_id: Option<String>,
}

/// `/traces`: asks for an id, and leads to its page.
pub(super) async fn look_up(Asked(ask): Asked<LookUp>) -> Result<Response, Wrong> {
    let Some(id) = ask.trace_id else {
        let content = html! {
            h1 { "Trace" }
            (form())
        };
        return Ok(Page::new("", "Trace", content).into_response());
    };
    let id = trace_id(id.trim())?;
    Ok(Redirect::to(&format!("/traces/{id}")).into_response())
}

/// Asks for a trace by its id.
pub(super) fn form() -> Markup {
    html! {
        form.filters method="get" action="/traces" {
            label { "Trace id" input.id type="text" name="trace_id" required pattern="\\s*[0-9a-fA-F]{32}\\s*" placeholder="32 hex digits" autocomplete="off" spellcheck="false"; }
            div.buttons { button type="submit" { "Show" } }
        }
    }
}

/// The page.
pub(super) async fn page(
    State(pages): State<Pages>,
    id: Result<Path<String>, PathRejection>,
    identities: Identities,
) -> Answer {
    let id = trace_id(&id.map_err(Problem::from)?)?;
    let found =
        asked(&pages.api, move |store: &dyn Store| store.trace(id)).await?.ok_or(Problem::NotFound)?;
    // What became of the identity is shown to all, whose it was is not.
    let steps = steps(&found.hops);
    let TraceRecord { judged, hops, findings } = identities.of_trace(found).map_err(Problem::from)?;
    let findings = findings.into_iter().map(Shown::try_from).collect::<Result<Vec<_>, _>>()?;
    let open = findings.iter().filter(|shown| shown.record.state.as_str() == "open").collect::<Vec<_>>();
    let id = judged.trace_id.to_string();
    let lost = steps.iter().filter(|step| step.change == Change::Lost).count();
    let begin = hops.iter().map(|hop| hop.start).min().unwrap_or(0);
    let end = hops.iter().map(|hop| hop.end).max().unwrap_or(begin);
    let content = html! {
        h1 { "Trace " span.id { (id) } }
        p.lead {
            (counted(hops.len() as u64, "hop")) " from " (time(begin)) ", over " (duration(end.saturating_sub(begin))) ". "
            @if lost > 0 { strong.lost { "Identity is lost at " (counted(lost as u64, "hop")) ". " } }
            @if open.is_empty() { "No open findings." } @else { a href="#findings" { (counted(open.len() as u64, "open finding")) } "." }
        }
        (pages.links.trace(&id))
        @if !judged.complete || judged.closed_early || judged.missing_parents > 0 {
            p.note {
                "Not all of this trace is here"
                @if judged.missing_parents > 0 { ": " (counted(judged.missing_parents.into(), "span")) " whose parent never came" }
                @if judged.closed_early { "; it was judged before all of it had time to come" }
                ". Rules that need what is missing said nothing."
            }
        }
        @if hops.is_empty() { p.empty { "No hop of this trace is kept." } } @else {
            section {
                h2 id="diagram" { "Hops" }
                (diagram::draw(&hops, &steps, &findings))
            }
            section {
                h2 id="table" { "The same as a table" }
                (table(&hops, &steps, &findings, begin))
            }
        }
        section {
            h2 id="findings" { "Findings" }
            @if findings.is_empty() { p.empty { "Nothing was found in this trace." } }
            @let (first, others) = findings.split_at(findings.len().min(CARDS));
            @for shown in first { (card(shown, On::Trace)) }
            @if !others.is_empty() {
                details {
                    summary { (counted(others.len() as u64, "more finding")) }
                    @for shown in others { (card(shown, On::Trace)) }
                }
            }
        }
    };
    let short = id.get(..8).unwrap_or(&id);
    Ok(Page::new("", format!("Trace {short}\u{2026}"), content))
}

/// What became of the identity at a hop, in words; nothing where it came on as it was.
fn change(step: &Step) -> Markup {
    html! {
        @match step.change {
            Change::Lost => span.change.lost { "identity lost" },
            Change::Changed => span.change.changed { "identity changed" },
            Change::Shown if step.parent.is_some() => span.change { "first shown" },
            Change::Shown | Change::Same | Change::Never => {}
        }
    }
}

fn table(hops: &[HopRecord], steps: &[Step], findings: &[Shown], begin: u64) -> Markup {
    let mut of_span: HashMap<&str, Vec<&Shown>> = HashMap::new();
    for shown in findings {
        of_span.entry(shown.body.span_id.as_deref().unwrap_or_default()).or_default().push(shown);
    }
    html! {
        div.wide.tall role="region" aria-labelledby="table" tabindex="0" { table.hops {
            thead { tr {
                th.n scope="col" { "#" } th scope="col" { "Service called" } th scope="col" { "By" }
                th scope="col" { "Operation" } th scope="col" { "Principal" } th scope="col" { "Assurance" }
                th scope="col" { "Findings" } th scope="col" { "Vouched for" } th scope="col" { "Outcome" }
                th.n scope="col" { "After" } th.n scope="col" { "Took" }
            } }
            tbody { @for ((number, hop), step) in (1_u64..).zip(hops).zip(steps) {
                @let span = hop.span_id.to_string();
                @let found = of_span.get(&*span).map(Vec::as_slice).unwrap_or_default();
                tr id={ "s-" (span) } {
                    td.n { (number) }
                    th scope="row" { (service(hop)) }
                    td { (caller(hop.caller.as_deref())) @if let Some(parent) = step.parent { " " span.muted { "#" (parent + 1) } } }
                    td.operation { (name(&hop.operation)) @if hop.kind == HopKind::Messaging { " " span.kind { "message" } } }
                    td { (principal(hop.principal.as_ref())) " " (change(step)) @if hop.uncovered { " " span.kind { "uncovered" } } }
                    td { (assurance(hop.assurance)) @if let Some(method) = &hop.method { " " span.muted { "by " (name(method)) } } }
                    td { @for shown in found {
                        a.found href={ "#f-" (shown.body.id) } { (severity(&shown.body.severity)) span.hidden { ": " } (shown.body.rule) } " "
                    } }
                    td { (basis(hop.basis)) }
                    td { (outcome(hop.outcome)) }
                    td.n title=(iso(hop.start, 9)) { "+" (duration(hop.start.saturating_sub(begin))) }
                    td.n { (duration(hop.end.saturating_sub(hop.start))) }
                }
            } }
        } }
    }
}

fn service(hop: &HopRecord) -> Markup {
    html! {
        (name(&hop.service))
        @match (&hop.namespace, &hop.environment) {
            (Some(namespace), Some(environment)) => span.note-on { "in " (name(namespace)) ", " (name(environment)) },
            (Some(one), None) | (None, Some(one)) => span.note-on { "in " (name(one)) },
            (None, None) => {}
        }
        @for via in &hop.via { " " span.note-on { "via " (name(via)) } }
    }
}

const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Rejected => "rejected",
        Outcome::Failed => "failed",
        Outcome::Unknown => "not said",
    }
}
