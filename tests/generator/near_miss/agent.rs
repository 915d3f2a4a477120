//! Agents that act for someone.

use crate::generator::fleet::FIRST;
use crate::generator::scene::Scene;

use super::Rules;

/// An agent and its tool work for the user all the way.
pub(super) fn agent_for_user(scene: &mut Scene<'_>, guards: Rules) {
    let mut draft = scene.request();
    let hop = scene.choose(&draft, |draft, hop| draft[hop].service == FIRST);
    scene.near_miss(guards, &mut draft, hop);
    scene.push(draft);
}
