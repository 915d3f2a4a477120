//! F38: a credential or seal crossed a network in plain text.

use hopseal_identity::Assurance;

use super::{Check, Cx, Needs, Rule, Spec};
use crate::credential::Leak;
use crate::field::Field;
use crate::finding::{Confidence, Finding, Severity};
use crate::hop::Hop;
use crate::record::Span;

pub(super) const SPEC: Spec = Spec {
    number: "F38",
    severity: Severity::Medium,
    needs: Needs::Identity,
    meaning: "A token or seal crossed this hop over plain HTTP: nothing shows TLS, no mesh is declared, and the two \
              ends are not on one machine.",
    fix: "Use https between the two, or put both into the mesh.",
    quieting: "Declare the service under `mesh`, or send `tls.protocol.version` or `connection.security_policy` where \
               TLS ends at a proxy.",
    maps: &["OWASP API8:2023", "CWE-319", "CWE-523", "T1040"],
    quiet: &[],
    check: Check::Hop(check),
};

/// What shows that a credential or a seal crossed.
const CARRIED: u128 = Field::Assurance.bit() | Field::Seal.bit() | Field::Leak.bit();
/// Methods of a verification that needs nothing to cross.
const NOT_CARRIED: [&str; 3] = ["x509_svid", "proxy", "framework"];

fn check(cx: &Cx<'_>, hop: &Hop<'_>, found: &mut Vec<Finding>) {
    let entry = cx.entry(hop);
    let exit = hop.exit.map(|exit| cx.trace.span(exit));
    let Some(what) = carried(hop, entry, exit) else { return };
    let Some(scheme) = plain(entry, exit) else { return };
    if is_encrypted(entry) || exit.is_some_and(is_encrypted) || is_loopback(entry, exit) {
        return;
    }
    if cx.policy.is_in_mesh(hop.service) {
        return;
    }
    let caller = cx.caller(hop).map(|caller| caller.service.name);
    let mut finding = cx
        .finding(Rule::IdentityOverPlaintext, hop)
        .evidence("carried", what)
        .evidence("plain", scheme)
        .evidence("to", hop.service.name)
        .message(format!("a {what} came to `{}` over plain HTTP", hop.service.name));
    if let Some(caller) = caller {
        finding = finding.evidence("from", caller);
    }
    if exit.is_none() || !hop.via.is_empty() {
        finding = finding.unsure(Confidence::Likely, "TLS may have ended at a proxy in front of the service");
    }
    found.push(finding);
}

/// What shows plain HTTP. The client's word comes first: a server behind a proxy does not see what the client used.
fn plain(entry: &Span<'_>, exit: Option<&Span<'_>>) -> Option<&'static str> {
    const SCHEMES: u128 = Field::UrlScheme.bit() | Field::UrlFull.bit();
    let scheme = |span: &Span<'_>| -> Option<bool> {
        if !span.has_any(SCHEMES) {
            return None;
        }
        let full = || Some(span.get(Field::UrlFull)?.split_once("://")?.0);
        Some(span.get(Field::UrlScheme).or_else(full)?.eq_ignore_ascii_case("http"))
    };
    match (exit.and_then(scheme), scheme(entry)) {
        (Some(true), None | Some(true)) => Some("scheme of the client"),
        (None, Some(true)) => Some("scheme of the server"),
        _ => None,
    }
}

/// What crossed, if anything did.
fn carried(hop: &Hop<'_>, entry: &Span<'_>, exit: Option<&Span<'_>>) -> Option<&'static str> {
    if !entry.has_any(CARRIED) && !exit.is_some_and(|exit| exit.has(Field::Leak)) {
        return None;
    }
    if entry.has(Field::Seal) {
        return Some("seal");
    }
    let by_other_means = hop.identity.method.is_some_and(|method| NOT_CARRIED.contains(&method));
    match hop.identity.assurance {
        Assurance::Sealed => return Some("seal"),
        Assurance::Verified | Assurance::Refused if entry.has(Field::Assurance) && !by_other_means => {
            return Some("credential");
        }
        _ => {}
    }
    let in_header =
        |text: &str| Leak::read(text).is_some_and(|leak| leak.key.contains("header.authorization"));
    let shown = [Some(entry), exit].into_iter().flatten().any(|span| span.all(Field::Leak).any(in_header));
    shown.then_some("credential")
}

fn is_encrypted(span: &Span<'_>) -> bool {
    span.has(Field::Tls) || span.get(Field::ConnectionSecurity) == Some("mutual_tls")
}

/// Whether both ends are on one machine: by the peer's address as the server saw it, or where the client went. What
/// the server calls itself is whatever the client asked for.
fn is_loopback(entry: &Span<'_>, exit: Option<&Span<'_>>) -> bool {
    let is_local = |host: &str| {
        let host = host.trim_matches(['[', ']']);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    };
    let of_exit = |exit: &Span<'_>| {
        exit.get(Field::PeerAddress).is_some_and(is_local) || super::writes::host(exit).is_some_and(is_local)
    };
    entry.get(Field::PeerAddress).is_some_and(is_local) || exit.is_some_and(of_exit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::found;

    #[test]
    fn table() {
        const TO: &str = "url.full=http://orders:8080/orders";
        for (name, exit, entry, expected) in [
            (
                "a token",
                TO,
                "hopseal.sub=p1 hopseal.assurance=verified hopseal.method=access__token",
                &["3: medium certain"][..],
            ),
            ("a seal", TO, "hopseal.sub=p1 hopseal.assurance=sealed hopseal.seal=s1", &["3: medium certain"]),
            ("a bad token", TO, "hopseal.assurance=refused", &["3: medium certain"]),
            (
                "told by the server alone",
                "",
                "hopseal.sub=p1 hopseal.assurance=verified url.scheme=http",
                &["3: medium certain"],
            ),
            ("a certificate", TO, "hopseal.sub=p1 hopseal.assurance=verified hopseal.method=x509__svid", &[]),
            ("a name alone", TO, "user.id=p1", &[]),
            ("nobody", TO, "hopseal.assurance=anonymous", &[]),
            (
                "https",
                "url.full=https://orders/orders",
                "hopseal.sub=p1 hopseal.assurance=verified url.scheme=http",
                &[],
            ),
            ("https at the server", TO, "hopseal.sub=p1 hopseal.assurance=verified url.scheme=https", &[]),
            ("TLS seen", TO, "hopseal.sub=p1 hopseal.assurance=verified tls.protocol.version=1.3", &[]),
            (
                "a mesh seen",
                TO,
                "hopseal.sub=p1 hopseal.assurance=verified connection.security_policy=mutual__tls",
                &[],
            ),
            (
                "one machine",
                "url.full=http://127.0.0.1:8080/",
                "hopseal.sub=p1 hopseal.assurance=verified",
                &[],
            ),
            (
                "one machine, IPv6",
                "url.full=http://[::1]:8080/",
                "hopseal.sub=p1 hopseal.assurance=verified",
                &[],
            ),
            (
                "a peer on the machine",
                TO,
                "hopseal.sub=p1 hopseal.assurance=verified network.peer.address=127.0.0.1",
                &[],
            ),
            (
                "a host header is no proof of one machine",
                TO,
                "hopseal.sub=p1 hopseal.assurance=verified server.address=localhost",
                &["3: medium certain"],
            ),
            ("no HTTP", "", "hopseal.sub=p1 hopseal.assurance=verified rpc.system=grpc", &[]),
        ] {
            let trace = format!("gw SERVER /\n  gw CLIENT GET {exit}\n    orders SERVER GET {entry}");
            assert_eq!(found(Rule::IdentityOverPlaintext, &trace), expected, "{name}");
        }
    }

    #[test]
    fn at_the_edge_tls_may_have_ended_before() {
        let trace = "gw SERVER / hopseal.sub=p1 hopseal.assurance=verified url.scheme=http";
        assert_eq!(found(Rule::IdentityOverPlaintext, trace), ["1: medium likely"]);
    }

    #[test]
    fn a_token_that_the_client_shows() {
        let token = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl";
        let trace = format!(
            "gw SERVER /\n  gw CLIENT GET url.full=http://orders/ http.request.header.authorization={token}\n    \
             orders SERVER GET /"
        );
        assert_eq!(found(Rule::IdentityOverPlaintext, &trace), ["3: medium certain"]);
    }
}
