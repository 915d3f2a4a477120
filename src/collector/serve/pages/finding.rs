//! One finding, as every page shows it, and `/findings/{id}`, where it is said what becomes of it.

use axum::Extension;
use axum::extract::rejection::{FormRejection, PathRejection};
use axum::extract::{Form, Path, State as Shared};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::Redirect;
use maud::{Markup, html};
use serde::Deserialize;

use super::frame::{Page, Wrong};
use super::parts::{caller, link, name, prose, read_principal, severity, time, trace_link};
use super::{Answer, Pages};
use crate::output::trail::ReadFinding;
use crate::serve::access::{Asker, Role};
use crate::serve::api::{Problem, SAID, asked, finding_id, saying};
use crate::serve::identities::Identities;
use crate::serve::store::{FindingRecord, Said, State, Store};

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

/// Where a finding is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum On {
    /// Among others.
    Findings,
    /// On the page of its trace.
    Trace,
    /// On a page of its own.
    Itself,
}

/// A finding whole, as it is shown there.
pub(super) fn card(shown: &Shown, on: On) -> Markup {
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
            // On the page of a trace, those above it are of the second order.
            @if on != On::Trace { h2 id={ "t-" (body.id) } { (title) } } @else { h3 id={ "t-" (body.id) } { (title) } }
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
                @if on != On::Itself {
                    a href={ "/findings/" (body.id) } { "This finding" span.hidden { ": " (body.message) } }
                }
                @if let Some(trace) = &body.trace_id {
                    @if on != On::Trace { a href=(trace_link(trace, None)) { "The trace" span.hidden { " of: " (body.message) } } }
                    @if body.span_id.is_some() {
                        a href=(trace_link(trace, body.span_id.as_deref())) { "The hop" span.hidden { " of: " (body.message) } }
                    }
                } @else { span.muted { "About many traces." } }
            }
        }
    }
}

/// States that somebody may set, and what is said by them.
const CHOICES: [(State, &str); 4] = [
    (State::Acknowledged, "somebody looks at it"),
    (State::Resolved, "it is mended"),
    (State::Suppressed, "it is no fault"),
    (State::Open, "it stands, and nobody looks at it"),
];

/// `/findings/{id}`.
pub(super) async fn page(
    Shared(pages): Shared<Pages>,
    id: Result<Path<String>, PathRejection>,
    identities: Identities,
    asker: Option<Extension<Asker>>,
) -> Answer {
    let id = finding_id(&id.map_err(Problem::from)?)?;
    let found = asked(&pages.api, move |store: &dyn Store| Ok((store.finding(id)?, store.said(id, SAID)?)));
    let (found, said) = found.await?;
    let found = identities.of_findings(found.into_iter().collect()).map_err(Problem::from)?.pop();
    let Some(record) = found else { return Err(Problem::NotFound.into()) };
    let shown = Shown::try_from(record)?;
    let may_say = asker.is_some_and(|asker| asker.role >= Role::Admin);
    let content = html! {
        h1 { "Finding" }
        (card(&shown, On::Itself))
        section aria-labelledby="say" {
            h2 id="say" { "What becomes of it" }
            p { "It is " strong { (shown.record.state.as_str()) } "." }
            @if may_say { (form(&shown)) } @else { p.muted { "To say something else takes the role admin." } }
        }
        section aria-labelledby="said" {
            h2 id="said" { "What was said" }
            @if said.is_empty() { p.empty { "Nobody said anything of it yet." } } @else { (history(&said)) }
        }
    };
    Ok(Page::new("", format!("Finding: {}", shown.body.rule), content))
}

fn form(shown: &Shown) -> Markup {
    html! {
        form.filters method="post" action={ "/findings/" (shown.body.id) } {
            label { "It is now" select name="state" {
                @for (state, means) in CHOICES {
                    option value=(state.as_str()) selected[state == shown.record.state] { (state.as_str()) ": " (means) }
                }
            } }
            label { "Note" input type="text" name="note" maxlength="500" autocomplete="off"; }
            div.buttons { button type="submit" { "Save" } }
        }
    }
}

fn history(said: &[Said]) -> Markup {
    html! {
        ol.said reversed { @for said in said {
            li {
                (time(said.at)) ": " strong { (said.state.as_str()) }
                @if !said.who.is_empty() { ", says " (name(&said.who)) }
                @if !said.note.is_empty() { ": " (name(&said.note)) }
            }
        } }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saying {
    state: String,
    #[serde(default)]
    note: String,
}

/// Takes what a form says, and leads back to the page.
pub(super) async fn say(
    Shared(pages): Shared<Pages>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    asker: Option<Extension<Asker>>,
    uri: Uri,
    form: Result<Form<Saying>, FormRejection>,
) -> Result<Redirect, Wrong> {
    if !is_from_us(&headers, &uri) {
        return Err(Problem::OtherSite.into());
    }
    let Form(form) = form.map_err(|_| Problem::Asked("this form has no such field".to_owned()))?;
    let id = finding_id(&id.map_err(Problem::from)?)?;
    let said = saying(&form.state, form.note, asker.as_deref(), pages.api.clock.now())?;
    match asked(&pages.api, move |store: &dyn Store| store.set_state(id, &said)).await? {
        true => Ok(Redirect::to(&format!("/findings/{id}"))),
        false => Err(Problem::NotFound.into()),
    }
}

/// Whether a browser says that a page of ours sent it: who a browser speaks for, by certificate or as this machine, is nobody's proof
/// that they meant to. `Sec-Fetch-Site` is said over TLS and on this machine, `Origin` by all with a form; what says neither is no
/// browser, and has the API.
fn is_from_us(headers: &HeaderMap, uri: &Uri) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_ascii_lowercase);
    let named = headers.get(HOST).and_then(text);
    let host = named.or_else(|| uri.authority().map(|authority| authority.as_str().to_ascii_lowercase()));
    let origin = headers.get(ORIGIN).and_then(text);
    let from = origin.as_deref().and_then(|origin| origin.split_once("://")).map(|(_, from)| from);
    host.is_some() && host.as_deref() == from
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sent_a_form() {
        for (site, origin, host, expected) in [
            (Some("same-origin"), None, Some("localhost:8317"), true),
            (Some("same-origin"), Some("null"), Some("localhost:8317"), true),
            (Some("cross-site"), Some("http://localhost:8317"), Some("localhost:8317"), false),
            (Some("same-site"), None, Some("localhost:8317"), false),
            (Some("none"), None, Some("localhost:8317"), false),
            (None, Some("http://hopseal.internal"), Some("Hopseal.internal"), true),
            (None, Some("http://localhost:8317"), Some("localhost:8317"), true),
            (None, Some("http://localhost:80"), Some("localhost:8317"), false),
            (None, Some("http://evil.example"), Some("localhost:8317"), false),
            (None, Some("null"), Some("localhost:8317"), false),
            (None, None, Some("localhost:8317"), false),
            (None, Some("http://localhost:8317"), None, false),
            (None, None, None, false),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [("sec-fetch-site", site), ("origin", origin), ("host", host)] {
                value.map(|value| headers.insert(name, value.parse().expect("a header")));
            }
            let uri = Uri::from_static("/findings/1");
            assert_eq!(is_from_us(&headers, &uri), expected, "{headers:?}");
        }
    }
}
