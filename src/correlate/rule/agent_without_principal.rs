//! F30: an agent, or a tool it uses, works for nobody.

use std::collections::BTreeMap;

use hopseal_identity::{Assurance, Kind};

use super::agent::{self, AgentCall, Role};
use super::named::MOST;
use super::{Check, Cx, DECLARED, Needs, Quiet, Rule, Spec, writes};
use crate::catalogue::Capability;
use crate::finding::{Confidence, Finding, Severity};
use crate::hop::{Hop, HopIx};
use crate::trace::SpanIx;

pub(super) const SPEC: Spec = Spec {
    number: "F30",
    severity: Severity::Medium,
    needs: Needs::Identity,
    meaning: "An agent or tool was at work and no hop of its chain names a user or an actor. High where something was \
              written below it.",
    fix: "Start agents with the token of the user they work for, and exchange it at each tool so that the chain of \
          actors grows (RFC 8693).",
    quieting: "Declare agents that lawfully work for nobody under `agents.autonomous`.",
    maps: &["OWASP LLM06:2025", "OWASP Agentic Applications 2026", "CWE-862", "CWE-441"],
    quiet: &[Quiet::Rejected, Quiet::Declared, Quiet::Incomplete],
    check: Check::Trace(check),
};

/// What stands behind a hop, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Behind {
    Nobody,
    /// A service acts for itself.
    Service,
    /// A user, or whoever acts for one.
    Someone,
}

/// Calls of one agent or tool at one hop.
struct Calls {
    count: u32,
    write: Option<SpanIx>,
    /// Whether all of them are by an agent that the policy lets work for nobody.
    autonomous: bool,
}

fn check(cx: &Cx<'_>, found: &mut Vec<Finding>) {
    if !cx.trace.indices().any(|ix| agent::call_on(cx, ix).is_some()) {
        return;
    }
    let behind = behind(cx);
    let writes = writes::below(cx);
    let mut calls: BTreeMap<(HopIx, AgentCall<'_>), Calls> = BTreeMap::new();
    for ix in cx.trace.indices() {
        let Some(call) = agent::call_on(cx, ix) else { continue };
        let Some(hop) = cx.hops.of_span(ix).map(|hop| cx.hops.get(hop)) else { continue };
        let of = |hop: HopIx| behind.get(hop.get()).copied().unwrap_or(Behind::Someone);
        // The service that called the agent's own hop is whom the agent works for.
        if of(hop.ix) == Behind::Someone
            || hop.caller.is_some_and(|caller| of(caller) == Behind::Service)
            || agent::is_seen_at_callee(cx, ix)
        {
            continue;
        }
        let write = writes.get(ix.get()).copied().flatten();
        let calls = calls.entry((hop.ix, call)).or_insert(Calls { count: 0, write, autonomous: true });
        calls.count += 1;
        calls.autonomous &= is_autonomous(cx, ix);
        calls.write = calls.write.or(write);
    }
    found.extend(calls.into_iter().map(|((hop, call), calls)| finding(cx, cx.hops.get(hop), call, &calls)));
}

/// Who stands behind each hop: what it shows itself, or the best of what is above it.
fn behind(cx: &Cx<'_>) -> Vec<Behind> {
    let mut behind = vec![Behind::Nobody; cx.hops.all().len()];
    for hop in cx.hops.all() {
        let above = hop.caller.and_then(|caller| behind.get(caller.get()).copied());
        let linked = hop.links.iter().take(MOST).map(|link| match cx.sender(link) {
            // Whoever sent it was not seen: our own window is no fault of theirs.
            None => Behind::Someone,
            Some(sender) if sender.principal.is_some_and(|sender| sender.is_user()) => Behind::Someone,
            Some(_) => Behind::Nobody,
        });
        let best = linked.chain(above).chain([shown(hop)]).max();
        if let (Some(slot), Some(best)) = (behind.get_mut(hop.ix.get()), best) {
            *slot = best;
        }
    }
    behind
}

fn shown(hop: &Hop<'_>) -> Behind {
    match &hop.identity.principal {
        Some(principal) if principal.is_user() || !principal.actors.is_empty() => Behind::Someone,
        Some(principal) if principal.kind == Kind::Service => Behind::Service,
        // Validated by a framework that does not say whom.
        None if hop.identity.assurance.is_identified() => Behind::Someone,
        _ => Behind::Nobody,
    }
}

/// Whether the agent at work, here or above, is declared to work for nobody.
fn is_autonomous(cx: &Cx<'_>, ix: SpanIx) -> bool {
    std::iter::successors(Some(ix), |ix| cx.trace.parent_span(*ix))
        .take(MOST)
        .filter_map(|ix| agent::call_on(cx, ix))
        .any(|call| call.role == Role::Agent && cx.policy.is_autonomous_agent(call.name))
}

fn finding(cx: &Cx<'_>, hop: &Hop<'_>, call: AgentCall<'_>, calls: &Calls) -> Finding {
    let role = call.role.as_str();
    let mut finding = cx
        .finding_of(Rule::AgentWithoutPrincipal, hop, &format!("{role} {}", call.name))
        .evidence(role, call.name)
        .evidence("calls", calls.count.to_string());
    finding = match call.name {
        "" => finding.message(format!("`{}` let an unnamed {role} work for nobody", hop.service.name)),
        name => finding.message(format!("`{}` let the {role} `{name}` work for nobody", hop.service.name)),
    };
    if calls.autonomous {
        finding = finding.evidence(DECLARED, "agents.autonomous");
    }
    if let Some(write) = calls.write {
        finding = finding.severity(Severity::High).evidence("write", writes::what(cx.trace.span(write)));
    }
    if shown(hop) == Behind::Service {
        finding =
            finding.unsure(Confidence::Likely, "a service principal is shown, which the agent may work for");
    }
    if !shows_identities(cx, hop) {
        finding = finding.unsure(Confidence::Hint, "no service of this chain ever shows an identity");
    }
    if cx.ancestors(hop).take(MOST).last().unwrap_or(hop).caller_missing {
        finding = finding.unsure(
            Confidence::Hint,
            "whoever began this chain is not in the trace and may have named a user",
        );
    }
    finding
}

/// Whether an identity could have been seen: some hop of the trace shows one, or a service of the chain could.
///
/// The catalogue is asked only where a hop shows none: else the verdict must not rest on other traces.
fn shows_identities(cx: &Cx<'_>, hop: &Hop<'_>) -> bool {
    let mut hops = cx.hops.iter();
    let could = |hop: &Hop<'_>| {
        hop.identity.assurance == Assurance::Anonymous || cx.capability(hop) != Capability::Never
    };
    hops.any(|hop| hop.identity.assurance.is_identified())
        || (cx.hops.iter().next().is_some()
            && std::iter::once(hop).chain(cx.ancestors(hop)).take(MOST).any(could))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{found, found_by};

    #[test]
    fn table() {
        /// Both services can show identities.
        const KNOWN: &str =
            "\nbot SERVER POST /run user.id=u-9 @trace=2\nmcp SERVER POST /mcp user.id=u-9 @trace=3";
        const AGENT: &str = "gen_ai.operation.name=invoke__agent gen_ai.agent.name=planner";
        const TOOL: &str = "mcp.method.name=tools/call gen_ai.tool.name=book";
        for (name, trace, expected) in [
            (
                "an agent wakes up and uses a tool that writes",
                format!("bot INTERNAL POST /run {AGENT}\n  bot CLIENT POST\n    mcp SERVER POST /mcp {TOOL}\n      mcp CLIENT INSERT db.operation.name=INSERT"),
                &["1: high certain", "3: high certain"][..],
            ),
            (
                "a tool that reads",
                format!("bot SERVER POST /run {AGENT}\n  bot CLIENT POST\n    mcp SERVER POST /mcp {TOOL}\n      mcp CLIENT SELECT db.operation.name=SELECT"),
                &["1: medium certain", "3: medium certain"],
            ),
            (
                "twenty calls of one tool are one finding",
                "bot SERVER POST /run\n  bot INTERNAL execute_tool a gen_ai.operation.name=execute__tool\n  bot INTERNAL execute_tool a gen_ai.operation.name=execute__tool\n  bot INTERNAL execute_tool b gen_ai.operation.name=execute__tool".into(),
                &["1: medium certain", "1: medium certain"],
            ),
            (
                "asked by a user, further up",
                format!("gw SERVER POST / user.id=u-1\n  gw CLIENT POST\n    bot SERVER POST /run {AGENT}\n      bot CLIENT POST\n        mcp SERVER POST /mcp {TOOL}"),
                &[],
            ),
            (
                "the tool has the agent's own token, and nobody is above",
                format!("bot SERVER POST /run {AGENT}\n  bot CLIENT POST\n    mcp SERVER POST /mcp {TOOL} oauth.client_id=planner"),
                &["1: medium certain", "3: medium likely"],
            ),
            (
                "its actor is named",
                format!("bot SERVER POST /run {AGENT} hopseal.assurance=verified hopseal.sub=x hopseal.kind=agent hopseal.actors=user:u-1"),
                &[],
            ),
            (
                "a job calls the agent as itself",
                format!("job SERVER POST / oauth.client_id=nightly\n  job CLIENT POST\n    bot SERVER POST /run {AGENT}"),
                &[],
            ),
            (
                "services that never show anybody",
                format!("x SERVER POST / {AGENT}\n  x CLIENT POST\n    y SERVER POST / {TOOL}"),
                &["1: medium hint", "3: medium hint"],
            ),
            (
                "seen from both sides, judged at the callee",
                format!("gw SERVER POST /\n  gw CLIENT invoke_agent planner {AGENT}\n    bot SERVER POST /run {AGENT}"),
                &["3: medium certain"],
            ),
            (
                "by a message whose sender was not seen",
                format!("bot CONSUMER process jobs {AGENT} @link=7/7"),
                &[],
            ),
            (
                "whoever asked is not in the trace",
                format!("bot SERVER POST /run {AGENT} @parent=99\n  bot CLIENT POST\n    mcp SERVER POST /mcp {TOOL}"),
                &["1: medium hint", "3: medium hint"],
            ),
            ("a model is asked", "bot SERVER POST /run\n  bot CLIENT chat gen_ai.operation.name=chat".into(), &[]),
        ] {
            assert_eq!(found(Rule::AgentWithoutPrincipal, &format!("{trace}{KNOWN}")), expected, "{name}");
        }
    }

    #[test]
    fn declared_agents_work_for_nobody() {
        const POLICY: &str = "agents: {autonomous: [janitor]}";
        const KNOWN: &str = "\nbot SERVER POST /run user.id=u-9 @trace=2";
        for (name, expected) in
            [("janitor", &[][..]), ("planner", &["1: medium certain", "1: medium certain"])]
        {
            let trace = format!(
                "bot SERVER POST /run\n  bot INTERNAL invoke_agent {name} gen_ai.operation.name=invoke__agent\n    bot INTERNAL execute_tool sweep gen_ai.operation.name=execute__tool{KNOWN}"
            );
            assert_eq!(found_by(Rule::AgentWithoutPrincipal, &trace, POLICY), expected, "{name}");
        }
    }
}
