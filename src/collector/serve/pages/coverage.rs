//! `/coverage`: how many hops showed an identity, over time, service by service.

use axum::extract::State;
use maud::{Markup, html};
use serde::Deserialize;

use super::ask::{Asked, period};
use super::chart::sum;
use super::frame::Page;
use super::overview::{Coverage, tiles};
use super::parts::{link, name, number, percent, periods};
use super::period::Period;
use super::{Answer, Pages};
use crate::serve::api::asked;
use crate::serve::store::{CoveragePoint, Store};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CoverageAsk {
    period: Option<String>,
    /// A service called.
    service: Option<String>,
}

/// Services on the page.
const MOST: usize = 300;

/// The page.
pub(super) async fn page(State(pages): State<Pages>, Asked(ask): Asked<CoverageAsk>) -> Answer {
    let (period, now) = (period(ask.period.as_deref())?, pages.api.clock.now());
    let coverage = asked(&pages.api, move |store: &dyn Store| Coverage::ask(store, period, now)).await?;
    let (title, content) = match &ask.service {
        Some(service) => (format!("Coverage of {service}"), one(period, service, &coverage)),
        None => ("Coverage".to_owned(), all(period, &coverage)),
    };
    let content = html! { (content) (pages.links.dashboard("hopseal-coverage")) };
    Ok(Page::new("/coverage", title, content))
}

fn none(period: Period) -> Markup {
    html! {
        p.empty {
            "No hops in " (period.name()) ". "
            @if period != Period::All { a href="/coverage?period=all" { "Show all that is kept" } }
        }
    }
}

fn all(period: Period, coverage: &Coverage) -> Markup {
    let (busiest, left) = coverage.busiest(MOST);
    html! {
        h1 { "Coverage" }
        p.lead {
            "Of the hops into a service, how many showed a principal (" a href="/words#identified" { "identified" }
            "), and for how many something other than the span vouches (" a href="/words#proven" { "proven" } ")."
        }
        (periods("/coverage", period, &[]))
        form.filters method="get" action="/coverage" {
            input type="hidden" name="period" value=(period.word());
            label { "Service" input type="text" name="service" required autocomplete="off"; }
            div.buttons { button type="submit" { "Show" } }
        }
        @if coverage.services.is_empty() { (none(period)) }
        @if left > 0 { p.muted { "Those with most hops; " (number(left as u64)) " more are left out." } }
        @for (service, points) in busiest {
            @let sum = sum(points);
            section.service aria-label=(service) {
                h2 { a href=(link("/coverage", &[("service", service), ("period", period.word())])) { (name(service)) } }
                p { (share(&sum)) }
                (coverage.chart(points).small(&format!("Coverage of {service}")))
            }
        }
    }
}

fn share(sum: &CoveragePoint) -> Markup {
    html! {
        strong { (percent(sum.identified, sum.hops)) } " identified, "
        strong { (percent(sum.proven, sum.hops)) } " proven, of " (number(sum.hops)) " hops"
        @if sum.uncovered == sum.hops { "; it never shows an identity" }
    }
}

fn one(period: Period, service: &str, coverage: &Coverage) -> Markup {
    let points = coverage.services.get(service).map(Vec::as_slice).unwrap_or_default();
    html! {
        p.up { a href=(link("/coverage", &[("period", period.word())])) { "All services" } }
        h1 { "Coverage of " (name(service)) }
        (periods("/coverage", period, &[("service", service)]))
        @if points.is_empty() { (none(period)) } @else {
            (tiles(&sum(points)))
            (coverage.chart(points).large(&format!("Coverage of {service}")))
        }
        p.links {
            a href=(link("/findings", &[("service", service)])) { "Findings of this service" }
            a href=(link("/principals", &[("service", service)])) { "Its hops" }
        }
    }
}
