//! F31: a user's agent used a tool with its own credentials.

use hopseal_identity::Kind;

use super::user_to_service::acts_for_user;
use super::{Check, Cx, DECLARED, Needs, Quiet, Rule, Spec, agent};
use crate::field::Field;
use crate::finding::{Confidence, Finding, Severity};
use crate::hop::Hop;

pub(super) const SPEC: Spec = Spec {
    number: "F31",
    severity: Severity::Medium,
    needs: Needs::Identity,
    meaning: "Further up a user asked, and here an agent or tool works with a service token of its own that names \
              nobody behind it: it can do what the user may not.",
    fix: "Let the agent exchange the user's token for one of the tool, with the agent as actor (RFC 8693), and let \
          the tool authorize the user.",
    quieting: "Declare tools that an agent may use by its own right under `agents.owned_tools`.",
    maps: &["OWASP LLM06:2025", "CWE-441", "CWE-269"],
    quiet: &[Quiet::Declared],
    check: Check::Hop(check),
};

fn check(cx: &Cx<'_>, hop: &Hop<'_>, found: &mut Vec<Finding>) {
    let Some(here) = hop.identity.principal.as_ref().filter(|here| here.kind != Kind::User) else { return };
    let Some(above) = cx.nearest_identified(hop) else { return };
    let Some(before) = above.identity.principal.as_ref().filter(|before| before.is_user()) else { return };
    if before.client == Some(here.id) || acts_for_user(here, before) {
        return;
    }
    let Some(call) = agent::behind(cx, hop) else { return };
    let role = call.role.as_str();
    let mut finding = cx
        .finding_of(Rule::AgentUsesOwnAuthority, hop, &format!("{role} {}", call.name))
        .before(Some(before))
        .evidence(role, call.name)
        .evidence("last_user_service", above.service.name)
        .evidence("last_user_span", cx.entry(above).id.to_string())
        .message(format!(
            "a user asked `{}`, and the {role} at `{}` works with a token of its own",
            above.service.name, hop.service.name
        ));
    if cx.policy.is_agent_owned(call.name) {
        finding = finding.evidence(DECLARED, "agents.owned_tools");
    }
    if call.name.is_empty() && cx.policy.has_agent_owned() {
        finding = finding.unsure(
            Confidence::Likely,
            "the tool is not named, and may be one that the policy lets agents use by their own right",
        );
    }
    if here.field == Field::Client {
        finding = finding.unsure(
            Confidence::Likely,
            "only a client id is shown, which the token of a user carries as well",
        );
    }
    found.push(finding);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{found, found_by};

    #[test]
    fn table() {
        const OWN: &str = "hopseal.sub=planner hopseal.kind=service hopseal.assurance=verified";
        const TOOL: &str = "mcp.method.name=tools/call gen_ai.tool.name=book";
        let under_user = |tool: &str| {
            format!("bot SERVER POST /run user.id=u-1\n  bot CLIENT POST\n    mcp SERVER POST /mcp {tool}")
        };
        for (name, trace, expected) in [
            ("its own token", under_user(&format!("{OWN} {TOOL}")), &["3: medium certain"][..]),
            (
                "an agent's token",
                under_user(&format!("{OWN} {TOOL}").replace("service", "agent")),
                &["3: medium certain"],
            ),
            (
                "a client id only",
                under_user(&format!("oauth.client_id=planner {TOOL}")),
                &["3: medium likely"],
            ),
            ("on behalf of the user", under_user(&format!("{OWN} hopseal.actors=user:u-1 {TOOL}")), &[]),
            ("the user's own token", under_user(&format!("user.id=u-1 {TOOL}")), &[]),
            ("no tool", under_user(OWN), &[]),
            (
                "nobody above",
                format!("bot SERVER POST /run\n  bot CLIENT POST\n    mcp SERVER POST /mcp {OWN} {TOOL}"),
                &[],
            ),
            (
                "the tool stands on the caller's side",
                format!(
                    "bot SERVER POST /run user.id=u-1\n  bot INTERNAL execute_tool book gen_ai.operation.name=execute__tool\n    bot CLIENT POST\n      crm SERVER POST /x {OWN}"
                ),
                &["4: medium certain"],
            ),
            (
                "beside a tool, not by it",
                format!(
                    "bot SERVER POST /run user.id=u-1\n  bot INTERNAL execute_tool book gen_ai.operation.name=execute__tool\n  bot CLIENT POST\n    crm SERVER POST /x {OWN}"
                ),
                &[],
            ),
        ] {
            assert_eq!(found(Rule::AgentUsesOwnAuthority, &trace), expected, "{name}");
        }
    }

    #[test]
    fn tools_that_an_agent_may_use_by_its_own_right() {
        const POLICY: &str = "agents: {owned_tools: [clock]}";
        const UNDER_USER: &str = "bot SERVER POST /run user.id=u-1\n  bot CLIENT POST\n    mcp SERVER POST /mcp oauth.client_id=planner";
        for (tool, expected) in [("clock", &[][..]), ("book", &["3: medium likely"])] {
            for named in [
                format!(" gen_ai.tool.name={tool}"),
                format!(" mcp.method.name=tools/call\n      mcp INTERNAL run gen_ai.tool.name={tool}"),
            ] {
                let trace = format!("{UNDER_USER}{named}");
                assert_eq!(found_by(Rule::AgentUsesOwnAuthority, &trace, POLICY), expected, "{named}");
            }
        }
        let unnamed = "bot SERVER POST /run user.id=u-1\n  bot CLIENT POST\n    mcp SERVER POST /mcp hopseal.sub=planner \
                       hopseal.kind=service hopseal.assurance=verified mcp.method.name=tools/call";
        assert_eq!(found_by(Rule::AgentUsesOwnAuthority, unnamed, POLICY), ["3: medium likely"]);
        assert_eq!(found(Rule::AgentUsesOwnAuthority, unnamed), ["3: medium certain"]);
    }
}
