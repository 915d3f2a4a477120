//! Identities that change, or stand beside another one, by right.

use crate::generator::draft::{Draft, HopId, Work};
use crate::generator::fault::replace;
use crate::generator::fleet::{FIRST, GATEWAY, Operation, SECOND};
use crate::generator::scene::{FRAMEWORK, ISSUER, Scene};
use crate::generator::span::SpanId;

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
    let exchange = Work::outside(&mut scene.dice, "POST", ISSUER, "/oauth2/token");
    let shown = exchange.id;
    draft[caller].work.push(exchange);
    for below in draft.with_all_below(hop) {
        if let Some(identity) = &mut draft[below].identity {
            identity.id = format!("linked-{}", identity.id);
        }
    }
    scene.near_miss(guards, &mut draft, hop);
    // "No login/token-exchange span between" (F04).
    scene.excused_by(shown);
    scene.push(draft);
}

/// The user proves once more who they are, and may do more from there on.
pub(super) fn stepped_up(scene: &mut Scene<'_>, guards: Rules) {
    agreed_to(scene, guards, "/step-up");
}

/// The user lets the agent do more, and a span says so.
pub(super) fn consent(scene: &mut Scene<'_>, guards: Rules) {
    agreed_to(scene, guards, "/oauth2/consent");
}

/// A scope is added at [`SECOND`] after [`FIRST`] has asked the issuer for it.
fn agreed_to(scene: &mut Scene<'_>, guards: Rules, path: &str) {
    let mut draft = scene.request();
    let caller = scene.choose(&draft, |draft, hop| draft[hop].service == FIRST);
    let hop = scene.choose(&draft, |draft, hop| draft[hop].service == SECOND);
    let asked = Work::outside(&mut scene.dice, "POST", ISSUER, path);
    let shown = asked.id;
    draft[caller].work.push(asked);
    for below in draft.ids() {
        let Some(identity) = &mut draft[below].identity else { continue };
        for actor in &mut identity.actors {
            *actor = actor.replacen("service:", "agent:", 1);
        }
    }
    for below in draft.with_all_below(hop) {
        if let Some(identity) = &mut draft[below].identity {
            identity.scopes.push("seats.book".to_owned());
        }
    }
    scene.near_miss(guards, &mut draft, hop);
    // "No exchange or step-up" (F16), "re-consent recorded" (F32).
    scene.excused_by(shown);
    scene.push(draft);
}

/// A client that the policy allows has scopes of its own.
pub(super) fn scopes_of_a_client(scene: &mut Scene<'_>, guards: Rules) {
    at_first(scene, guards, |scene, draft, hop| {
        act_as(scene, draft, hop, ALLOWED_CLIENT);
        for below in draft.with_all_below(hop) {
            if let Some(identity) = &mut draft[below].identity {
                identity.scopes = vec!["partners.sync".to_owned()];
            }
        }
    });
}

/// The address of an office is no person's.
pub(super) fn service_mailbox(scene: &mut Scene<'_>, guards: Rules) {
    let mut identity = scene.person();
    identity.id = (*scene.dice.pick(&["noreply@example.com", "billing@example.com", "svc-mail@example.com"]))
        .to_owned();
    let mut draft = scene.request_of(Some(identity), false);
    scene.near_miss(guards, &mut draft, Draft::ROOT);
    scene.push(draft);
}

/// A framework validates the token offline, and says that it did.
pub(super) fn validated_by_framework(scene: &mut Scene<'_>, guards: Rules) {
    let mut draft = scene.request();
    draft[Draft::ROOT].work.retain(|work| !work.asks_issuer());
    draft[Draft::ROOT].attributes.set(FRAMEWORK, "JwtAuthenticationToken");
    scene.near_miss(guards, &mut draft, Draft::ROOT);
    scene.push(draft);
}

/// The crate validates the token offline.
pub(super) fn validated_offline(scene: &mut Scene<'_>, guards: Rules) {
    let mut draft = scene.request();
    draft[Draft::ROOT].work.retain(|work| !work.asks_issuer());
    scene.near_miss(guards, &mut draft, Draft::ROOT);
    scene.push(draft);
}

/// The policy lets the gateway pass on this route without asking; the service behind it asks.
pub(super) fn blind_gateway(scene: &mut Scene<'_>, guards: Rules) {
    let identity = scene.person();
    let mut draft = scene.rooted(GATEWAY, Operation::http("GET", "/catalog"), None);
    let operation = scene.fleet[FIRST].operation.clone();
    let hop = scene.call(&mut draft, Draft::ROOT, FIRST, operation);
    draft[hop].identity = Some(identity);
    scene.near_miss(guards, &mut draft, Draft::ROOT);
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

/// The policy lets this client act for itself everywhere.
pub(super) fn allowed_client(scene: &mut Scene<'_>, guards: Rules) {
    at_first(scene, guards, |scene, draft, hop| act_as(scene, draft, hop, ALLOWED_CLIENT));
}

/// A client that the policy allows.
pub(super) const ALLOWED_CLIENT: &str = "partner-sync";

/// Lets `hop` and all below it act as `client`.
pub(super) fn act_as(scene: &mut Scene<'_>, draft: &mut Draft, hop: HopId, client: &str) {
    if let Some(identity) = draft[hop].identity.clone() {
        let mut client = identity.replaced_by_client(&mut scene.dice, client);
        client.actors.clone_from(&identity.actors);
        replace(scene, draft, hop, client);
    }
}

/// The resources of the platform are everyone's.
pub(super) fn platform_tenant(scene: &mut Scene<'_>, guards: Rules) {
    at_first(scene, guards, |_, draft, hop| {
        for below in draft.with_all_below(hop) {
            if let Some(identity) = &mut draft[below].identity {
                identity.tenant = "platform".to_owned();
            }
        }
    });
}

pub(super) fn database_of_the_tenant(scene: &mut Scene<'_>, guards: Rules) {
    at_first(scene, guards, |scene, draft, hop| {
        let tenant =
            draft[hop].identity.as_ref().map_or_else(String::new, |identity| identity.tenant.clone());
        let work = Work::statement(&mut scene.dice, false, "SELECT")
            .with("db.namespace", format!("tenant_{tenant}"));
        draft[hop].work.push(work);
    });
}

/// One session, one person, many requests.
pub(super) fn session_of_one(scene: &mut Scene<'_>, guards: Rules) {
    let session = scene.dice.hex(16);
    let id = scene.person().id;
    for _ in 0..3 {
        in_session(scene, guards, &session, &id, None);
    }
}

/// Someone logs out of a session, and someone else logs in to it.
pub(super) fn next_after_logout(scene: &mut Scene<'_>, guards: Rules) {
    let session = scene.dice.hex(16);
    let one = scene.person();
    let other = scene.other_than(&one).id;
    in_session(scene, guards, &session, &one.id, None);
    let logout = in_session(scene, guards, &session, &one.id, Some("/logout"));
    in_session(scene, guards, &session, &other, None);
    // "Login/logout switch (needs logout event)" (F33).
    scene.excused_by(logout);
}

/// One request within a session; its first span.
fn in_session(
    scene: &mut Scene<'_>,
    guards: Rules,
    session: &str,
    id: &str,
    route: Option<&'static str>,
) -> SpanId {
    let identity = scene.login(id);
    let usual = scene.fleet[GATEWAY].operation.clone();
    let operation = route.map_or(usual, |route| Operation::http("POST", route));
    let mut draft = scene.validated(operation, Some(identity));
    draft[Draft::ROOT].attributes.set("session.id", session);
    let entry = draft[Draft::ROOT].entry;
    scene.near_miss(guards, &mut draft, Draft::ROOT);
    scene.push(draft);
    entry
}
