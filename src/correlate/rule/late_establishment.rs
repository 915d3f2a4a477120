//! F03: the edge let a request through, and a service behind it was the first to ask who it is.

use hopseal_identity::Assurance;

use super::{Check, Cx, Needs, Quiet, Rule, Spec};
use crate::catalogue::Capability;
use crate::finding::{Confidence, Finding, Severity};
use crate::hop::{Hop, HopIx, HopKind};

pub(super) const SPEC: Spec = Spec {
    number: "F03",
    severity: Severity::Low,
    needs: Needs::Identity,
    meaning: "The first hop of a trace shows no identity and a hop further down names a user: whatever ran before \
              that hop ran for nobody.",
    fix: "Validate the credential at the edge already, and let the services behind it validate it again.",
    quieting: "Declare the route under `public` if the edge only passes it on by design.",
    maps: &["CWE-306"],
    quiet: &[Quiet::Static, Quiet::Health, Quiet::Public, Quiet::Rejected, Quiet::Retry, Quiet::Incomplete],
    check: Check::Trace(check),
};

fn check(cx: &Cx<'_>, found: &mut Vec<Finding>) {
    if !cx.hops.iter().any(is_blind_root) {
        return;
    }
    // By hop: the root of its chain, and for a root the nearest hop below it that names a user.
    let mut roots: Vec<Option<HopIx>> = vec![None; cx.hops.all().len()];
    let mut firsts: Vec<Option<&Hop<'_>>> = vec![None; cx.hops.all().len()];
    for hop in cx.hops.all() {
        let root = match hop.caller {
            None => Some(hop.ix),
            Some(caller) => roots.get(caller.get()).copied().flatten(),
        };
        if let Some(slot) = roots.get_mut(hop.ix.get()) {
            *slot = root;
        }
        if hop.identity.principal.as_ref().is_some_and(|principal| principal.is_user())
            && let Some(first) = root.and_then(|root| firsts.get_mut(root.get()))
            && first.is_none_or(|first| hop.depth < first.depth)
        {
            *first = Some(hop);
        }
    }
    for (root, first) in cx.hops.all().iter().zip(firsts) {
        if let (true, Some(first)) = (is_blind_root(root), first) {
            found.extend(finding(cx, root, first));
        }
    }
}

fn is_blind_root(hop: &Hop<'_>) -> bool {
    hop.kind == HopKind::Entry && matches!(hop.identity.assurance, Assurance::Unknown | Assurance::Anonymous)
}

fn finding(cx: &Cx<'_>, root: &Hop<'_>, first: &Hop<'_>) -> Option<Finding> {
    let capability = cx.capability(root);
    // An edge that never shows an identity may well check one: that is a gap of coverage.
    if capability == Capability::Never && root.identity.assurance == Assurance::Unknown {
        return None;
    }
    let mut finding = cx
        .finding(Rule::LateEstablishment, root)
        .evidence("first_service", first.service.name)
        .evidence("first_span", cx.entry(first).id.to_string())
        .evidence("depth", (first.depth - root.depth).to_string())
        .message(format!(
            "`{}` let a request through for nobody; `{}` was the first to name a user",
            root.service.name, first.service.name
        ));
    if root.identity.assurance == Assurance::Unknown && capability != Capability::Operation {
        finding =
            finding.unsure(Confidence::Likely, "this operation of the edge has never shown an identity");
    }
    Some(finding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::found;

    #[test]
    fn table() {
        const KNOWN: &str = "\ngw SERVER GET /x user.id=u-9 @trace=2";
        for (name, trace, expected) in [
            (
                "the second service is the first to ask",
                "gw SERVER GET /x\n  gw CLIENT GET\n    a SERVER GET /a user.id=u-1",
                &["1: low certain"][..],
            ),
            (
                "one finding, for the first of several",
                "gw SERVER GET /x\n  gw CLIENT GET\n    a SERVER GET /a\n      a CLIENT GET\n        b SERVER GET /b user.id=u-1\n  gw CLIENT GET\n    c SERVER GET /c user.id=u-1",
                &["1: low certain"],
            ),
            (
                "other operations of the edge show one",
                "gw SERVER GET /y\n  gw CLIENT GET\n    a SERVER GET /a user.id=u-1",
                &["1: low likely"],
            ),
            (
                "the edge says that there was none",
                "edge SERVER GET /x spring.security.authentication.type=AnonymousAuthenticationToken\n  edge CLIENT GET\n    a SERVER GET /a user.id=u-1",
                &["1: low certain"],
            ),
            (
                "an edge that never shows one",
                "edge SERVER GET /x\n  edge CLIENT GET\n    a SERVER GET /a user.id=u-1",
                &[],
            ),
            (
                "named at the edge",
                "gw SERVER GET /x user.id=u-1\n  gw CLIENT GET\n    a SERVER GET /a user.id=u-1",
                &[],
            ),
            ("nobody anywhere", "gw SERVER GET /x\n  gw CLIENT GET\n    a SERVER GET /a", &[]),
            (
                "a service acts for itself",
                "gw SERVER GET /x\n  gw CLIENT GET\n    a SERVER GET /a oauth.client_id=batch",
                &[],
            ),
            (
                "a login",
                "gw SERVER POST /login http.route=/login http.request.method=POST\n  gw CLIENT GET\n    a SERVER GET /a user.id=u-1",
                &[],
            ),
            (
                "turned away",
                "gw SERVER GET /x http.response.status_code=401\n  gw CLIENT GET\n    a SERVER GET /a user.id=u-1",
                &[],
            ),
            (
                "a root whose caller is missing",
                "gw SERVER GET /x @parent=99\n  gw CLIENT GET\n    a SERVER GET /a user.id=u-1",
                &[],
            ),
        ] {
            assert_eq!(found(Rule::LateEstablishment, &format!("{trace}{KNOWN}")), expected, "{name}");
        }
    }
}
