//! Faults that pretend to be something harmless.

use crate::generator::draft::{Draft, Work};
use crate::generator::fleet::{FIRST, GATEWAY, Operation, ServiceId};
use crate::generator::scene::Scene;
use crate::generator::span::Kind;

use super::loss::lose;

fn anonymous_post(scene: &mut Scene<'_>, route: &str, user_agent: &'static str) {
    let mut draft = scene.rooted(GATEWAY, Operation::http("POST", route), None);
    draft[Draft::ROOT].user_agent = user_agent;
    let old_names = scene.fleet[GATEWAY].old_names;
    let write = Work::statement(&mut scene.dice, old_names, "INSERT");
    draft[Draft::ROOT].work.push(write);
    scene.record("never_established", &draft, Draft::ROOT, vec![draft[Draft::ROOT].entry]);
    lose(scene, &mut draft, &[Draft::ROOT]);
    scene.push(draft);
}

/// A caller calls itself a health probe, and writes.
pub(super) fn probe_user_agent_on_a_write(scene: &mut Scene<'_>) {
    anonymous_post(scene, "/transfers", "kube-probe/1.31");
}

/// A caller calls itself a health probe, on a route that is none.
pub(super) fn probe_user_agent_on_a_read(scene: &mut Scene<'_>) {
    let mut draft = scene.rooted(GATEWAY, Operation::http("GET", "/statements/{id}"), None);
    draft[Draft::ROOT].user_agent = "kube-probe/1.31";
    scene.record("never_established", &draft, Draft::ROOT, vec![draft[Draft::ROOT].entry]);
    scene.push(draft);
}

/// A caller makes a write look like a static file.
pub(super) fn static_suffix_on_a_write(scene: &mut Scene<'_>) {
    anonymous_post(scene, "/transfers/app.js", "Mozilla/5.0 (X11; Linux x86_64)");
}

/// Another service's span, sent into the trace later, claims that the identity was there after all.
pub(super) fn forged_late_span(scene: &mut Scene<'_>) {
    let mut draft = scene.request();
    let id = draft[Draft::ROOT].identity.as_ref().map_or_else(String::new, |identity| identity.id.clone());
    let hop = scene.choose(&draft, |draft, hop| draft[hop].service == FIRST);
    draft.cut_messages_below(hop);
    lose(scene, &mut draft, &[hop]);
    let mut claim = Work::new(&mut scene.dice, Kind::Internal, "recorded later").with("enduser.id", id);
    claim.forged_by = scene.fleet.ids().last().filter(|last| *last > ServiceId(2));
    draft[hop].work.push(claim);
    scene.push(draft);
}
