//! `/live`: findings as they are committed.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use maud::html;

use super::finding::{Shown, sureness};
use super::frame::Page;
use super::parts::{caller, link, name, prose, severity, time, trace_link};
use super::{Answer, Pages};
use crate::output::iso;
use crate::output::trail::LiveShape;
use crate::serve::api::asked;
use crate::serve::store::{FindingQuery, State as FindingState, Store};
use crate::serve::tail::{Noticed, TailEvent};

/// Findings that are shown at first.
const FIRST: usize = 20;
/// How often a silent viewer is written to, so that one that is gone is noticed.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// The page, with the newest findings already on it.
pub(super) async fn page(State(pages): State<Pages>) -> Answer {
    let query = FindingQuery { state: Some(FindingState::Open), limit: FIRST, ..FindingQuery::default() };
    let found = asked(&pages.api, move |store: &dyn Store| store.findings(&query)).await?;
    let found = found.into_iter().map(Shown::try_from).collect::<Result<Vec<_>, _>>()?;
    let content = html! {
        h1 { "Live" }
        p.lead { "Open findings, the newest first. New ones come in on their own, as they are committed." }
        p #live-still.note {
            "Without JavaScript this page stands still. " a href="/live" { "Load it again" } " for what is new, or read "
            code { "/live/events" } " with a program, as in " code { "curl --no-buffer" } "."
        }
        div.live-line {
            p #live-state role="status" hidden { "Connecting." }
            button #live-pause type="button" aria-pressed="false" hidden { "Pause" }
        }
        p #live-missed.note role="status" hidden {}
        ol #live aria-label="Findings" {
            @for shown in &found {
                @let body = &shown.body;
                li data-id=(body.id) {
                    (severity(&body.severity)) " "
                    a.rule href=(link("/findings", &[("rule", &body.rule)])) { (body.rule) } " "
                    span.confidence title=(sureness(&body.confidence)) { (body.confidence) } " "
                    span.when { (time(shown.record.at)) }
                    p { (prose(&body.message)) }
                    p.place { (caller(body.caller.as_deref())) " \u{2192} " (name(&body.service)) " " span.operation { (name(&body.operation)) } }
                    @if let Some(trace) = &body.trace_id {
                        p.links { a href=(trace_link(trace, body.span_id.as_deref())) { "The hop" span.hidden { " of: " (body.message) } } }
                    }
                }
            }
        }
        @if found.is_empty() { p #live-none.empty { "No finding is open." } }
        // What the script fills in: no text of a span ever becomes markup.
        template #live-one {
            li {
                span.severity data-fill="severity" {} " "
                a.rule data-fill="rule" href="/findings" {} " "
                span.confidence data-fill="confidence" {} " "
                span.when { time data-fill="at" {} }
                p data-fill="message" {}
                p.place { bdi data-fill="caller" {} " \u{2192} " bdi data-fill="service" {} " " span.operation { bdi data-fill="operation" {} } }
                p.links { a data-fill="hop" href="/findings" { "The hop" } }
            }
        }
    };
    Ok(Page { is_live: true, ..Page::new("/live", "Live", content) })
}

/// The events: `finding`, `retracted` and `missed`, each with JSON.
pub(super) async fn events(State(pages): State<Pages>) -> Response {
    let Some(viewer) = pages.tail.watch() else {
        let later = [(header::RETRY_AFTER, "60")];
        return (StatusCode::SERVICE_UNAVAILABLE, later, "as many watch already as may\n").into_response();
    };
    let events = unfold(viewer, async |mut viewer| {
        let told = viewer.next().await?;
        Some((Ok::<_, Infallible>(event(&told)), viewer))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(SIGN_OF_LIFE)).into_response()
}

fn event(told: &TailEvent) -> Event {
    // There is nothing in these that JSON cannot say.
    let (name, json) = match told {
        TailEvent::Opened(noticed) => ("finding", serde_json::to_string(&shape(noticed)).unwrap_or_default()),
        TailEvent::Retracted(id) => ("retracted", format!("\"{id}\"")),
        TailEvent::Missed(number) => ("missed", number.to_string()),
    };
    Event::default().event(name).data(json)
}

fn shape(noticed: &Noticed) -> LiveShape<'_> {
    let place = noticed.place.as_ref();
    LiveShape {
        id: noticed.id.to_string(),
        rule: noticed.rule,
        severity: noticed.severity,
        confidence: noticed.confidence,
        caller: noticed.caller.as_deref(),
        service: &noticed.service,
        operation: &noticed.operation,
        message: &noticed.message,
        at: (noticed.at > 0).then(|| iso(noticed.at, 0)),
        trace_id: place.map(|(trace, _)| trace.as_str()),
        span_id: place.and_then(|(_, span)| span.as_deref()),
    }
}
