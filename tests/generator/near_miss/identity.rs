//! Identities that change, or stand beside another one, by right.

use crate::generator::draft::{Draft, HopId, Work};
use crate::generator::fleet::{FIRST, SECOND};
use crate::generator::scene::Scene;

use super::Rules;

fn at_first(scene: &mut Scene<'_>, guards: Rules, odd: impl Fn(&mut Scene<'_>, &mut Draft, HopId)) {
    let mut draft = scene.request();
    let hop = scene.choose(&draft, |draft, hop| draft[hop].service == FIRST);
    odd(scene, &mut draft, hop);
    scene.near_miss(guards, &mut draft, hop);
    scene.push(draft);
}

pub(super) fn same_value_in_two_keys(scene: &mut Scene<'_>, guards: Rules) {
    at_first(scene, guards, |_, draft, hop| {
        let id = draft[hop].identity.as_ref().map_or_else(String::new, |identity| identity.id.clone());
        draft[hop].attributes.set("user.id", id.as_str());
        draft[hop].attributes.set("enduser.id", id);
    });
}

/// Whose order it is does not say who asks.
pub(super) fn customer_is_no_actor(scene: &mut Scene<'_>, guards: Rules) {
    at_first(scene, guards, |scene, draft, hop| {
        let key = *scene.dice.pick(&["app.customer.id", "customer.id", "app.order.owner"]);
        draft[hop].attributes.set(key, "u-00001");
    });
}

pub(super) fn database_user(scene: &mut Scene<'_>, guards: Rules) {
    at_first(scene, guards, |scene, draft, hop| {
        let work = Work::statement(&mut scene.dice, true, "SELECT")
            .with("db.user", "orders_rw")
            .with("process.user.name", "app");
        draft[hop].work.push(work);
    });
}

/// The user goes on as their account elsewhere, after a token exchange that the spans show.
pub(super) fn linked_account(scene: &mut Scene<'_>, guards: Rules) {
    let mut draft = scene.request();
    let caller = scene.choose(&draft, |draft, hop| draft[hop].service == FIRST);
    let hop = scene.choose(&draft, |draft, hop| draft[hop].service == SECOND);
    let exchange = Work::outside(&mut scene.dice, "POST", "login.example.org", "/oauth2/token");
    draft[caller].work.push(exchange);
    for below in draft.with_all_below(hop) {
        if let Some(identity) = &mut draft[below].identity {
            identity.id = format!("linked-{}", identity.id);
        }
    }
    scene.near_miss(guards, &mut draft, hop);
    scene.push(draft);
}

/// Support works in a customer's account, and the chain of actors says so.
pub(super) fn acting_support(scene: &mut Scene<'_>, guards: Rules) {
    at_first(scene, guards, |scene, draft, hop| {
        let Some(support) = draft[hop].identity.clone() else { return };
        let customer = scene.other_than(&support);
        let customer = scene.login(&customer.id);
        for below in draft.with_all_below(hop) {
            if let Some(identity) = &mut draft[below].identity {
                identity.id.clone_from(&customer.id);
                identity.tenant.clone_from(&customer.tenant);
                identity.actors = vec![format!("user:{}", support.id)];
            }
        }
    });
}

/// A job calls as itself from the start.
pub(super) fn client_all_the_way(scene: &mut Scene<'_>, guards: Rules) {
    let user = scene.person();
    let client = user.replaced_by_client(&mut scene.dice, "nightly-report");
    let mut draft = scene.request_of(Some(client), false);
    scene.near_miss(guards, &mut draft, Draft::ROOT);
    scene.push(draft);
}

/// A service asks for less than it has.
pub(super) fn downscoped(scene: &mut Scene<'_>, guards: Rules) {
    at_first(scene, guards, |_, draft, hop| {
        for below in draft.with_all_below(hop) {
            if let Some(identity) = &mut draft[below].identity {
                identity.scopes.truncate(1);
            }
        }
    });
}
