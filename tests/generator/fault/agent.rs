//! Agents and the tools they use.

use crate::generator::draft::{Draft, HopId};
use crate::generator::fleet::{FIRST, Operation, SECOND};
use crate::generator::scene::Scene;
use crate::generator::span::SpanId;

use super::change::replace;

fn tool(scene: &mut Scene<'_>, draft: &Draft) -> HopId {
    scene.choose(draft, |draft, hop| draft[hop].service == SECOND)
}

fn agent_spans(draft: &Draft, hops: &[HopId]) -> Vec<SpanId> {
    hops.iter()
        .flat_map(|hop| {
            let work =
                draft[*hop].work.iter().filter(|work| work.attributes.get("gen_ai.operation.name").is_some());
            std::iter::once(draft[*hop].entry).chain(work.map(|work| work.id))
        })
        .collect()
}

/// An agent wakes up by itself and uses a tool, for nobody.
pub(super) fn agent_without_principal(scene: &mut Scene<'_>) {
    let operation = Operation::http("POST", "/agents/{name}/runs");
    let mut draft = scene.rooted(FIRST, operation, None);
    draft[Draft::ROOT].headless = Some("invoke_agent planner");
    let to = &mut draft[Draft::ROOT].attributes;
    to.set("gen_ai.operation.name", "invoke_agent");
    to.set("gen_ai.agent.name", "planner");
    let used = scene.fleet[SECOND].operation.clone();
    let tool = scene.call(&mut draft, Draft::ROOT, SECOND, used);
    draft[tool].attributes.set("gen_ai.operation.name", "execute_tool");
    draft[tool].attributes.set("gen_ai.tool.name", "book_seat");
    draft.add_database(&mut scene.dice, &scene.fleet, tool);
    scene.record("agent_without_principal", &draft, Draft::ROOT, vec![draft[Draft::ROOT].entry]);
    let spans = agent_spans(&draft, &[Draft::ROOT, tool]);
    scene.also(spans);
    scene.record_missing(&draft, tool);
    scene.push(draft);
}

/// The user's agent calls a tool with its own credentials, and does not say for whom.
pub(super) fn agent_uses_own_authority(scene: &mut Scene<'_>) {
    let mut draft = scene.request();
    let tool = tool(scene, &draft);
    if let Some(identity) = draft[tool].identity.clone() {
        let client = identity.replaced_by_client(&mut scene.dice, "planner-agent");
        replace(scene, &mut draft, tool, client);
    }
    let evidence = draft[tool].parent.map_or_else(Vec::new, |caller| draft.way(caller, tool));
    scene.record("agent_uses_own_authority", &draft, tool, evidence.clone());
    let spans = agent_spans(&draft, &[tool]);
    scene.also(spans);
    scene.record("user_to_service", &draft, tool, evidence);
    scene.push(draft);
}

/// The agent's agent may do longer, or more, than the agent.
pub(super) fn delegation_amplified(scene: &mut Scene<'_>) {
    let mut draft = scene.request();
    for hop in draft.ids() {
        if let Some(identity) = &mut draft[hop].identity {
            for actor in &mut identity.actors {
                *actor = actor.replacen("service:", "agent:", 1);
            }
        }
    }
    let tool = tool(scene, &draft);
    let evidence = draft[tool].parent.map_or_else(Vec::new, |caller| draft.way(caller, tool));
    let longer = scene.dice.percent(50);
    if let Some(mut identity) = draft[tool].identity.clone() {
        if longer {
            identity.expires_at += 3_600;
        } else {
            identity.scopes.push("seats.admin".to_owned());
        }
        for below in draft.with_all_below(tool) {
            if let Some(passed) = &mut draft[below].identity {
                passed.expires_at = identity.expires_at;
                passed.scopes.clone_from(&identity.scopes);
            }
        }
    }
    scene.record("delegation_amplified", &draft, tool, evidence.clone());
    if !longer {
        scene.record("scope_escalation", &draft, tool, evidence);
    }
    scene.push(draft);
}
