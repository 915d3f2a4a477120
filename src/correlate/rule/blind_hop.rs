//! F20: a call went to a service of the house that no span was ever seen of.

use super::{Check, Cx, Needs, Rule, Spec, writes};
use crate::catalogue::Catalogue;
use crate::field::Field;
use crate::finding::{Confidence, Finding, Severity};
use crate::policy::is_inside;
use crate::record::Span;
use crate::sink::{SpanKind, Status};
use crate::suppress::unless_busy;
use crate::trace::{SpanIx, Trace};

pub(super) const SPEC: Spec = Spec {
    number: "F20",
    severity: Severity::Info,
    needs: Needs::Spans,
    meaning: "A call was answered by an internal host that sends no spans: what it did, and for whom, cannot be seen.",
    fix: "Instrument the called service, or repair its exporter.",
    quieting: "Switch the rule off, or give the catalogue of a run that saw the service.",
    maps: &["OWASP API9:2023", "CWE-778"],
    quiet: &[],
    check: Check::Trace(check),
};

fn check(cx: &Cx<'_>, found: &mut Vec<Finding>) {
    // What answered may be on its way.
    if cx.trace.grade.crowded {
        return;
    }
    for (ix, host) in unanswered_calls(cx.trace) {
        if !is_known(cx.catalogue, host) && !is_seen(cx.trace, host) {
            found.push(unless_busy(cx, finding(cx, ix, host)));
        }
    }
}

/// Whether a verdict depends on which services are seen in other traces, besides those that are `known` by now.
pub(crate) fn rests_on_others(trace: &Trace<'_>, known: Option<&Catalogue>) -> bool {
    let is_new = |host: &str| known.is_none_or(|known| !is_known(known, host)) && !is_seen(trace, host);
    unanswered_calls(trace).any(|(_, host)| is_new(host))
}

/// Names of services of which nothing was seen, each of which would explain a call should it turn up.
pub(crate) fn unseen<'a>(trace: &'a Trace<'a>, known: &Catalogue) -> impl Iterator<Item = &'a str> {
    let calls = unanswered_calls(trace).filter(|(_, host)| !is_known(known, host) && !is_seen(trace, host));
    calls.flat_map(|(_, host)| [host, first_label(host)])
}

/// Calls to services of the house that no span answers, with the hosts called.
fn unanswered_calls<'a>(trace: &'a Trace<'a>) -> impl Iterator<Item = (SpanIx, &'a str)> {
    trace.indices().filter_map(move |ix| {
        let span = trace.span(ix);
        if span.kind != SpanKind::Client || !is_call(span) || !trace.children(ix).is_empty() {
            return None;
        }
        let host = span.get(Field::PeerService).or_else(|| writes::host(span))?;
        is_internal(host).then_some((ix, host))
    })
}

/// Whether anything of the service at a host was seen in any trace.
fn is_known(catalogue: &Catalogue, host: &str) -> bool {
    catalogue.knows(host) || catalogue.knows(first_label(host))
}

fn first_label(host: &str) -> &str {
    host.split('.').next().unwrap_or(host)
}

fn finding(cx: &Cx<'_>, ix: SpanIx, host: &str) -> Finding {
    let span = cx.trace.span(ix);
    let hop = cx.hops.of_span(ix).map(|hop| cx.hops.get(hop));
    let port = span.get(Field::ServerPort);
    let mut finding = cx
        .finding_at(Rule::BlindHop, ix, "")
        .before(hop.and_then(|hop| hop.identity.principal.as_ref()))
        .evidence("server", port.map_or(host.to_owned(), |port| format!("{host}:{port}")))
        .unsure(Confidence::Likely, "its spans may be sampled away or sent elsewhere")
        .message(format!("`{}` called `{host}`, of which no span was ever seen", span.service.name));
    // The edge is to the service that was not seen.
    finding.caller = Some(std::mem::replace(&mut finding.service, host.to_owned()));
    finding
}

/// A call to a service, and one that was answered; databases, caches and brokers send no spans by nature.
fn is_call(span: &Span<'_>) -> bool {
    const CALL: u128 = Field::HttpMethod.bit() | Field::UrlFull.bit() | Field::RpcSystem.bit();
    const OTHER: u128 = Field::DbSystem.bit() | Field::DbQuery.bit() | Field::MessagingSystem.bit();
    let answered = span.has(Field::HttpStatus) || span.has(Field::RpcStatus) || span.status != Status::Error;
    span.has_any(CALL) && !span.has_any(OTHER) && answered
}

/// A name that only resolves inside. An address says nothing of who answers there.
fn is_internal(host: &str) -> bool {
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    let local = host == "localhost" || host.is_empty();
    !is_address && !local && is_inside(host)
}

/// Whether any span of a service by that name was seen in this trace.
fn is_seen(trace: &Trace<'_>, host: &str) -> bool {
    let first = first_label(host);
    trace.spans().iter().any(|span| span.service.name == host || span.service.name == first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;
    use crate::testing::{found, judge};

    #[test]
    fn the_edge_is_to_what_was_not_seen() {
        let findings = judge(
            "gw SERVER GET /\n  gw CLIENT GET http.method=GET server.address=vault",
            &Policy::default(),
        )
        .findings;
        let edge = findings
            .iter()
            .find(|it| it.rule == Rule::BlindHop)
            .map(|it| (it.caller.as_deref(), &*it.service));
        assert_eq!(edge, Some((Some("gw"), "vault")));
    }

    #[test]
    fn table() {
        for (name, exit, below, expected) in [
            ("never seen", "http.method=GET server.address=vault", "", &["2: info likely"][..]),
            ("by the URL", "http.method=GET http.url=http://vault:8080/x", "", &["2: info likely"]),
            (
                "in a cluster",
                "rpc.system=grpc server.address=vault.shop.svc.cluster.local",
                "",
                &["2: info likely"],
            ),
            ("seen elsewhere", "http.method=GET server.address=orders", "", &[]),
            ("seen elsewhere, in a cluster", "http.method=GET server.address=orders.shop.svc", "", &[]),
            ("seen elsewhere, and no hop", "http.method=GET server.address=stock", "", &[]),
            ("answered", "http.method=GET server.address=vault", "\n    safe SERVER GET", &[]),
            ("a third party", "http.method=GET server.address=api.example.com", "", &[]),
            ("an address", "http.method=GET server.address=10.0.0.7", "", &[]),
            ("itself", "http.method=GET server.address=localhost", "", &[]),
            ("a database", "db.system=postgresql server.address=db", "", &[]),
            ("a database over HTTP", "db.system=elasticsearch http.method=GET server.address=es", "", &[]),
            ("not reached", "http.method=GET server.address=vault @status=error", "", &[]),
        ] {
            let trace = format!(
                "gw SERVER GET /\n  gw CLIENT GET {exit}{below}\norders SERVER GET / @trace=2\nstock INTERNAL work @parent=99 @trace=3"
            );
            assert_eq!(found(Rule::BlindHop, &trace), expected, "{name}");
        }
    }
}
