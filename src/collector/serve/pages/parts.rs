//! Small pieces of pages.

use form_urlencoded::Serializer;
use hopseal_correlate::finding::{Severity, Who};
use hopseal_identity::{Assurance, Basis};
use maud::{Markup, html};

use super::period::Period;
use crate::output::iso;
use crate::output::trail::ReadPrincipal;

/// A path with a query; what is empty is left out.
pub(super) fn link(path: &str, query: &[(&str, &str)]) -> String {
    let mut pairs = Serializer::new(String::new());
    query.iter().filter(|(_, value)| !value.is_empty()).for_each(|(name, value)| {
        pairs.append_pair(name, value);
    });
    let pairs = pairs.finish();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{pairs}") }
}

/// A trace, or a hop of it.
pub(super) fn trace_link(trace_id: &str, span_id: Option<&str>) -> String {
    let hop = span_id.map(|span| format!("#s-{span}")).unwrap_or_default();
    format!("/traces/{trace_id}{hop}")
}

/// A moment; 0 is one that is not known.
pub(super) fn time(nanos: u64) -> Markup {
    match nanos {
        0 => html! { span.muted { "time not known" } },
        _ => html! { time datetime=(iso(nanos, 9)) { (iso(nanos, 0)) } },
    }
}

/// How long something took, in the unit that fits.
pub(super) fn duration(nanos: u64) -> String {
    match nanos {
        0..1_000 => format!("{nanos} ns"),
        1_000..1_000_000 => format!("{}.{} \u{b5}s", nanos / 1_000, nanos / 100 % 10),
        1_000_000..1_000_000_000 => format!("{}.{} ms", nanos / 1_000_000, nanos / 100_000 % 10),
        _ => format!("{}.{} s", nanos / 1_000_000_000, nanos / 100_000_000 % 10),
    }
}

/// A number with its thousands apart.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (digit, left) in digits.chars().zip((0..digits.len()).rev()) {
        text.push(digit);
        if left > 0 && left % 3 == 0 {
            text.push('\u{202f}');
        }
    }
    text
}

/// "1 hop", "2 hops".
pub(super) fn counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", number(count), if count == 1 { "" } else { "s" })
}

/// A part of a whole, rounded down: all of it alone is 100 %.
pub(super) fn percent(part: u64, whole: u64) -> String {
    match u128::from(part) * 1000 / u128::from(whole.max(1)) {
        _ if whole == 0 => "\u{2013}".to_owned(),
        1000.. => "100 %".to_owned(),
        0 if part > 0 => "< 0.1 %".to_owned(),
        tenths => format!("{}.{} %", tenths / 10, tenths % 10),
    }
}

/// A name of a service, an operation or whoever: its direction of writing stays within.
pub(super) fn name(text: &str) -> Markup {
    match text {
        "" => html! { span.muted { "(no name)" } },
        _ => html! { bdi { (text) } },
    }
}

/// A sentence of ours: what stands in it between backticks is a name.
pub(super) fn prose(text: &str) -> Markup {
    html! {
        @for (part, is_name) in text.split('`').zip([false, true].into_iter().cycle()) {
            @if is_name { code { (name(part)) } } @else { (part) }
        }
    }
}

/// A service that calls; none is whoever is outside.
pub(super) fn caller(caller: Option<&str>) -> Markup {
    match caller.filter(|caller| !caller.is_empty()) {
        None => html! { span.outside { "outside" } },
        Some(caller) => name(caller),
    }
}

/// What a word of assurance means.
pub(super) const fn meaning(assurance: Assurance) -> &'static str {
    match assurance {
        Assurance::Verified => "A credential was validated at this very hop.",
        Assurance::Sealed => {
            "No credential travelled; a valid seal, bound to this trace, vouches for the identity."
        }
        Assurance::Asserted => "An identity is named, and nothing proves it.",
        Assurance::Refused => "A credential was presented and found bad.",
        Assurance::Anonymous => "There is positive evidence that there was no credential.",
        Assurance::Unknown => "There is no evidence either way.",
    }
}

/// Why a word of assurance is believed.
pub(super) const fn basis_meaning(basis: Basis) -> &'static str {
    match basis {
        Basis::Claimed => "The span says so, and anyone may send a span: not proven.",
        Basis::Reverified => "The seal on the span was checked again, here, with public keys: proven.",
        Basis::AuthenticatedSender => {
            "The sender proved by certificate or token that it may speak for that service: proven."
        }
    }
}

/// A basis in words.
pub(super) const fn basis_name(basis: Basis) -> &'static str {
    match basis {
        Basis::Claimed => "claimed",
        Basis::Reverified => "reverified",
        Basis::AuthenticatedSender => "authenticated sender",
    }
}

/// The figure of an assurance, 16 by 16: each has a shape of its own, so that none needs a colour.
pub(super) fn figure(assurance: Assurance) -> Markup {
    match assurance {
        Assurance::Verified => html! {
            circle.fill cx="8" cy="8" r="7" {}
            path.mark d="M4.6 8.3 7 10.7 11.5 5.8" {}
        },
        Assurance::Sealed => html! {
            path.fill d="M8 .8 14.3 4.4V11.6L8 15.2 1.7 11.6V4.4Z" {}
            circle.mark cx="8" cy="8" r="2.6" {}
        },
        Assurance::Asserted => html! {
            path.line d="M8 1.4 14.6 8 8 14.6 1.4 8Z" {}
            circle.dot cx="8" cy="8" r="1.6" {}
        },
        Assurance::Refused => html! {
            path.fill d="M5 1h6l4 4v6l-4 4H5l-4-4V5Z" {}
            path.mark d="M5.4 5.4 10.6 10.6M10.6 5.4 5.4 10.6" {}
        },
        Assurance::Anonymous => html! {
            rect.line x="2" y="2" width="12" height="12" rx="1.5" {}
            path.line d="M5 8H11" {}
        },
        Assurance::Unknown => html! {
            circle.line.dotted cx="8" cy="8" r="6.3" {}
            path.line d="M6.2 6.4a1.9 1.9 0 1 1 2.6 1.8c-.6.3-.8.6-.8 1.2" {}
            circle.dot cx="8" cy="11.4" r=".9" {}
        },
    }
}

/// An assurance: figure and word.
pub(super) fn assurance(assurance: Assurance) -> Markup {
    let word = assurance.as_str();
    html! {
        span class={ "assurance a-" (word) } title=(meaning(assurance)) {
            svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" { (figure(assurance)) }
            (word)
        }
    }
}

/// A basis: proven or not, and why.
pub(super) fn basis(basis: Basis) -> Markup {
    html! {
        span.basis.proven[basis.is_proven()] title=(basis_meaning(basis)) { (basis_name(basis)) }
    }
}

/// A severity.
pub(super) fn severity(word: &str) -> Markup {
    html! { span class={ "severity s-" (word) } { (word) } }
}

/// Severities, the gravest first.
pub(super) const SEVERITIES: [Severity; 4] =
    [Severity::High, Severity::Medium, Severity::Low, Severity::Info];

/// A principal and those who act for it, each leading to its trail.
pub(super) fn principal(who: Option<&Who>) -> Markup {
    let Some(Who { id, kind, issuer, tenant, actors }) = who else {
        return html! { span.muted { "none" } };
    };
    let actors = actors.iter().map(|actor| (&*actor.id, actor.kind.as_str()));
    identity(id, kind.as_str(), issuer.as_deref(), tenant.as_deref(), actors)
}

/// The same of a finding.
pub(super) fn read_principal(who: Option<&ReadPrincipal>) -> Markup {
    let Some(ReadPrincipal { id, kind, issuer, tenant, actors }) = who else {
        return html! { span.muted { "none" } };
    };
    let actors = actors.iter().map(|actor| (&*actor.id, &*actor.kind));
    identity(id, kind, issuer.as_deref(), tenant.as_deref(), actors)
}

/// Somebody whom who asks may not see.
fn withheld() -> Markup {
    html! { span.muted title="Whose identity it was is shown to the roles auditor and admin." { "withheld" } }
}

fn identity<'a>(
    id: &str,
    kind: &str,
    issuer: Option<&str>,
    tenant: Option<&str>,
    actors: impl Iterator<Item = (&'a str, &'a str)>,
) -> Markup {
    let trail = link("/principals", &[("principal", id), ("issuer", issuer.unwrap_or_default())]);
    html! {
        @if id.is_empty() { (withheld()) } @else { a.who href=(trail) { (name(id)) } }
        " " span.kind { (kind) }
        @if let Some(tenant) = tenant { " " span.muted { "of " (name(tenant)) } }
        @for (id, kind) in actors {
            " " span.actor { "through " @if id.is_empty() { (withheld()) } @else { (name(id)) } " " span.kind { (kind) } }
        }
    }
}

/// The choice of a period, as links to the same page.
pub(super) fn periods(path: &str, chosen: Period, rest: &[(&str, &str)]) -> Markup {
    html! {
        nav.periods aria-label="Period" {
            @for period in Period::EACH {
                @let query: Vec<_> = [("period", period.word())].iter().chain(rest).copied().collect();
                a href=(link(path, &query)) aria-current=[(period == chosen).then_some("true")] { (period.word()) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_people_read_them() {
        for (part, whole, text) in [
            (0, 0, "\u{2013}"),
            (0, 7, "0.0 %"),
            (1, 7, "14.2 %"),
            (1, 100_000, "< 0.1 %"),
            (99_999, 100_000, "99.9 %"),
            (7, 7, "100 %"),
        ] {
            assert_eq!(percent(part, whole), text);
        }
        assert_eq!(number(0), "0");
        assert_eq!(number(999), "999");
        assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(counted(1, "hop"), "1 hop");
        for (nanos, text) in
            [(12, "12 ns"), (1_540, "1.5 \u{b5}s"), (2_000_000, "2.0 ms"), (61_200_000_000, "61.2 s")]
        {
            assert_eq!(duration(nanos), text);
        }
    }

    #[test]
    fn times_and_addresses() {
        assert_eq!(iso(1_767_225_600_123_456_789, 0), "2026-01-01T00:00:00Z");
        assert_eq!(iso(1_767_229_261_123_456_789, 3), "2026-01-01T01:01:01.123Z");
        assert_eq!(link("/x", &[("a", "")]), "/x");
        assert_eq!(link("/x", &[("a", "b&c=\"d"), ("e", "<\u{e9}>")]), "/x?a=b%26c%3D%22d&e=%3C%C3%A9%3E");
    }
}
