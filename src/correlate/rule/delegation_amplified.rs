//! F32: an agent may do more than whoever it works for.

use hopseal_identity::Kind;

use super::named::MOST;
use super::{Check, Cx, Needs, Rule, Spec, granted, sign_in};
use crate::field::Field;
use crate::finding::{Confidence, Finding, Severity};
use crate::hop::Hop;
use crate::who::Principal;

pub(super) const SPEC: Spec = Spec {
    number: "F32",
    severity: Severity::High,
    needs: Needs::Crate,
    meaning: "An agent acts here with scopes, a tenant or an expiry beyond those of the hop above that it works for, \
              or at the end of a longer chain of agents than the policy allows.",
    fix: "Let the token exchange only ever narrow: scopes, audience and expiry at most those of the subject token \
          (RFC 8693 section 2.2.1). Where the user agreed to more, record the consent in a span.",
    quieting: "Raise `thresholds.max_actors` for longer chains. Instrument the consent, so that its span shows.",
    maps: &["OWASP API5:2023", "CWE-269"],
    quiet: &[],
    check: Check::Hop(check),
};

fn check(cx: &Cx<'_>, hop: &Hop<'_>, found: &mut Vec<Finding>) {
    let Some(here) = hop.identity.principal.as_ref().filter(|here| is_by_agent(here)) else { return };
    let agents = here.actors.iter().filter(|actor| actor.kind == Some(Kind::Agent)).count();
    let too_deep = agents > cx.policy.thresholds.max_actors;
    let above = cx.nearest_identified(hop);
    let beyond = above.and_then(|above| beyond(cx, above, hop));
    if beyond.is_none() && !too_deep {
        return;
    }
    let mut finding = cx
        .finding(Rule::DelegationAmplified, hop)
        .evidence("agents_in_chain", agents.to_string())
        .message(format!("an agent may do more at `{}` than whoever it works for", hop.service.name));
    if too_deep {
        finding = finding.evidence("allowed_in_chain", cx.policy.thresholds.max_actors.to_string());
    }
    if let (Some(above), Some(beyond)) = (above, beyond) {
        finding = finding
            .before(above.identity.principal.as_ref())
            .evidence("before_service", above.service.name)
            .evidence("before_span", cx.entry(above).id.to_string());
        for (name, fact) in beyond.facts {
            finding = finding.evidence(name, fact);
        }
        if !beyond.by_crate && !too_deep {
            finding = finding.unsure(
                Confidence::Likely,
                "each service may show only the scopes or the tenant that it looks for",
            );
        }
    }
    found.push(finding);
}

/// Whether an agent is who acts, for itself or for someone.
fn is_by_agent(principal: &Principal<'_>) -> bool {
    principal.kind == Kind::Agent || principal.actors.iter().any(|actor| actor.kind == Some(Kind::Agent))
}

/// What goes beyond the hop above.
#[derive(Default)]
struct Beyond {
    facts: Vec<(&'static str, String)>,
    /// Whether some of it stands in the crate's own attributes.
    by_crate: bool,
}

fn beyond(cx: &Cx<'_>, above: &Hop<'_>, hop: &Hop<'_>) -> Option<Beyond> {
    let mut beyond = Beyond::default();
    for field in [Field::Scopes, Field::Scope] {
        let key = granted::key(cx, hop, field);
        if key.is_none() || key != granted::key(cx, above, field) {
            continue;
        }
        let added = granted::added(cx, above, hop, field);
        if !added.is_empty() {
            beyond.facts.push(("added_scopes", added.join(" ")));
            beyond.by_crate |= field == Field::Scopes;
        }
    }
    let expiry =
        |hop: &Hop<'_>| cx.frame(hop).take(MOST).find_map(|span| span.number::<u64>(Field::ExpiresAt));
    if let (Some(was), Some(is)) = (expiry(above), expiry(hop))
        && is > was
    {
        beyond.facts.push(("expires_later_by_seconds", (is - was).to_string()));
        beyond.by_crate = true;
    }
    let tenant = |hop: &Hop<'_>, field| {
        cx.frame(hop).take(MOST).find_map(|span| span.get(field)).map(str::to_ascii_lowercase)
    };
    for field in [Field::SealedTenant, Field::Tenant] {
        if let (Some(was), Some(is)) = (tenant(above, field), tenant(hop, field))
            && was != is
            && !cx.policy.is_shared_tenant(&is)
        {
            beyond.facts.push(("tenant_before", was));
            beyond.facts.push(("tenant_here", is));
            beyond.by_crate |= field == Field::SealedTenant;
        }
    }
    let stands = !beyond.facts.is_empty() && !sign_in::between(cx, above, hop, sign_in::is_consent);
    stands.then_some(beyond)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::found;

    #[test]
    fn from_hop_to_hop() {
        const USER: &str = "hopseal.sub=u-1 hopseal.assurance=verified";
        const AGENT: &str = "hopseal.actors=agent:planner";
        for (above, here, between, expected) in [
            ("hopseal.scopes=read", "hopseal.scopes=read_book", "", &["4: high certain"][..]),
            ("hopseal.scopes=read_book", "hopseal.scopes=read", "", &[]),
            ("hopseal.expires_at=1000", "hopseal.expires_at=4600", "", &["4: high certain"]),
            ("hopseal.expires_at=1000", "hopseal.expires_at=1000", "", &[]),
            ("hopseal.tenant=t-1", "hopseal.tenant=t-2", "", &["4: high certain"]),
            ("tenant.id=t-1", "tenant.id=t-2", "", &["4: high likely"]),
            ("enduser.scope=read", "enduser.scope=book", "", &["4: high likely"]),
            ("hopseal.scopes=read", "", "", &[]),
            // The user agreed to it.
            ("hopseal.scopes=read", "hopseal.scopes=book", "bot SERVER POST /consent", &[]),
            // That is how it got the token.
            (
                "hopseal.scopes=read",
                "hopseal.scopes=book",
                "bot CLIENT POST /oauth2/token",
                &["4: high certain"],
            ),
        ] {
            let between = if between.is_empty() { "bot INTERNAL think" } else { between };
            let trace = format!(
                "bot SERVER POST /run {USER} {above}\n  {between}\n  bot CLIENT POST @start=9\n    mcp SERVER POST /mcp {USER} {AGENT} {here}"
            );
            assert_eq!(found(Rule::DelegationAmplified, &trace), expected, "{above} -> {here}");
            let without = trace.replace(AGENT, "hopseal.actors=service:bot");
            assert_eq!(found(Rule::DelegationAmplified, &without), [""; 0], "no agent acts");
        }
    }

    #[test]
    fn chains_of_agents_have_an_end() {
        for (actors, expected) in [
            ("agent:a,agent:b,agent:c,agent:d", &[][..]),
            ("agent:a,agent:b,agent:c,agent:d,agent:e", &["1: high certain"]),
            ("agent:a,service:b,service:c,service:d,service:e", &[]),
        ] {
            let trace = format!(
                "mcp SERVER POST /mcp hopseal.sub=u-1 hopseal.assurance=verified hopseal.actors={actors}"
            );
            assert_eq!(found(Rule::DelegationAmplified, &trace), expected, "{actors}");
        }
    }
}
