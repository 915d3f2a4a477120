//! One finding, as every page shows it.

use maud::{Markup, html};

use super::parts::{caller, link, name, prose, read_principal, severity, time, trace_link};
use crate::output::trail::ReadFinding;
use crate::serve::api::Problem;
use crate::serve::store::FindingRecord;

/// A finding, and its body read back.
pub(super) struct Shown {
    pub(super) record: FindingRecord,
    pub(super) body: ReadFinding,
}

impl TryFrom<FindingRecord> for Shown {
    type Error = Problem;

    fn try_from(record: FindingRecord) -> Result<Self, Problem> {
        Ok(Self { body: serde_json::from_str(&record.body)?, record })
    }
}

/// How sure a finding is, in a sentence.
pub(super) fn sureness(confidence: &str) -> &'static str {
    match confidence {
        "certain" => "The spans at hand leave no other reading.",
        "likely" => "Something else could explain it.",
        _ => "A place to look.",
    }
}

/// A finding whole. `heading`: which level its heading is of, 2 or 3.
pub(super) fn card(shown: &Shown, heading: u8) -> Markup {
    let Shown { record, body } = shown;
    let title = prose(&body.message);
    html! {
        article.finding id={ "f-" (body.id) } aria-labelledby={ "t-" (body.id) } {
            div.line {
                (severity(&body.severity))
                a.rule href={ "/words#rule-" (body.rule) } { (body.rule) }
                span.confidence title=(sureness(&body.confidence)) { (body.confidence) }
                @if record.state.as_str() != "open" { span.state { (record.state.as_str()) } }
                span.when { (time(record.at)) }
            }
            @if heading == 2 { h2 id={ "t-" (body.id) } { (title) } } @else { h3 id={ "t-" (body.id) } { (title) } }
            p.place {
                (caller(body.caller.as_deref())) " " span aria-hidden="true" { "\u{2192}" } span.hidden { " to " } " "
                a href=(link("/findings", &[("service", &body.service), ("state", "any")])) { (name(&body.service)) }
                @if !body.operation.is_empty() { " " span.operation { (name(&body.operation)) } }
            }
            dl.facts {
                dt { "How sure" }
                dd {
                    strong { (body.confidence) } ". " (sureness(&body.confidence))
                    @if !body.why_not_sure.is_empty() { ul { @for why in &body.why_not_sure { li { (prose(why)) } } } }
                }
                @if body.principals.before.is_some() || body.principals.here.is_some() {
                    dt { "Before the hop" } dd { (read_principal(body.principals.before.as_ref())) }
                    dt { "At the hop" } dd { (read_principal(body.principals.here.as_ref())) }
                }
                dt { "What to do" } dd { (prose(&body.fix)) }
                @if !record.note.is_empty() {
                    dt { "Note" } dd { (record.note) " " span.muted { (time(record.changed)) } }
                }
            }
            @if !body.evidence.is_empty() {
                details {
                    summary { "What it rests on" span.hidden { ": " (body.message) } }
                    dl.facts { @for (fact, value) in &body.evidence {
                        dt { (fact.replace('_', " ")) } dd { (name(value)) }
                    } }
                }
            }
            p.links {
                @if let Some(trace) = &body.trace_id {
                    // A heading of the third order is on the page of the trace.
                    @if heading == 2 { a href=(trace_link(trace, None)) { "The trace" span.hidden { " of: " (body.message) } } }
                    @if body.span_id.is_some() {
                        a href=(trace_link(trace, body.span_id.as_deref())) { "The hop" span.hidden { " of: " (body.message) } }
                    }
                } @else { span.muted { "About many traces." } }
            }
        }
    }
}
