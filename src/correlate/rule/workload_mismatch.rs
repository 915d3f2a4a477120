//! F27: the workload at the other end of the connection is not the one that called.

use std::collections::BTreeSet;

use super::{Check, Cx, Needs, Rule, Spec};
use crate::across::{Found, View};
use crate::field::Field;
use crate::finding::{Confidence, Finding, Severity, Subject};
use crate::hop::{Hop, HopKind};
use crate::record::{Service, Span};

pub(super) const SPEC: Spec = Spec {
    number: "F27",
    severity: Severity::High,
    needs: Needs::Mesh,
    meaning: "The certificate of the peer names another workload than the calling service's own, by its spans or by the \
              policy; or a call of an edge came in plain text while others of the same trace, or nearly all of the edge \
              within a window, came by mutual TLS.",
    fix: "Find out who holds that certificate, and let the callee accept named callers only; enforce strict mutual \
          TLS on the edge.",
    quieting: "Give each service an identity of its own; services that share one are not told apart. Where a service does \
               not say which workload it is, or may be several, declare that under `workloads`.",
    maps: &["CWE-290", "CWE-295", "CWE-319", "NIST SP 800-204A"],
    quiet: &[],
    check: Check::Both(check, plain_for_once),
};

const PEER: u128 = Field::PeerWorkload.bit() | Field::SourcePrincipal.bit();

fn check(cx: &Cx<'_>, found: &mut Vec<Finding>) {
    let mut encrypted = None;
    for hop in cx.hops.iter() {
        mismatch(cx, hop, found);
        plain(cx, hop, &mut encrypted, found);
    }
}

fn mismatch(cx: &Cx<'_>, hop: &Hop<'_>, found: &mut Vec<Finding>) {
    // A message comes from the broker, whoever sent it.
    if hop.kind == HopKind::Messaging {
        return;
    }
    let Some(caller) = cx.caller(hop) else { return };
    let Some(span) = cx.first_with(hop, PEER) else { return };
    let peer = span.get(Field::PeerWorkload).or_else(|| span.get(Field::SourcePrincipal)).and_then(workload);
    let Some(peer) = peer else { return };
    let exit = hop.exit.map(|exit| cx.trace.span(exit));
    let own = [Some(cx.entry(caller)), exit].into_iter().flatten().find_map(own_workload);
    // What is declared counts: that of the spans is the caller's own word.
    if cx.policy.runs_as(caller.service, peer).unwrap_or_else(|| own.is_none_or(|own| own == peer)) {
        return;
    }
    let mut finding = cx
        .finding_of(Rule::WorkloadMismatch, hop, "peer")
        .evidence("peer_workload", peer)
        .evidence("caller_workload", own.unwrap_or("as declared"))
        .message(format!(
            "`{}` was called by another workload than that of `{}`",
            hop.service.name, caller.service.name
        ));
    if !hop.via.is_empty() {
        finding = finding.unsure(Confidence::Likely, "the peer may be a proxy on the way");
    }
    found.push(finding);
}

/// A service's own workload id: its own word, or what its mesh calls the side it received on.
fn own_workload<'t>(span: &Span<'t>) -> Option<&'t str> {
    span.get(Field::Workload).or_else(|| span.get(Field::DestinationPrincipal)).and_then(workload)
}

/// A workload id without scheme, out of a SPIFFE ID, Istio's short form of one, or an Envoy
/// `x-forwarded-client-cert` header, whose last element the nearest proxy wrote.
fn workload(text: &str) -> Option<&str> {
    let nearest = text.rsplit(',').next().unwrap_or(text);
    let uri =
        nearest.split(';').find_map(|pair| pair.trim().strip_prefix("URI=")).map(|uri| uri.trim_matches('"'));
    let is_header = nearest.contains('=');
    let id = if is_header { uri? } else { text };
    let id = id.strip_prefix("spiffe://").unwrap_or(id);
    (!id.is_empty() && id != "unknown").then_some(id)
}

/// Edges of a trace over which calls came by mutual TLS.
type Edges<'t> = BTreeSet<(Service<'t>, Service<'t>)>;

fn plain<'a>(cx: &Cx<'a>, hop: &Hop<'_>, encrypted: &mut Option<Edges<'a>>, found: &mut Vec<Finding>) {
    if cx.entry(hop).get(Field::ConnectionSecurity) != Some("none") {
        return;
    }
    let Some(edge) = edge_of(cx, hop) else { return };
    let encrypted = encrypted.get_or_insert_with(|| {
        let by_tls = |hop: &&Hop<'_>| cx.entry(hop).get(Field::ConnectionSecurity) == Some("mutual_tls");
        cx.hops.iter().filter(by_tls).filter_map(|hop| edge_of(cx, hop)).collect()
    });
    if encrypted.contains(&edge) {
        found.push(
            cx.finding_of(Rule::WorkloadMismatch, hop, "plain")
                .evidence("connection_security", "none")
                .message(format!(
                    "a call to `{}` came in plain text, others by mutual TLS",
                    hop.service.name
                )),
        );
    }
}

/// Calls from which on mutual TLS is the usual way of an edge, at this share.
const ENOUGH: u64 = 20;
const USUAL: f64 = 0.9;

fn plain_for_once(view: &View<'_>, found: &mut Vec<Found>) {
    for wire in &view.wires {
        let all = wire.mutual + wire.plain;
        let Some(example) =
            wire.example.filter(|_| all >= ENOUGH && wire.mutual as f64 >= USUAL * all as f64)
        else {
            continue;
        };
        let (caller, service) = (wire.caller.as_service(), wire.service.as_service());
        let subject = Subject::Operation { service, operation: "", window: wire.window };
        // Of services by one name, the one that called.
        let caller_key = [caller.namespace, caller.name, caller.environment].join("\n");
        let mut finding = Finding::new(Rule::WorkloadMismatch, subject, &caller_key)
            .evidence("by_mutual_tls", wire.mutual.to_string())
            .evidence("in_plain_text", wire.plain.to_string())
            .evidence("example_trace", example.trace_id.to_string())
            .evidence("example_span", example.span_id.to_string())
            .unsure(Confidence::Likely, "a probe, or a job without a sidecar, looks the same")
            .message(format!(
                "`{}` calls `{}` by mutual TLS, and did so in plain text",
                caller.name, service.name
            ));
        service.name.clone_into(&mut finding.service);
        finding.operation.clone_from(&wire.operation);
        finding.caller = Some(caller.name.to_owned());
        finding.at = example.at;
        found.push((finding, None));
    }
}

fn edge_of<'a>(cx: &Cx<'a>, hop: &Hop<'_>) -> Option<(Service<'a>, Service<'a>)> {
    Some((cx.caller(hop)?.service, cx.entry(hop).service))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{found, found_across, found_by, traces};

    #[test]
    fn table() {
        let a = "spiffe://example.org/a";
        for (name, caller, callee, expected) in [
            ("its own", "hopseal.workload=spiffe://example.org/a", format!("hopseal.peer_workload={a}"), &[][..]),
            (
                "another's",
                "hopseal.workload=spiffe://example.org/a",
                "hopseal.peer_workload=spiffe://example.org/debug-shell".to_owned(),
                &["3: high certain"],
            ),
            (
                "in Istio's short form",
                "hopseal.workload=spiffe://cluster.local/ns/shop/sa/a",
                "source.principal=cluster.local/ns/shop/sa/a".to_owned(),
                &[],
            ),
            (
                "seen by the mesh on both sides",
                "destination.principal=spiffe://cluster.local/ns/shop/sa/a",
                "source.principal=spiffe://cluster.local/ns/shop/sa/b".to_owned(),
                &["3: high certain"],
            ),
            ("not known to the mesh", "hopseal.workload=spiffe://example.org/a", "source.principal=unknown".to_owned(), &[]),
            ("the caller says nothing", "", format!("hopseal.peer_workload={a}"), &[]),
            ("the callee says nothing", "hopseal.workload=spiffe://example.org/a", String::new(), &[]),
            (
                "the certificate that Envoy forwards",
                "hopseal.workload=spiffe://example.org/a",
                "http.request.header.x-forwarded-client-cert=By=spiffe://example.org/b;Hash=00;URI=spiffe://example.org/a"
                    .to_owned(),
                &[],
            ),
            (
                "the nearest of two",
                "hopseal.workload=spiffe://example.org/a",
                "http.request.header.x-forwarded-client-cert=URI=spiffe://example.org/a,By=spiffe://example.org/b;URI=spiffe://example.org/x"
                    .to_owned(),
                &["3: high certain"],
            ),
        ] {
            let trace = format!("a SERVER / {caller}\n  a CLIENT call\n    b SERVER / {callee}");
            assert_eq!(found(Rule::WorkloadMismatch, &trace), expected, "{name}");
        }
    }

    #[test]
    fn what_is_declared_counts() {
        const POLICY: &str = "workloads:\n  - {service: a, id: 'spiffe://example.org/a'}\n  \
                              - {service: a, id: 'spiffe://example.org/a-*'}";
        for (caller, peer, expected) in [
            ("", "a", &[][..]),
            ("", "a-canary", &[]),
            ("", "b", &["3: high certain"]),
            ("hopseal.workload=spiffe://example.org/b", "b", &["3: high certain"]),
            ("hopseal.workload=spiffe://example.org/b", "a", &[]),
        ] {
            let trace = format!(
                "a SERVER / {caller}\n  a CLIENT call\n    b SERVER / hopseal.peer_workload=spiffe://example.org/{peer}"
            );
            assert_eq!(found_by(Rule::WorkloadMismatch, &trace, POLICY), expected, "{caller} {peer}");
        }
    }

    #[test]
    fn a_message_comes_from_the_broker() {
        let trace = "a SERVER / hopseal.workload=spiffe://example.org/a\n  a PRODUCER send\n    \
                     b CONSUMER take hopseal.peer_workload=spiffe://example.org/broker";
        assert_eq!(found(Rule::WorkloadMismatch, trace), Vec::<String>::new());
    }

    #[test]
    fn plain_text_where_other_calls_are_encrypted() {
        let call = |security: &str| {
            format!("  a CLIENT call\n    b SERVER / connection.security_policy={security}\n")
        };
        for (calls, expected) in [
            ([call("mutual__tls"), call("mutual__tls")], &[][..]),
            ([call("mutual__tls"), call("none")], &["5: high certain"]),
            ([call("none"), call("none")], &[]),
        ] {
            let trace = format!("a SERVER /\n{}{}", calls[0], calls[1]);
            assert_eq!(found(Rule::WorkloadMismatch, &trace), expected, "{calls:?}");
        }
    }

    #[test]
    fn plain_text_where_mutual_tls_is_usual() {
        let call = |times: u64, security: &str, from: u64| {
            let security = if security.is_empty() {
                String::new()
            } else {
                format!("connection.security_policy={security}")
            };
            let text = format!("a SERVER GET /\n  a CLIENT GET\n    b SERVER GET /b {security}");
            traces(times, &text).replace("@trace=", &format!("@trace={from}"))
        };
        let other = call(40, "none", 9).replace("    b SERVER", "    c SERVER");
        for (name, text, expected) in [
            ("once", call(30, "mutual__tls", 1) + &call(1, "none", 2), &["GET /b: high likely"][..]),
            ("as often as not", call(20, "mutual__tls", 1) + &call(20, "none", 2), &[]),
            ("too few to say", call(10, "mutual__tls", 1) + &call(1, "none", 2), &[]),
            ("never", call(30, "mutual__tls", 1), &[]),
            ("it is not known how", call(30, "mutual__tls", 1) + &call(1, "", 2), &[]),
            ("another edge", call(30, "mutual__tls", 1) + &other, &[]),
        ] {
            assert_eq!(found_across(Rule::WorkloadMismatch, &text), expected, "{name}");
        }
    }

    /// What the trace itself shows is told of once.
    #[test]
    fn plain_text_beside_mutual_tls_is_found_in_its_trace_alone() {
        let both = "a SERVER GET / @trace=700\n  a CLIENT GET @trace=700\n    b SERVER GET /b connection.security_policy=none @trace=700\n  \
                    a CLIENT GET @trace=700\n    b SERVER GET /b connection.security_policy=mutual__tls @trace=700\n";
        let usual = traces(
            30,
            "a SERVER GET /\n  a CLIENT GET\n    b SERVER GET /b connection.security_policy=mutual__tls",
        );
        assert_eq!(found_across(Rule::WorkloadMismatch, &(usual + both)), ["GET /b: high certain"]);
    }
}
