//! Coverage over time, drawn.

use maud::{Markup, html};

use super::parts::{counted, number, percent};
use crate::output::iso;
use crate::serve::store::{CoveragePoint, MINUTE};

/// Points of a line, and the time it goes over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chart<'a> {
    pub(super) points: &'a [CoveragePoint],
    /// Where it begins and ends, nanoseconds since the Unix epoch.
    pub(super) from: u64,
    pub(super) to: u64,
    /// Minutes of a point.
    pub(super) minutes: u64,
}

/// All points in one.
pub(super) fn sum<'a>(points: impl IntoIterator<Item = &'a CoveragePoint>) -> CoveragePoint {
    let mut sum = CoveragePoint::default();
    for point in points {
        sum.hops += point.hops;
        sum.identified += point.identified;
        sum.proven += point.proven;
        sum.uncovered += point.uncovered;
    }
    sum
}

impl Chart<'_> {
    /// A small one, for a row of a table.
    pub(super) fn small(&self, of: &str) -> Markup {
        self.svg(of, 160.0, 28.0, "chart small")
    }

    /// A large one, with what its lines are.
    pub(super) fn large(&self, of: &str) -> Markup {
        html! {
            figure.coverage {
                div.plot {
                    span.axis.top aria-hidden="true" { "100 %" }
                    span.axis.bottom aria-hidden="true" { "0 %" }
                    (self.svg(of, 720.0, 150.0, "chart"))
                }
                div.scale aria-hidden="true" { span { (iso(self.from, 0)) } span { (iso(self.to, 0)) } }
                figcaption {
                    span.key { svg viewBox="0 0 28 8" width="28" height="8" aria-hidden="true" { path.identified d="M0 4h28" {} } "identified" }
                    span.key { svg viewBox="0 0 28 8" width="28" height="8" aria-hidden="true" { path.proven d="M0 4h28" {} } "proven" }
                    span.key { svg viewBox="0 0 28 8" width="28" height="8" aria-hidden="true" { rect.volume x="4" y="0" width="20" height="8" {} } "hops" }
                }
                details {
                    summary { "The same as a table" }
                    table {
                        thead { tr {
                            th scope="col" { "From" } th.n scope="col" { "Hops" } th.n scope="col" { "Identified" }
                            th.n scope="col" { "Proven" }
                        } }
                        tbody {
                            @for point in self.points.iter().rev() { tr {
                                td { time datetime=(iso(point.at, 0)) { (iso(point.at, 0)) } }
                                td.n { (number(point.hops)) }
                                td.n { (percent(point.identified, point.hops)) }
                                td.n { (percent(point.proven, point.hops)) }
                            } }
                        }
                    }
                }
            }
        }
    }

    /// What it shows, in words.
    fn words(&self, of: &str) -> String {
        let all = sum(self.points);
        let share = |point: &&CoveragePoint| point.identified as f64 / point.hops.max(1) as f64;
        let lowest = self.points.iter().min_by(|a, b| share(a).total_cmp(&share(b)));
        let (Some(lowest), Some(last)) = (lowest, self.points.last()) else {
            return format!("{of}: no hops");
        };
        format!(
            "{of}: {}; identified {}, lowest {} at {}, last {}; proven {}",
            counted(all.hops, "hop"),
            percent(all.identified, all.hops),
            percent(lowest.identified, lowest.hops),
            iso(lowest.at, 0),
            percent(last.identified, last.hops),
            percent(all.proven, all.hops),
        )
    }

    fn svg(&self, of: &str, width: f64, height: f64, class: &str) -> Markup {
        let most = self.points.iter().map(|point| point.hops).max().unwrap_or(0).max(1);
        let (identified, proven) =
            (|point: &CoveragePoint| point.identified, |point: &CoveragePoint| point.proven);
        let bar = (width * self.step() / self.span()).clamp(1.0, width / 12.0);
        html! {
            svg class=(class) role="img" aria-label=(self.words(of)) viewBox={ "0 -2 " (width) " " (height + 4.0) }
                width=(width) height=(height + 4.0) preserveAspectRatio="none" {
                @if height > 100.0 {
                    path.grid d={ "M0 0H" (width) "M0 " (height / 2.0) "H" (width) "M0 " (height) "H" (width) } {}
                }
                @for point in self.points {
                    @let tall = height * point.hops as f64 / most as f64 * 0.9;
                    rect.volume x=(short(self.x(point, width) - bar / 2.0)) y=(short(height - tall))
                        width=(short(bar * 0.8)) height=(short(tall)) {}
                }
                path.identified d=(self.line(width, height, identified)) {}
                path.identified.dots d=(self.dots(width, height, identified)) {}
                path.proven d=(self.line(width, height, proven)) {}
                path.proven.dots d=(self.dots(width, height, proven)) {}
            }
        }
    }

    /// Nanoseconds of a point.
    fn step(&self) -> f64 {
        self.minutes.saturating_mul(MINUTE) as f64
    }

    /// Nanoseconds from end to end.
    fn span(&self) -> f64 {
        (self.to.saturating_sub(self.from) as f64).max(self.step())
    }

    fn x(&self, point: &CoveragePoint, width: f64) -> f64 {
        let middle = point.at.saturating_sub(self.from) as f64 + self.step() / 2.0;
        (middle / self.span()).clamp(0.0, 1.0) * width
    }

    fn y(point: &CoveragePoint, height: f64, part: impl Fn(&CoveragePoint) -> u64) -> f64 {
        height * (1.0 - part(point) as f64 / point.hops.max(1) as f64)
    }

    /// A line that breaks where there were no hops.
    fn line(&self, width: f64, height: f64, part: impl Fn(&CoveragePoint) -> u64 + Copy) -> String {
        let mut path = String::new();
        let mut next = None;
        for point in self.points {
            let verb = if next == Some(point.at) { 'L' } else { 'M' };
            let (x, y) = (self.x(point, width), Self::y(point, height, part));
            path.push_str(&format!("{verb}{} {}", short(x), short(y)));
            next = self.after(point);
        }
        path
    }

    /// Points that no line goes to.
    fn dots(&self, width: f64, height: f64, part: impl Fn(&CoveragePoint) -> u64 + Copy) -> String {
        let mut path = String::new();
        for (index, point) in self.points.iter().enumerate() {
            let before = index.checked_sub(1).and_then(|index| self.points.get(index));
            let joins_before = before.is_some_and(|before| self.after(before) == Some(point.at));
            let joins_next =
                self.points.get(index + 1).is_some_and(|next| self.after(point) == Some(next.at));
            if !joins_before && !joins_next {
                let (x, y) = (self.x(point, width), Self::y(point, height, part));
                path.push_str(&format!("M{} {}h.01", short(x), short(y)));
            }
        }
        path
    }

    /// When the point after one begins.
    fn after(&self, point: &CoveragePoint) -> Option<u64> {
        point.at.checked_add(self.minutes.saturating_mul(MINUTE))
    }
}

/// A coordinate, to a tenth.
fn short(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(minute: u64, hops: u64, identified: u64) -> CoveragePoint {
        CoveragePoint { at: minute * MINUTE, hops, identified, proven: 0, uncovered: 0 }
    }

    #[test]
    fn a_line_breaks_where_nothing_was() {
        let points = [point(0, 4, 4), point(1, 4, 2), point(8, 4, 0)];
        let chart = Chart { points: &points, from: 0, to: 10 * MINUTE, minutes: 1 };
        assert_eq!(chart.line(100.0, 10.0, |point| point.identified), "M5 0L15 5M85 10");
        assert_eq!(chart.dots(100.0, 10.0, |point| point.identified), "M85 10h.01");
        assert_eq!(
            chart.words("all"),
            "all: 12 hops; identified 50.0 %, lowest 0.0 % at 1970-01-01T00:08:00Z, last 0.0 %; proven 0.0 %"
        );
        let none = Chart { points: &[], from: 0, to: 0, minutes: 1 };
        assert_eq!(none.words("all"), "all: no hops");
        assert!(none.small("all").into_string().contains("no hops"));
    }
}
