//! `/principals`: where somebody was, over time.

use axum::extract::State;
use hopseal_identity::Assurance;
use maud::{Markup, html};
use serde::Deserialize;

use super::ask::Asked;
use super::frame::Page;
use super::parts::{assurance, basis, caller, duration, link, name, principal, time, trace_link};
use super::{Answer, Pages};
use crate::serve::api::{HopsAsk, asked, cursor_text};
use crate::serve::store::{HopRecord, Store};

/// Hops of one page.
const PAGE: usize = 50;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    /// An id as it stands on spans.
    principal: Option<String>,
    /// A person by name, under any of its pseudonyms.
    user: Option<String>,
    issuer: Option<String>,
    service: Option<String>,
    caller: Option<String>,
    assurance: Option<String>,
    cursor: Option<String>,
}

impl Ask {
    fn text(field: &Option<String>) -> &str {
        field.as_deref().unwrap_or_default()
    }

    fn pairs(&self) -> Vec<(&'static str, &str)> {
        let Self { principal, user, issuer, service, caller, assurance, .. } = self;
        [
            ("principal", principal),
            ("user", user),
            ("issuer", issuer),
            ("service", service),
            ("caller", caller),
            ("assurance", assurance),
        ]
        .map(|(name, field)| (name, Self::text(field)))
        .to_vec()
    }

    fn is_empty(&self) -> bool {
        self.pairs().iter().all(|(_, value)| value.is_empty())
    }
}

/// The page.
pub(super) async fn page(State(pages): State<Pages>, Asked(ask): Asked<Ask>) -> Answer {
    // Somebody has to be asked for: this is no list of people.
    if ask.is_empty() {
        return Ok(Page::new("/principals", "Principals", content(&ask, None, None)));
    }
    let Ask { principal, user, issuer, service, caller, assurance, cursor } = ask.clone();
    let limit = Some(PAGE + 1);
    let hops =
        HopsAsk { principal, user, issuer, service, caller, assurance, cursor, limit, ..HopsAsk::default() };
    let query = hops.query(pages.api.people.as_deref())?;
    let mut found = asked(&pages.api, move |store: &dyn Store| store.hops(&query)).await?;
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    let next = found.last().filter(|_| more).map(|last| cursor_text(last.cursor()));
    Ok(Page::new("/principals", "Principals", content(&ask, Some(&found), next.as_deref())))
}

fn content(ask: &Ask, found: Option<&[HopRecord]>, next: Option<&str>) -> Markup {
    html! {
        h1 { "Trail of a principal" }
        (form(ask))
        @match found {
            None => p.empty {
                "Say who is looked for: an id as it stands on spans, a person by name, or a service and how sure."
            },
            Some([]) => p.empty { "No hop matches." },
            Some(found) => {
                p.muted { "Newest first; " (found.len()) " on this page." }
                div.wide role="region" aria-label="Hops" tabindex="0" { table {
                    thead { tr {
                        th scope="col" { "Began" } th scope="col" { "Principal" } th scope="col" { "Hop" }
                        th scope="col" { "Operation" } th scope="col" { "Assurance" } th scope="col" { "Vouched for" }
                        th.n scope="col" { "Took" } th scope="col" { "Trace" }
                    } }
                    tbody { @for hop in found { (row(hop)) } }
                } }
            }
        }
        nav.more aria-label="More hops" {
            @if ask.cursor.is_some() { a href=(link("/principals", &ask.pairs())) { "Back to the first" } }
            @if let Some(next) = next {
                @let pairs: Vec<_> = ask.pairs().into_iter().chain([("cursor", next)]).collect();
                a rel="next" href=(link("/principals", &pairs)) { "Next page" }
            }
        }
    }
}

fn row(hop: &HopRecord) -> Markup {
    let (trace, span) = (hop.trace_id.to_string(), hop.span_id.to_string());
    html! {
        tr {
            td { (time(hop.start)) }
            td { (principal(hop.principal.as_ref())) }
            td { (caller(hop.caller.as_deref())) " \u{2192} " (name(&hop.service)) }
            td.operation { (name(&hop.operation)) }
            td { (assurance(hop.assurance)) }
            td { (basis(hop.basis)) }
            td.n { (duration(hop.end.saturating_sub(hop.start))) }
            td { a.id href=(trace_link(&trace, Some(&span))) title=(trace) { (trace.get(..8).unwrap_or_default()) "\u{2026}" } }
        }
    }
}

fn form(ask: &Ask) -> Markup {
    let chosen = Ask::text(&ask.assurance);
    let text = |label: &str, field: &str, value: &Option<String>| {
        html! { label { (label) input type="text" name=(field) value=(Ask::text(value)) autocomplete="off" spellcheck="false"; } }
    };
    html! {
        form.filters method="get" action="/principals" {
            (text("Id, as on spans", "principal", &ask.principal))
            (text("Person, by name", "user", &ask.user))
            (text("Issuer", "issuer", &ask.issuer))
            (text("Service", "service", &ask.service))
            (text("Called by", "caller", &ask.caller))
            label { "Assurance" select name="assurance" {
                option value="" selected[chosen.is_empty()] { "any" }
                @for word in Assurance::ALL.into_iter().rev() {
                    option value=(word.as_str()) selected[word.as_str() == chosen] { (word.as_str()) }
                }
            } }
            div.buttons { button type="submit" { "Find" } a href="/principals" { "Reset" } }
        }
    }
}
