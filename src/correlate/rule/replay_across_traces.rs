//! F13: what is good for one request opened several.

use super::{Check, Needs, Rule, Spec};
use crate::across::{Found, OnceKind, Seen, View};
use crate::finding::{Confidence, Finding, Severity, Subject};

pub(super) const SPEC: Spec = Spec {
    number: "F13",
    severity: Severity::High,
    needs: Needs::Crate,
    meaning: "A one-time credential or a transaction was accepted in two traces that no link connects; or one bearer \
              credential was used by two clients at the same time.",
    fix: "Remember one-time ids until they end and refuse them the second time; bind bearer credentials to their client \
          (DPoP, RFC 9449, or certificates, RFC 8705).",
    quieting: "Declare the client under `service_principals` if it is used from many places by design.",
    maps: &["OWASP API2:2023", "CWE-294", "T1550.001", "T1539"],
    quiet: &[],
    check: Check::Across(check),
};

fn check(view: &View<'_>, found: &mut Vec<Found>) {
    for seen in &view.seen {
        let finding = match seen.kind {
            OnceKind::Bearer => shared(seen),
            OnceKind::OneTime | OnceKind::Transaction => replayed(seen),
        };
        found.extend(finding.map(|finding| (finding, None)));
    }
}

fn replayed(seen: &Seen) -> Option<Finding> {
    let mut traces = seen.unrelated();
    // Every hop of a transaction shows it: of one whose link was lost, it would be told again and again.
    if seen.kind == OnceKind::Transaction {
        traces.retain(|trace| !trace.torn);
    }
    let [first, .., last] = traces[..] else { return None };
    let names: Vec<String> = traces.iter().map(|trace| trace.trace_id.to_string()).collect();
    let what = if seen.kind == OnceKind::OneTime { "a one-time credential" } else { "one transaction" };
    let finding = describe(seen)
        .evidence("traces", names.join(", "))
        .evidence("gap_ms", ((last.at - first.at) / 1_000_000).to_string())
        .message(format!(
            "`{}` and others accepted {what} in {} traces",
            seen.place.service.as_service().name,
            traces.len()
        ));
    Some(match seen.kind {
        OnceKind::Transaction => finding.unsure(
            Confidence::Likely,
            "a trace that was restarted on the way without a link looks the same",
        ),
        OnceKind::OneTime if traces.iter().any(|trace| trace.torn) => finding
            .unsure(Confidence::Likely, "spans are missing, and with them perhaps a link between the traces"),
        OnceKind::OneTime | OnceKind::Bearer => finding,
    })
}

fn shared(seen: &Seen) -> Option<Finding> {
    let clients = seen.clients.at_once();
    (clients >= 2).then(|| {
        describe(seen)
            .severity(Severity::Medium)
            .evidence("clients", clients.to_string())
            .unsure(Confidence::Likely, "one person may use two programs with one token, from two networks")
            .message(format!(
                "`{}` accepted one bearer credential from {clients} clients at the same time",
                seen.place.service.as_service().name
            ))
    })
}

fn describe(seen: &Seen) -> Finding {
    let service = seen.place.service.as_service();
    let subject = Subject::Operation { service, operation: &seen.place.operation, window: 0 };
    let mut finding = Finding::new(Rule::ReplayAcrossTraces, subject, &format!("{:032x}", seen.key))
        .evidence("what", seen.kind.as_str())
        .evidence("example_span", seen.first.span_id.to_string());
    service.name.clone_into(&mut finding.service);
    finding.operation.clone_from(&seen.place.operation);
    finding.at = seen.first.at;
    finding
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::found_across;

    const SEALED: &str = "hopseal.sub=a hopseal.assurance=sealed hopseal.txn=t";

    #[test]
    fn table() {
        let crate_ = "hopseal.sub=a hopseal.assurance=verified hopseal.token_fingerprint=f1";
        let once = format!("{crate_} hopseal.one_time=true");
        let gw = |attributes: &str, trace: u64| format!("gw SERVER GET / {attributes} @trace={trace}\n");
        for (name, text, expected) in [
            ("twice", gw(&once, 1) + &gw(&once, 2), &["GET /: high certain"][..]),
            ("twice in one trace", gw(&once, 1) + &gw(&once, 1), &[]),
            ("the second was refused", gw(&once, 1) + &gw(&(once.clone() + " http.status_code=401"), 2), &[]),
            ("the first had failed", gw(&(once.clone() + " http.status_code=503"), 1) + &gw(&once, 2), &[]),
            ("linked", gw(&once, 1) + &gw(&format!("{once} @link=1/1"), 2), &[]),
            ("a bearer token", gw(crate_, 1) + &gw(crate_, 2), &[]),
            (
                "one transaction",
                gw("hopseal.sub=a hopseal.assurance=sealed hopseal.txn=t", 1)
                    + &gw("hopseal.sub=a hopseal.assurance=sealed hopseal.txn=t", 2),
                &["GET /: high likely"],
            ),
            (
                "one time, and a link may be lost",
                gw(&once, 1) + &gw(&once, 2) + "gw INTERNAL work @parent=99 @trace=2\n",
                &["GET /: high likely"],
            ),
            (
                "a transaction where a link may be lost",
                gw(SEALED, 1) + &gw(SEALED, 2) + "gw INTERNAL work @parent=99 @trace=2\n",
                &[],
            ),
            (
                "a transaction that came by a message of nobody's",
                gw(SEALED, 1) + &gw(&format!("{SEALED} @link=9/9"), 2),
                &[],
            ),
            (
                "a chain of messages whose middle lost the span that links",
                gw(SEALED, 1)
                    + "mid PRODUCER publish @parent=99 @trace=2\n"
                    + &gw(&format!("{SEALED} @link=2/2"), 3),
                &[],
            ),
            (
                "a chain of messages",
                gw(SEALED, 1)
                    + &format!(
                        "mid CONSUMER process {SEALED} @link=1/1 @trace=2\n  mid PRODUCER publish @trace=2\n"
                    )
                    + &gw(&format!("{SEALED} @link=2/3"), 3),
                &[],
            ),
            (
                "two consumers of one message",
                gw("hopseal.sub=a hopseal.assurance=sealed hopseal.txn=t @link=9/9", 1)
                    + &gw("hopseal.sub=a hopseal.assurance=sealed hopseal.txn=t @link=9/9", 2),
                &[],
            ),
        ] {
            assert_eq!(found_across(Rule::ReplayAcrossTraces, &text), expected, "{name}");
        }
    }

    #[test]
    fn one_bearer_token_and_two_clients() {
        let request = |client: &str, agent: &str, at: u64, trace: u64| {
            format!(
                "gw SERVER GET / hopseal.sub=a hopseal.assurance=verified hopseal.token_fingerprint=f1 \
                 client.address={client} user_agent.original={agent} @start={at} @trace={trace}\n"
            )
        };
        for (name, second, agent, times, expected) in [
            ("at once", "2.2.2.2", "curl/8", [10, 20, 30, 40], &["GET /: medium likely"][..]),
            ("one after the other", "2.2.2.2", "curl/8", [10, 30, 20, 40], &[]),
            ("a phone that changes networks", "2.2.2.2", "Phone/2", [10, 20, 30, 40], &[]),
            ("two programs on one machine", "1.1.1.1", "curl/8", [10, 20, 30, 40], &[]),
        ] {
            let [a, b, c, d] = times;
            let text = request("1.1.1.1", "Phone/1", a, 1)
                + &request(second, agent, b, 2)
                + &request("1.1.1.1", "Phone/1", c, 3)
                + &request(second, agent, d, 4);
            assert_eq!(found_across(Rule::ReplayAcrossTraces, &text), expected, "{name}");
        }
    }
}
