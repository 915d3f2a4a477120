//! F17: identity baggage left the house.

use super::named::MOST;
use super::{Check, Cx, Needs, Rule, Spec, baggage, writes};
use crate::field::Field;
use crate::finding::{Confidence, Finding, Severity};
use crate::sink::SpanKind;
use crate::trace::SpanIx;

pub(super) const SPEC: Spec = Spec {
    number: "F17",
    severity: Severity::High,
    needs: Needs::Identity,
    meaning: "A request to a host outside carried baggage that names a user or holds a seal. Low where the crate held \
              it back.",
    fix: "Let identity leave only to hosts on the egress list; for all others strip baggage at the client or at the \
          egress proxy.",
    quieting: "Declare hosts of your own, and partners that may see identities, under `destinations`.",
    maps: &["OWASP API10:2023", "CWE-201", "CWE-359", "T1567"],
    quiet: &[],
    check: Check::Trace(check),
};

fn check(cx: &Cx<'_>, found: &mut Vec<Finding>) {
    const SIGNS: u128 = Field::SentBaggage.bit() | Field::LeakStopped.bit();
    for ix in cx.trace.indices() {
        let span = cx.trace.span(ix);
        if !span.has_any(SIGNS) {
            continue;
        }
        if span.get(Field::LeakStopped) == Some("true") {
            found.push(held_back(cx, ix));
        } else if matches!(span.kind, SpanKind::Client | SpanKind::Producer) {
            found.extend(leak(cx, ix));
        }
    }
}

fn held_back(cx: &Cx<'_>, ix: SpanIx) -> Finding {
    let span = cx.trace.span(ix);
    let mut finding = about(cx, ix).severity(Severity::Low).message(format!(
        "`{}` was about to send identity outside; the crate held it back",
        span.service.name
    ));
    if let Some(host) = writes::host(span) {
        finding = finding.evidence("destination", host);
    }
    finding
}

fn leak(cx: &Cx<'_>, ix: SpanIx) -> Option<Finding> {
    let span = cx.trace.span(ix);
    let host = writes::host(span)?;
    if cx.policy.trusts_destination(host) {
        return None;
    }
    let mut members: Vec<&str> =
        baggage::members(span).map(|(name, _)| name).filter(|name| tells_who(cx, name)).take(MOST).collect();
    if members.is_empty() || writes::answers(cx, ix) || is_answered_from(cx, host) {
        return None;
    }
    members.sort_unstable();
    members.dedup();
    let mut finding = about(cx, ix)
        .evidence("destination", host)
        .evidence("members", members.join(", "))
        .message(format!("`{}` sent identity baggage to a host outside", span.service.name));
    if !cx.policy.declares_destinations() {
        finding =
            finding.unsure(Confidence::Likely, "no destinations are declared: the host may be one's own");
    }
    Some(finding)
}

/// Whether a baggage member says who acts: one of the crate's, or one whose name is an attribute that does.
fn tells_who(cx: &Cx<'_>, name: &str) -> bool {
    name.starts_with("hopseal.")
        || cx
            .dialects
            .meaning(name)
            .field
            .is_some_and(|field| field.names_principal() || field == Field::Session)
}

/// Whether some service of the trace says that it answers under that host.
fn is_answered_from(cx: &Cx<'_>, host: &str) -> bool {
    cx.hops.iter().take(MOST).any(|hop| {
        let entry = cx.entry(hop);
        entry.service.name.eq_ignore_ascii_case(host)
            || writes::host(entry).is_some_and(|own| own.eq_ignore_ascii_case(host))
    })
}

fn about(cx: &Cx<'_>, ix: SpanIx) -> Finding {
    let hop = cx.hops.of_span(ix).map(|hop| cx.hops.get(hop));
    cx.finding_at(Rule::IdentityLeakedOut, ix, "").here(hop.and_then(|hop| hop.identity.principal.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{found, found_by};

    #[test]
    fn table() {
        const BAGGAGE: &str = "http.request.header.baggage";
        for (exit, expected) in [
            (
                format!("server.address=ads.example.com {BAGGAGE}=user.id=u-1,region=eu"),
                &["2: high likely"][..],
            ),
            (format!("server.address=ads.example.com {BAGGAGE}=hopseal.seal=x"), &["2: high likely"]),
            (
                format!("url.full=https://ads.example.com:8443/x {BAGGAGE}=region=eu,enduser.id=u-1;p=1"),
                &["2: high likely"],
            ),
            (format!("server.address=ads.example.com {BAGGAGE}=region=eu,release=14"), &[]),
            (format!("server.address=orders {BAGGAGE}=user.id=u-1"), &[]),
            (format!("server.address=10.1.2.3 {BAGGAGE}=user.id=u-1"), &[]),
            (format!("server.address=127.0.0.1:8080 {BAGGAGE}=user.id=u-1"), &[]),
            // The host that the trace itself answers from.
            (format!("server.address=shop.example.com {BAGGAGE}=user.id=u-1"), &[]),
            (format!("{BAGGAGE}=user.id=u-1"), &[]),
            ("server.address=ads.example.com".into(), &[]),
            ("server.address=ads.example.com hopseal.leak_stopped=true".into(), &["2: low certain"]),
            ("server.address=ads.example.com hopseal.leak_stopped=false".into(), &[]),
        ] {
            let trace = format!("gw SERVER GET / server.address=shop.example.com\n  gw CLIENT GET {exit}");
            assert_eq!(found(Rule::IdentityLeakedOut, &trace), expected, "{exit}");
        }
    }

    #[test]
    fn what_arrived_or_is_answered_in_the_trace_has_not_left() {
        for trace in [
            "gw SERVER GET / server.address=shop.example.com http.request.header.baggage=user.id=u-1",
            "gw CLIENT GET server.address=api.example.com http.request.header.baggage=user.id=u-1\n  b SERVER GET /",
        ] {
            assert_eq!(found(Rule::IdentityLeakedOut, trace), [""; 0], "{trace}");
        }
    }

    #[test]
    fn by_policy() {
        const POLICY: &str = "destinations: {internal: ['*.shop.example'], partners: [api.partner.example]}";
        for (host, expected) in [
            ("cdn.shop.example", &[][..]),
            ("api.partner.example", &[]),
            ("ads.example.com", &["1: high certain"]),
        ] {
            let trace =
                format!("gw CLIENT GET server.address={host} http.request.header.baggage=user.id=u-1");
            assert_eq!(found_by(Rule::IdentityLeakedOut, &trace, POLICY), expected, "{host}");
        }
    }
}
