//! F20: a call went to a service of the house that no span was ever seen of.

use super::{Check, Cx, Needs, Rule, Spec, writes};
use crate::field::Field;
use crate::finding::{Confidence, Finding, Severity};
use crate::record::Span;
use crate::sink::{SpanKind, Status};
use crate::trace::SpanIx;

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

/// Endings of names that only resolve inside.
const INSIDE: [&str; 5] = [".svc", ".svc.cluster.local", ".cluster.local", ".internal", ".local"];

fn check(cx: &Cx<'_>, found: &mut Vec<Finding>) {
    for ix in cx.trace.indices() {
        let span = cx.trace.span(ix);
        if span.kind != SpanKind::Client || !is_call(span) || !cx.trace.children(ix).is_empty() {
            continue;
        }
        let Some(host) = span.get(Field::PeerService).or_else(|| writes::host(span)) else { continue };
        if !is_internal(host) || is_seen(cx, host) {
            continue;
        }
        found.push(finding(cx, ix, host));
    }
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
    finding.caller = Some(span.service.name.to_owned());
    finding
}

/// A call to a service, and one that was answered; databases, caches and brokers send no spans by nature.
fn is_call(span: &Span<'_>) -> bool {
    const CALL: u128 = Field::HttpMethod.bit() | Field::UrlFull.bit() | Field::RpcSystem.bit();
    const OTHER: u128 = Field::DbSystem.bit() | Field::DbQuery.bit() | Field::MessagingSystem.bit();
    let answered = span.has(Field::HttpStatus) || span.has(Field::RpcStatus) || span.status != Status::Error;
    span.has_any(CALL) && !span.has_any(OTHER) && answered
}

/// A name without a dot, or one that ends as cluster names do. An address says nothing of who answers there.
fn is_internal(host: &str) -> bool {
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    let local = host == "localhost" || host.is_empty();
    !is_address && !local && (!host.contains('.') || INSIDE.iter().any(|ending| host.ends_with(ending)))
}

/// Whether any span of a service by that name was seen, in this trace or another.
fn is_seen(cx: &Cx<'_>, host: &str) -> bool {
    let first = host.split('.').next().unwrap_or(host);
    let sends = |span: &Span<'_>| span.service.name == host || span.service.name == first;
    cx.catalogue.knows(host) || cx.catalogue.knows(first) || cx.trace.spans().iter().any(sends)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::found;

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
            ("answered", "http.method=GET server.address=vault", "\n    safe SERVER GET", &[]),
            ("a third party", "http.method=GET server.address=api.example.com", "", &[]),
            ("an address", "http.method=GET server.address=10.0.0.7", "", &[]),
            ("itself", "http.method=GET server.address=localhost", "", &[]),
            ("a database", "db.system=postgresql server.address=db", "", &[]),
            ("a database over HTTP", "db.system=elasticsearch http.method=GET server.address=es", "", &[]),
            ("not reached", "http.method=GET server.address=vault @status=error", "", &[]),
        ] {
            let trace =
                format!("gw SERVER GET /\n  gw CLIENT GET {exit}{below}\norders SERVER GET / @trace=2");
            assert_eq!(found(Rule::BlindHop, &trace), expected, "{name}");
        }
    }
}
