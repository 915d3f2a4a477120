//! `/findings`: what was found, the newest first, or the gravest.

use axum::extract::State as Shared;
use hopseal_correlate::finding::Severity;
use hopseal_correlate::rule::Rule;
use maud::{Markup, html};
use serde::Deserialize;

use super::ask::Asked;
use super::finding::{On, Shown, card};
use super::frame::Page;
use super::parts::{SEVERITIES, link};
use super::{Answer, Pages};
use crate::serve::api::{FindingsAsk, Problem, asked, cursor_text};
use crate::serve::identities::Identities;
use crate::serve::store::{FindingQuery, State, Store, StoreError};

/// Findings of one page.
const PAGE: usize = 25;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    /// A state, or `any`; open where none is said.
    state: Option<String>,
    rule: Option<String>,
    severity: Option<String>,
    service: Option<String>,
    caller: Option<String>,
    /// `yes`: calls from outside alone.
    outside: Option<String>,
    /// `newest` or `gravest`.
    order: Option<String>,
    cursor: Option<String>,
    /// With `gravest`, the severity that the page before ended in.
    under: Option<String>,
}

impl Ask {
    fn text(field: &Option<String>) -> &str {
        field.as_deref().unwrap_or_default()
    }

    fn state(&self) -> &str {
        self.state.as_deref().unwrap_or("open")
    }

    /// This question without its place, as the pairs of an address.
    fn pairs(&self) -> Vec<(&str, &str)> {
        let state = if self.state() == "open" { "" } else { self.state() };
        let Self { rule, severity, service, caller, outside, order, .. } = self;
        let mut pairs = vec![("state", state)];
        for (name, field) in [
            ("rule", rule),
            ("severity", severity),
            ("service", service),
            ("caller", caller),
            ("outside", outside),
            ("order", order),
        ] {
            pairs.push((name, Self::text(field)));
        }
        pairs
    }

    fn query(&self) -> Result<FindingQuery, Problem> {
        let outside = match self.outside.as_deref() {
            None => None,
            Some("yes") => Some(String::new()),
            Some(_) => return Err(Problem::Asked("`outside` is yes, or not there".to_owned())),
        };
        let ask = FindingsAsk {
            state: Some(self.state().to_owned()).filter(|state| state != "any"),
            rule: self.rule.clone(),
            severity: self.severity.clone(),
            service: self.service.clone(),
            caller: outside.or_else(|| self.caller.clone()),
            cursor: self.cursor.clone(),
            limit: Some(PAGE),
            ..FindingsAsk::default()
        };
        ask.query(None)
    }

    /// The severities to go through, each on its own, the gravest first; none for all at once.
    fn severities(&self) -> Result<Vec<Severity>, Problem> {
        let wrong = |what: &str| Problem::Asked(format!("`{what}` cannot be that"));
        match self.order.as_deref() {
            None | Some("newest") => return Ok(Vec::new()),
            Some("gravest") => {}
            Some(_) => return Err(wrong("order")),
        }
        let read = |name: &str, word: &str| Severity::parse(word).ok_or_else(|| wrong(name));
        if let Some(only) = &self.severity {
            return Ok(vec![read("severity", only)?]);
        }
        let under = self.under.as_deref().map_or(Ok(Severity::High), |word| read("under", word))?;
        Ok(SEVERITIES.into_iter().filter(|severity| *severity <= under).collect())
    }
}

/// One page of findings, and where the next begins.
struct Found {
    findings: Vec<Shown>,
    next: Option<(String, Option<&'static str>)>,
}

fn find(
    store: &dyn Store,
    query: &FindingQuery,
    severities: &[Severity],
    identities: Identities,
) -> Result<Found, StoreError> {
    let mut found = Vec::new();
    let mut query = FindingQuery { limit: PAGE + 1, ..query.clone() };
    match severities {
        [] => found = store.findings(&query)?,
        _ => {
            for severity in severities {
                query.severity = Some(*severity);
                query.limit = PAGE + 1 - found.len();
                found.append(&mut store.findings(&query)?);
                if found.len() > PAGE {
                    break;
                }
                query.after = None;
            }
        }
    }
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    let last = found.last().filter(|_| more);
    let under = |severity: Severity| (!severities.is_empty()).then(|| severity.as_str());
    let next = last.map(|last| (cursor_text(last.cursor()), under(last.severity)));
    let broken = || StoreError::Broken("a finding");
    let found = identities.of_findings(found).map_err(|_| broken())?;
    let findings = found.into_iter().map(Shown::try_from).collect::<Result<_, _>>();
    Ok(Found { findings: findings.map_err(|_| broken())?, next })
}

/// The page.
pub(super) async fn page(
    Shared(pages): Shared<Pages>,
    Asked(ask): Asked<Ask>,
    identities: Identities,
) -> Answer {
    let (query, severities) = (ask.query()?, ask.severities()?);
    let find = move |store: &dyn Store| find(store, &query, &severities, identities);
    let found = asked(&pages.api, find).await?;
    let content = html! { (content(&ask, &found)) (pages.links.dashboard("hopseal-findings")) };
    Ok(Page::new("/findings", "Findings", content))
}

fn content(ask: &Ask, found: &Found) -> Markup {
    html! {
        h1 { "Findings" }
        (form(ask))
        @match found.findings.as_slice() {
            [] => p.empty { "Nothing is found that matches. " a href="/findings?state=any" { "Show findings of every state" } },
            findings => {
                p.muted { "Most recent " @if ask.order.as_deref() == Some("gravest") { "of the gravest " } "first; " (findings.len()) " on this page." }
                @for finding in findings { (card(finding, On::Findings)) }
            }
        }
        nav.more aria-label="More findings" {
            @if ask.cursor.is_some() { a href=(link("/findings", &ask.pairs())) { "Back to the first" } }
            @if let Some((cursor, under)) = &found.next {
                @let place = [("cursor", cursor.as_str()), ("under", under.unwrap_or_default())];
                @let pairs: Vec<_> = ask.pairs().into_iter().chain(place).collect();
                a rel="next" href=(link("/findings", &pairs)) { "Next page" }
            }
        }
    }
}

/// The filters. What is chosen stays chosen.
fn form(ask: &Ask) -> Markup {
    let option = |value: &str, name: &str, chosen: &str| {
        html! { option value=(value) selected[value == chosen] { (name) } }
    };
    let severity = Ask::text(&ask.severity);
    let rule = Ask::text(&ask.rule);
    html! {
        form.filters method="get" action="/findings" {
            label { "State" select name="state" {
                @for state in State::ALL { (option(state.as_str(), state.as_str(), ask.state())) }
                (option("any", "any", ask.state()))
            } }
            label { "Severity" select name="severity" {
                (option("", "any", severity))
                @for word in SEVERITIES { (option(word.as_str(), word.as_str(), severity)) }
            } }
            label { "Rule" select name="rule" {
                (option("", "any", rule))
                @for known in Rule::ALL { (option(known.as_str(), known.as_str(), rule)) }
            } }
            label { "Service" input type="text" name="service" value=(Ask::text(&ask.service)) autocomplete="off"; }
            label { "Called by" input type="text" name="caller" value=(Ask::text(&ask.caller)) autocomplete="off"; }
            label { "Order" select name="order" {
                @let order = ask.order.as_deref().unwrap_or("newest");
                (option("newest", "newest first", order))
                (option("gravest", "gravest first", order))
            } }
            label.check { input type="checkbox" name="outside" value="yes" checked[ask.outside.is_some()]; "Only calls from outside" }
            div.buttons {
                button type="submit" { "Show" }
                a href="/findings" { "Reset" }
            }
        }
    }
}
