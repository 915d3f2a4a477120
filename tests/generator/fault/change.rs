//! An identity that is another one further down.

use crate::generator::draft::{Draft, HopId, Work};
use crate::generator::fleet::{FIRST, SECOND};
use crate::generator::identity::Identity;
use crate::generator::scene::Scene;
use crate::generator::span::{Kind, SpanId};

/// Lets `hop` and all below it act for `identity`, each hop passing it on.
pub(in crate::generator) fn replace(scene: &Scene<'_>, draft: &mut Draft, hop: HopId, identity: Identity) {
    draft[hop].identity = Some(identity);
    for below in draft.with_all_below(hop) {
        if let (true, Some(parent)) = (below != hop, draft[below].parent) {
            let caller = &scene.fleet[draft[parent].service];
            draft[below].identity =
                draft[parent].identity.as_ref().map(|identity| identity.passed_by(caller, scene.fleet.stack));
        }
    }
}

/// The spans that show the change: `hop`, the nearest hop above that names an identity, and all in between.
fn change_at(draft: &Draft, hop: HopId) -> Vec<SpanId> {
    draft.identified_above(hop).map_or_else(|| vec![draft[hop].entry], |above| draft.way(above, hop))
}

/// Changes the identity at one hop by `how`, and writes down that `rule` is true there.
fn changed(scene: &mut Scene<'_>, rule: &'static str, how: impl Fn(&mut Scene<'_>, &mut Identity)) {
    let mut draft = scene.request();
    let hop = scene.choose_called(&draft);
    changed_at(scene, &mut draft, hop, rule, how);
    scene.push(draft);
}

fn changed_at(
    scene: &mut Scene<'_>,
    draft: &mut Draft,
    hop: HopId,
    rule: &'static str,
    how: impl Fn(&mut Scene<'_>, &mut Identity),
) {
    if let Some(mut identity) = draft[hop].identity.clone() {
        how(scene, &mut identity);
        replace(scene, draft, hop, identity);
    }
    scene.record(rule, draft, hop, change_at(draft, hop));
}

/// Below one call, the request is someone else's.
pub(super) fn identity_swapped(scene: &mut Scene<'_>) {
    changed(scene, "identity_swapped", |scene, identity| *identity = scene.other_than(identity));
}

/// A service calls with its own client credentials while it works for a user.
pub(super) fn user_to_service(scene: &mut Scene<'_>) {
    changed(scene, "user_to_service", |scene, identity| {
        *identity = identity.replaced_by_client(&mut scene.dice, "nightly-sync");
    });
}

/// The tenant changes on the way, the user does not.
pub(super) fn cross_tenant(scene: &mut Scene<'_>) {
    changed(scene, "cross_tenant", |scene, identity| {
        let others: Vec<String> =
            scene.fleet.tenants.iter().filter(|tenant| **tenant != identity.tenant).cloned().collect();
        identity.tenant.clone_from(scene.dice.pick(&others));
    });
}

/// A statement runs in the database of another tenant.
pub(super) fn cross_tenant_database(scene: &mut Scene<'_>) {
    let mut draft = scene.request();
    let hop = scene.choose_called(&draft);
    let tenant = draft[hop].identity.as_ref().map_or_else(String::new, |identity| identity.tenant.clone());
    let others: Vec<String> = scene.fleet.tenants.iter().filter(|other| **other != tenant).cloned().collect();
    let database = format!("tenant_{}", scene.dice.pick(&others));
    let work = Work::statement(&mut scene.dice, false, "SELECT").with("db.namespace", database);
    let evidence = [vec![draft[hop].entry, work.id], draft[hop].controller.into_iter().collect()].concat();
    scene.record("cross_tenant", &draft, hop, evidence);
    scene.also([work.id]);
    draft[hop].work.push(work);
    scene.push(draft);
}

/// A role appears that the caller did not have. Roles stand on the spans of any service.
pub(super) fn role_escalation(scene: &mut Scene<'_>) {
    let mut draft = scene.request();
    let hop = scene.choose_called(&draft);
    let raised = draft.with_all_below(hop);
    for id in draft.ids().into_iter().filter(|id| draft[*id].shows).collect::<Vec<_>>() {
        let roles = if raised.contains(&id) { &["customer", "admin"][..] } else { &["customer"] };
        draft[id]
            .attributes
            .set("user.roles", roles.iter().map(|role| (*role).to_owned()).collect::<Vec<_>>());
    }
    scene.record("scope_escalation", &draft, hop, change_at(&draft, hop));
    scene.push(draft);
}

/// A scope appears that the caller did not have.
pub(super) fn scope_escalation(scene: &mut Scene<'_>) {
    changed(scene, "scope_escalation", |_, identity| identity.scopes.push("orders.admin".to_owned()));
}

/// The chain of actors that arrives is not the caller's own plus the caller.
pub(super) fn chain_broken(scene: &mut Scene<'_>) {
    let mut draft = scene.request();
    let hop = scene.choose(&draft, |draft, hop| draft[hop].service == SECOND);
    let way = scene.dice.between(0, 2);
    changed_at(scene, &mut draft, hop, "chain_broken", |_, identity| match way {
        0 => drop(identity.actors.pop()),      // its beginning is gone
        1 => drop(identity.actors.drain(..1)), // the caller left itself out
        _ => identity.actors.reverse(),        // and this is no order it could have grown in
    });
    scene.push(draft);
}

/// Two keys inside one service name two users.
pub(super) fn identity_conflict(scene: &mut Scene<'_>) {
    let mut draft = scene.request();
    let hop = scene.choose(&draft, |draft, hop| draft[hop].service == FIRST);
    if let Some(identity) = draft[hop].identity.clone() {
        let other = scene.other_than(&identity);
        let inner =
            Work::new(&mut scene.dice, Kind::Internal, "load preferences").with("enduser.id", other.id);
        let evidence =
            [vec![draft[hop].entry, inner.id], draft[hop].controller.into_iter().collect()].concat();
        scene.record("identity_conflict", &draft, hop, evidence);
        scene.also([inner.id]);
        draft[hop].work.push(inner);
    }
    scene.push(draft);
}
