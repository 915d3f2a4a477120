//! Agents that act for someone, or may act alone.

use crate::generator::draft::{Draft, Work};
use crate::generator::fleet::{FIRST, Operation, SECOND};
use crate::generator::scene::Scene;
use crate::generator::span::Kind;

use super::Rules;
use super::identity::{ALLOWED_CLIENT, act_as};

/// An agent and its tool work for the user all the way.
pub(super) fn agent_for_user(scene: &mut Scene<'_>, guards: Rules) {
    let mut draft = scene.request();
    let hop = scene.choose(&draft, |draft, hop| draft[hop].service == FIRST);
    scene.near_miss(guards, &mut draft, hop);
    scene.push(draft);
}

/// An agent that the policy lets act for nobody.
pub(super) fn autonomous_agent(scene: &mut Scene<'_>, guards: Rules) {
    let mut draft = scene.rooted(FIRST, Operation::http("POST", "/agents/{name}/runs"), None);
    draft[Draft::ROOT].headless = Some("invoke_agent planner");
    draft[Draft::ROOT].attributes.set("gen_ai.operation.name", "invoke_agent");
    draft[Draft::ROOT].attributes.set("gen_ai.agent.name", "night-watch");
    let tool = Work::new(&mut scene.dice, Kind::Internal, "execute_tool look_around")
        .with("gen_ai.operation.name", "execute_tool")
        .with("gen_ai.tool.name", "look_around");
    draft[Draft::ROOT].work.push(tool);
    scene.near_miss(guards, &mut draft, Draft::ROOT);
    scene.push(draft);
}

/// A tool that the policy lets agents use by their own right.
pub(super) fn owned_tool(scene: &mut Scene<'_>, guards: Rules) {
    let mut draft = scene.request();
    let tool = scene.choose(&draft, |draft, hop| draft[hop].service == SECOND);
    act_as(scene, &mut draft, tool, ALLOWED_CLIENT);
    for work in &mut draft[tool].work {
        if work.attributes.get("gen_ai.tool.name").is_some() {
            work.attributes.set("gen_ai.tool.name", "clock");
        }
    }
    scene.near_miss(guards, &mut draft, tool);
    scene.push(draft);
}
