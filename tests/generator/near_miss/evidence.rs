//! Telemetry that is less, or other, than it seems.

use crate::generator::draft::{Draft, HopId, Work};
use crate::generator::fleet::{FIRST, Protocol, SECOND};
use crate::generator::scene::Scene;
use crate::generator::span::Kind;

use super::Rules;

fn at_first(scene: &mut Scene<'_>, guards: Rules, odd: impl Fn(&mut Scene<'_>, &mut Draft, HopId)) {
    let mut draft = scene.request();
    let hop = scene.choose(&draft, |draft, hop| draft[hop].service == FIRST);
    odd(scene, &mut draft, hop);
    scene.near_miss(guards, &mut draft, hop);
    scene.push(draft);
}

pub(super) fn hashes_and_ids(scene: &mut Scene<'_>, guards: Rules) {
    at_first(scene, guards, |scene, draft, hop| {
        let dice = &mut scene.dice;
        let (digest, id) = (dice.hex(32), dice.hex(16));
        let uuid = format!("{}-{}-4{}-a{}-{}", dice.hex(4), dice.hex(2), &"f1c", &"0b7", dice.hex(6));
        let inner = Work::new(dice, Kind::Internal, "read cache")
            .with("app.cache.key", format!("sha256:{digest}"))
            .with("app.request.id", uuid)
            .with("app.etag", format!("W/\"{id}\""))
            .with("app.image", format!("registry.example.org/orders@sha256:{digest}"));
        draft[hop].work.push(inner);
    });
}

pub(super) fn masked_token(scene: &mut Scene<'_>, guards: Rules) {
    at_first(scene, guards, |scene, draft, hop| {
        let masked = *scene.dice.pick(&["Bearer ***", "Bearer [REDACTED]", "****"]);
        draft[hop].attributes.set("http.request.header.authorization", vec![masked.to_owned()]);
    });
}

/// A call whose callee decided not to sample. It is seen in other traces.
pub(super) fn unsampled_callee(scene: &mut Scene<'_>, guards: Rules) {
    let mut draft = scene.request();
    let caller = scene.choose(&draft, |draft, hop| draft[hop].service == FIRST);
    let operation = scene.fleet[SECOND].operation.clone();
    let hop = scene.call(&mut draft, caller, SECOND, operation);
    draft[hop].unsampled = true;
    scene.near_miss(guards, &mut draft, caller);
    scene.push(draft);
}

/// A job starts by itself while somebody calls its service, of which nothing else is seen.
pub(super) fn job_during_a_call(scene: &mut Scene<'_>, guards: Rules) {
    let operation = scene.fleet[SECOND].operation.clone();
    let mut job = scene.rooted(SECOND, operation.clone(), None);
    job[Draft::ROOT].headless = Some("nightly clean-up");
    let mut draft = scene.request();
    let caller = scene.choose(&draft, |draft, hop| draft[hop].service == FIRST);
    let hop = scene.call(&mut draft, caller, SECOND, operation);
    draft[hop].unsampled = true;
    scene.near_miss(guards, &mut job, Draft::ROOT);
    scene.push(draft);
    scene.push(job);
}

pub(super) fn third_party(scene: &mut Scene<'_>, guards: Rules) {
    at_first(scene, guards, |scene, draft, hop| {
        let call = Work::outside(&mut scene.dice, "GET", "api.maps.example.com", "/tiles/7/12")
            .with("http.request.header.baggage", vec!["region=eu,release=14".to_owned()]);
        let cache = Work::new(&mut scene.dice, Kind::Client, "GET")
            .with("db.system.name", "redis")
            .with("db.operation.name", "GET")
            .with("server.address", "cache")
            .with("server.port", 6379);
        draft[hop].work.extend([call, cache]);
    });
}

/// A partner that the policy names gets to know the user.
pub(super) fn declared_partner(scene: &mut Scene<'_>, guards: Rules) {
    at_first(scene, guards, |scene, draft, hop| {
        let id = draft[hop].identity.as_ref().map_or_else(String::new, |identity| identity.id.clone());
        let call = Work::outside(&mut scene.dice, "GET", "api.partner-bank.example.com", "/rates")
            .with("http.request.header.baggage", vec![format!("user.id={id}")]);
        draft[hop].work.push(call);
    });
}

/// Identity baggage that stays in the house.
pub(super) fn baggage_inside(scene: &mut Scene<'_>, guards: Rules) {
    let mut draft = scene.request();
    let hop = scene.choose(&draft, |draft, hop| draft[hop].service == SECOND);
    let id = draft[hop].identity.as_ref().map_or_else(String::new, |identity| identity.id.clone());
    draft[hop].exit_attributes.set("http.request.header.baggage", vec![format!("user.id={id}")]);
    scene.near_miss(guards, &mut draft, hop);
    scene.push(draft);
}

/// Server and framework both make a SERVER span of one request; only the outer one names the user.
pub(super) fn twice_instrumented(scene: &mut Scene<'_>, guards: Rules) {
    at_first(scene, guards, |scene, draft, hop| {
        let Protocol::Http(method) = draft[hop].operation.protocol else { return };
        let route = draft[hop].operation.route.clone();
        let inner = Work::new(&mut scene.dice, Kind::Server, draft[hop].operation.name())
            .with("http.request.method", method)
            .with("url.path", route.replace("{id}", "8123").replace("{name}", "planner"))
            .with("http.route", route)
            .with("http.response.status_code", 200);
        draft[hop].controller = None;
        draft[hop].work.insert(0, inner);
    });
}

/// Spans that claim to be of a service that never shows an identity, and name one, outside any entry of it.
pub(super) fn forged_capability(scene: &mut Scene<'_>, guards: Rules) {
    at_first(scene, guards, |scene, draft, hop| {
        let mut claim = Work::new(&mut scene.dice, Kind::Internal, "warm up").with("enduser.id", "u-00002");
        claim.forged_by = scene.fleet.uncovered();
        draft[hop].work.push(claim);
    });
}
