//! F15: a request crossed from one tenant into another.

use super::id_shape::IdShape;
use super::named::MOST;
use super::{Check, Cx, Needs, Rule, Spec};
use crate::dialect::KeyId;
use crate::field::Field;
use crate::finding::{Confidence, Finding, Severity};
use crate::hop::Hop;
use crate::record::Entry;

pub(super) const SPEC: Spec = Spec {
    number: "F15",
    severity: Severity::High,
    needs: Needs::Identity,
    meaning: "The principal of this hop belongs to another tenant than the one of the hop above, or than the \
              database, table, topic or bucket that the hop works on, and no actor says who crossed over.",
    fix: "Take the tenant from the validated credential, and check it against the resource before using that. Where \
          support works for a customer, exchange the token so that `act` says so (RFC 8693 section 4.1).",
    quieting: "Declare tenants that everyone may use under `tenants.shared`. Resources are looked at only where \
               `tenants.spelled` says how their names tell the tenant.",
    maps: &["OWASP API1:2023", "CWE-639", "CWE-668"],
    quiet: &[],
    check: Check::Hop(check),
};

/// Fields whose text may spell a tenant, where the policy says how.
const RESOURCES: [Field; 4] =
    [Field::DbNamespace, Field::DbCollection, Field::MessagingDestination, Field::Bucket];

fn check(cx: &Cx<'_>, hop: &Hop<'_>, found: &mut Vec<Finding>) {
    let Some(here) = &hop.identity.principal else { return };
    let Some(tenant) = here.tenant else { return };
    if !here.actors.is_empty() || cx.policy.is_shared_tenant(tenant) {
        return;
    }
    found.extend(from_above(cx, hop, tenant));
    found.extend(into_resource(cx, hop, tenant));
}

/// The nearest hop above that names a tenant names another.
fn from_above(cx: &Cx<'_>, hop: &Hop<'_>, tenant: &str) -> Option<Finding> {
    let tenant_of = |hop: &Hop<'_>| hop.identity.principal.as_ref().is_some_and(|who| who.tenant.is_some());
    let above = cx.ancestors(hop).take(MOST).find(|above| tenant_of(above))?;
    let before = above.identity.principal.as_ref()?;
    let was = before.tenant?;
    if was.eq_ignore_ascii_case(tenant) || cx.policy.is_shared_tenant(was) {
        return None;
    }
    let mut finding = cx
        .finding(Rule::CrossTenant, hop)
        .before(Some(before))
        .evidence("tenant_before", was)
        .evidence("tenant_here", tenant)
        .evidence("before_service", above.service.name)
        .message(format!("`{}` works in one tenant, `{}` in another", above.service.name, hop.service.name));
    let keys = (key(cx, above), key(cx, hop));
    if keys.0.is_none() || keys.0 != keys.1 {
        finding = finding.unsure(Confidence::Hint, "the two tenants stand under different keys");
    } else if !IdShape::of(was).is_alike(&IdShape::of(tenant)) {
        finding = finding.unsure(Confidence::Likely, "the two hops may spell tenants differently");
    }
    if !hop.identity.principal.as_ref().is_some_and(|here| here.is_user()) {
        finding = finding
            .unsure(Confidence::Likely, "a service acts here, which may belong to a tenant of its own");
    }
    Some(finding)
}

/// The frame of the hop works on something whose name spells another tenant.
fn into_resource(cx: &Cx<'_>, hop: &Hop<'_>, tenant: &str) -> Option<Finding> {
    for span in cx.frame(hop).take(MOST) {
        for field in RESOURCES {
            let Some(name) = span.get(field) else { continue };
            let Some(owner) = cx.policy.tenant_of(field, name) else { continue };
            if owner.eq_ignore_ascii_case(tenant) || cx.policy.is_shared_tenant(owner) {
                continue;
            }
            return Some(
                cx.finding_of(Rule::CrossTenant, hop, "resource")
                    .evidence("tenant_here", tenant)
                    .evidence("tenant_of_resource", owner)
                    .evidence("resource", name)
                    .evidence("resource_span", span.id.to_string())
                    .message(format!("`{}` works in one tenant on a resource of another", hop.service.name)),
            );
        }
    }
    None
}

/// Under which key a hop names its tenant.
fn key(cx: &Cx<'_>, hop: &Hop<'_>) -> Option<KeyId> {
    let entry = |field| cx.frame(hop).take(MOST).find_map(|span| span.entry(field));
    entry(Field::SealedTenant).or_else(|| entry(Field::Tenant)).map(|entry: Entry<'_>| entry.key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{found, found_by};

    fn pair(gw: &str, orders: &str) -> String {
        format!("gw SERVER GET / {gw}\n  gw CLIENT GET\n    orders SERVER GET /orders {orders}")
    }

    const CRATE: &str = "hopseal.sub=u-1 hopseal.assurance=verified";

    #[test]
    fn from_hop_to_hop() {
        for (gw, orders, expected) in [
            ("hopseal.tenant=t-1", "hopseal.tenant=t-2", &["3: high certain"][..]),
            ("hopseal.tenant=t-1", "hopseal.tenant=T-1", &[]),
            ("tenant.id=t-1", "tenant.id=t-2", &["3: high certain"]),
            ("tenant.id=t-1", "account.id=t-2", &["3: high hint"]),
            ("tenant.id=acme", "tenant.id=42", &["3: high likely"]),
            ("hopseal.tenant=t-1", "hopseal.tenant=t-2 hopseal.kind=service", &["3: high likely"]),
            // Support says that it acts for the customer.
            ("hopseal.tenant=t-1", "hopseal.tenant=t-2 hopseal.actors=user:u-9", &[]),
            ("hopseal.tenant=t-1", "", &[]),
            ("", "hopseal.tenant=t-2", &[]),
        ] {
            let trace = pair(&format!("{CRATE} {gw}"), &format!("{CRATE} {orders}"));
            assert_eq!(found(Rule::CrossTenant, &trace), expected, "{gw} -> {orders}");
        }
    }

    #[test]
    fn through_a_service_that_names_no_tenant_and_once_only() {
        let trace = format!(
            "gw SERVER GET / {CRATE} hopseal.tenant=t-1\n  gw CLIENT GET\n    x SERVER GET /x\n      x CLIENT GET\n        a SERVER GET /a {CRATE} hopseal.tenant=t-2\n          a CLIENT GET\n            b SERVER GET /b {CRATE} hopseal.tenant=t-2"
        );
        assert_eq!(found(Rule::CrossTenant, &trace), ["5: high certain"]);
    }

    #[test]
    fn by_policy() {
        const POLICY: &str = "tenants:\n  shared: [platform]\n  spelled:\n    - {of: database, name: 'tenant_{tenant}'}\n    - {of: bucket, name: 'exports-{tenant}'}";
        for (gw, a, exit, expected) in [
            ("t-1", "t-1", "db.namespace=tenant__t-2", &["3: high certain"][..]),
            ("t-1", "t-1", "db.namespace=tenant__t-1", &[]),
            ("t-1", "t-1", "db.namespace=tenant__platform", &[]),
            ("t-1", "t-1", "db.namespace=orders", &[]),
            ("t-1", "t-1", "aws.s3.bucket=exports-t-2", &["3: high certain"]),
            ("t-1", "t-1", "aws.s3.bucket=exports-t-1", &[]),
            ("t-1", "t-1", "messaging.destination.name=tenant__t-2", &[]),
            ("t-1", "platform", "db.namespace=tenant__t-2", &[]),
            ("platform", "t-1", "db.namespace=tenant__t-1", &[]),
            ("t-1", "t-2", "db.namespace=tenant__t-1", &["3: high certain", "3: high certain"]),
        ] {
            let trace = format!(
                "gw SERVER GET / {CRATE} tenant.id={gw}\n  gw CLIENT GET\n    a SERVER GET /a {CRATE} tenant.id={a}\n      a CLIENT q {exit}"
            );
            assert_eq!(found_by(Rule::CrossTenant, &trace, POLICY), expected, "{gw} -> {a}, {exit}");
        }
    }
}
