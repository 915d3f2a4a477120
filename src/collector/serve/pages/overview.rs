//! `/`: how much is known, what is wrong, and where.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use axum::extract::State;
use maud::{Markup, html};

use super::ask::{Asked, PeriodAsk};
use super::chart::{Chart, sum};
use super::frame::Page;
use super::parts::{SEVERITIES, counted, link, name, number, percent, periods};
use super::period::{Period, minutes_between};
use super::{Answer, Pages};
use crate::serve::api::asked;
use crate::serve::store::{CoveragePoint, Interval, OpenRow, Store, StoreError};

/// Services on the page.
const MOST: usize = 60;

/// Coverage of services over a time.
pub(super) struct Coverage {
    pub(super) services: BTreeMap<String, Vec<CoveragePoint>>,
    /// All services together.
    pub(super) all: Vec<CoveragePoint>,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) minutes: u64,
}

impl Coverage {
    /// Asks for a period up to now.
    pub(super) fn ask(store: &dyn Store, period: Period, now: u64) -> Result<Self, StoreError> {
        let interval = period.interval(now);
        let Some(minutes) = period.minutes() else {
            // By the day first, to see how far back it goes.
            let rough = store.coverage(Interval::ALWAYS, None, 1440, usize::MAX)?;
            let first = rough.first().map_or(now, |point| point.at);
            let last = rough.last().map_or(now, |point| point.at.saturating_add(crate::serve::store::DAY));
            let minutes = minutes_between(first, last);
            return Ok(Self::of(store.coverage_by_service(interval, minutes)?, first, last, minutes));
        };
        Ok(Self::of(store.coverage_by_service(interval, minutes)?, interval.from, now, minutes))
    }

    fn of(each: Vec<(String, CoveragePoint)>, from: u64, to: u64, minutes: u64) -> Self {
        let (mut services, mut all) =
            (BTreeMap::<String, Vec<_>>::new(), BTreeMap::<u64, CoveragePoint>::new());
        for (service, point) in each {
            let whole = all.entry(point.at).or_default();
            *whole = CoveragePoint { at: point.at, ..sum([&*whole, &point]) };
            services.entry(service).or_default().push(point);
        }
        Self { services, all: all.into_values().collect(), from, to, minutes }
    }

    /// The services with most hops, by name, and how many are left out.
    pub(super) fn busiest(&self, most: usize) -> (Vec<(&str, &[CoveragePoint])>, usize) {
        let mut order: Vec<_> =
            self.services.iter().map(|(name, points)| (name.as_str(), points.as_slice())).collect();
        order.sort_by_cached_key(|(_, points)| Reverse(sum(*points).hops));
        order.truncate(most);
        order.sort_by_key(|(name, _)| *name);
        (order, self.services.len().saturating_sub(most))
    }

    /// A chart of some of it.
    pub(super) fn chart<'a>(&self, points: &'a [CoveragePoint]) -> Chart<'a> {
        Chart { points, from: self.from, to: self.to, minutes: self.minutes }
    }
}

/// The page.
pub(super) async fn page(State(pages): State<Pages>, Asked(ask): Asked<PeriodAsk>) -> Answer {
    let (period, now) = (ask.period()?, pages.api.clock.now());
    let ask = move |store: &dyn Store| Ok((Coverage::ask(store, period, now)?, store.open_findings()?));
    let (coverage, open) = asked(&pages.api, ask).await?;
    Ok(Page::new("/", "Overview", content(period, &coverage, &open)))
}

fn content(period: Period, coverage: &Coverage, open: &[OpenRow]) -> Markup {
    let all = sum(&coverage.all);
    html! {
        h1 { "Whose identity was it?" }
        (periods("/", period, &[]))
        section {
            h2 id="coverage" { "Coverage in " (period.name()) }
            @if all.hops == 0 {
                p.empty {
                    "No hops in " (period.name()) ". "
                    @if period == Period::All { "Spans go to the ports for OTLP or Zipkin; hops show here once their traces are quiet." }
                    @else { a href="/?period=all" { "Show all that is kept" } }
                }
            } @else {
                (tiles(&all))
                (coverage.chart(&coverage.all).large("Coverage of all services"))
            }
        }
        (findings(open))
        @if !coverage.services.is_empty() { (services(period, coverage, open)) }
        section {
            h2 { "Look up a trace" }
            (super::trace::form())
        }
    }
}

/// The numbers of a coverage.
pub(super) fn tiles(all: &CoveragePoint) -> Markup {
    html! {
        dl.tiles {
            div { dt { "Identified" } dd { (percent(all.identified, all.hops)) small { "hops with a principal" } } }
            div { dt { "Proven" } dd { (percent(all.proven, all.hops)) small { "vouched for by more than the span" } } }
            div { dt { "Uncovered" } dd { (percent(all.uncovered, all.hops)) small { "into services that never show one" } } }
            div { dt { "Hops" } dd { (number(all.hops)) small { "judged" } } }
        }
    }
}

fn findings(open: &[OpenRow]) -> Markup {
    let of = |severity| open.iter().filter(move |row| row.severity == severity).map(|row| row.count).sum();
    html! {
        section {
            h2 id="open" { "Open findings" }
            ul.severities {
                @for severity in SEVERITIES {
                    @let count: u64 = of(severity);
                    li class={ "s-" (severity.as_str()) } {
                        a href=(link("/findings", &[("severity", severity.as_str())])) {
                            strong { (number(count)) } " " span { (severity.as_str()) }
                        }
                    }
                }
            }
        }
    }
}

fn services(period: Period, coverage: &Coverage, open: &[OpenRow]) -> Markup {
    let (busiest, left) = coverage.busiest(MOST);
    let open_of =
        |service: &str| open.iter().filter(|row| row.service == service).map(|row| row.count).sum::<u64>();
    html! {
        section {
            h2 id="services" { "Services" }
            @if left > 0 {
                p.muted { "Those with most hops; " a href=(link("/coverage", &[("period", period.word())])) { (number(left as u64)) " more" } "." }
            }
            div.wide role="region" aria-labelledby="services" tabindex="0" {
                table.middle {
                    thead { tr {
                        th scope="col" { "Service" }
                        th.n scope="col" { "Hops" }
                        th.n scope="col" { "Identified" }
                        th.n scope="col" { "Proven" }
                        th scope="col" { "Over time" }
                        th.n scope="col" { "Open findings" }
                    } }
                    tbody {
                        @for (service, points) in busiest {
                            @let all = sum(points);
                            @let open = open_of(service);
                            tr {
                                th scope="row" {
                                    a href=(link("/coverage", &[("service", service), ("period", period.word())])) { (name(service)) }
                                }
                                td.n { (number(all.hops)) }
                                td.n { (percent(all.identified, all.hops)) }
                                td.n { (percent(all.proven, all.hops)) }
                                td { (coverage.chart(points).small(&format!("Coverage of {service}"))) }
                                td.n {
                                    @if open == 0 { span.muted { "0" } }
                                    @else {
                                        a href=(link("/findings", &[("service", service)])) aria-label={ (counted(open, "open finding")) " of " (service) } {
                                            (number(open))
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
