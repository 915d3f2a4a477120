//! Requests that need no identity, or were not granted.

use crate::generator::draft::{Draft, HopId};
use crate::generator::fleet::{FIRST, GATEWAY, Operation, SECOND};
use crate::generator::scene::Scene;

use super::Rules;

fn knock(scene: &mut Scene<'_>, guards: Rules, method: &'static str, route: &str, user_agent: &'static str) {
    let mut draft = scene.rooted(GATEWAY, Operation::http(method, route), None);
    draft[Draft::ROOT].user_agent = user_agent;
    draft[Draft::ROOT].status = if method == "OPTIONS" { 204 } else { 200 };
    scene.near_miss(guards, &mut draft, Draft::ROOT);
    scene.push(draft);
}

const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64)";

pub(super) fn health_check(scene: &mut Scene<'_>, guards: Rules) {
    let route = *scene.dice.pick(&["/healthz", "/livez", "/readyz", "/health"]);
    knock(scene, guards, "GET", route, "kube-probe/1.31");
}

pub(super) fn metrics_scrape(scene: &mut Scene<'_>, guards: Rules) {
    knock(scene, guards, "GET", "/metrics", "Prometheus/3.5.0");
}

pub(super) fn login(scene: &mut Scene<'_>, guards: Rules) {
    knock(scene, guards, "POST", "/login", BROWSER);
}

pub(super) fn oauth_callback(scene: &mut Scene<'_>, guards: Rules) {
    knock(scene, guards, "GET", "/oauth2/callback", BROWSER);
}

pub(super) fn preflight(scene: &mut Scene<'_>, guards: Rules) {
    let route = scene.fleet[GATEWAY].operation.route.clone();
    knock(scene, guards, "OPTIONS", &route, BROWSER);
}

pub(super) fn robots(scene: &mut Scene<'_>, guards: Rules) {
    knock(scene, guards, "GET", "/robots.txt", "Googlebot/2.1");
}

pub(super) fn key_set(scene: &mut Scene<'_>, guards: Rules) {
    knock(scene, guards, "GET", "/.well-known/jwks.json", "Java-http-client/21");
}

/// One page for everyone, declared so, which greets those who are logged in.
pub(super) fn public_page(scene: &mut Scene<'_>, guards: Rules) {
    let page = Operation::http("GET", "/catalog");
    let identity = scene.person();
    let draft = scene.rooted(GATEWAY, page, Some(identity));
    scene.push(draft);
    knock(scene, guards, "GET", "/catalog", BROWSER);
}

/// The gateway says no.
pub(super) fn turned_away(scene: &mut Scene<'_>, guards: Rules) {
    let operation = scene.fleet[GATEWAY].operation.clone();
    let mut draft = scene.rooted(GATEWAY, operation, None);
    draft[Draft::ROOT].status = 401;
    scene.near_miss(guards, &mut draft, Draft::ROOT);
    scene.push(draft);
}

fn beside(scene: &mut Scene<'_>, guards: Rules, spoil: impl Fn(&mut Scene<'_>, &mut Draft) -> HopId) {
    let mut draft = scene.request();
    let hop = spoil(scene, &mut draft);
    scene.near_miss(guards, &mut draft, hop);
    scene.push(draft);
}

pub(super) fn static_file(scene: &mut Scene<'_>, guards: Rules) {
    beside(scene, guards, |scene, draft| {
        let file =
            *scene.dice.pick(&["/assets/app.3f2a1c.js", "/static/logo.svg", "/css/site.css", "/favicon.ico"]);
        let hop = scene.call(draft, Draft::ROOT, FIRST, Operation::http("GET", file));
        draft[hop].identity = None;
        hop
    });
}

/// A service inside says no.
pub(super) fn turned_away_inside(scene: &mut Scene<'_>, guards: Rules) {
    beside(scene, guards, |scene, draft| {
        let caller = scene.choose(draft, |draft, hop| draft[hop].service == FIRST);
        let operation = scene.fleet[SECOND].operation.clone();
        let hop = scene.call(draft, caller, SECOND, operation);
        draft[hop].identity = None;
        draft[hop].status = *scene.dice.pick(&[401, 403]);
        hop
    });
}

/// The first try fails before anybody looked at who it was, the second is like any other.
pub(super) fn second_try(scene: &mut Scene<'_>, guards: Rules) {
    beside(scene, guards, |scene, draft| {
        let caller = scene.choose(draft, |draft, hop| draft[hop].service == FIRST);
        let first = scene.choose(draft, |draft, hop| draft[hop].service == SECOND);
        let operation = draft[first].operation.clone();
        let again = scene.call(draft, caller, SECOND, operation);
        draft[again].exit_attributes.set("http.request.resend_count", 1);
        draft.add_all_below(&mut scene.dice, &scene.fleet, again, false);
        draft.cut_below(first);
        draft[first].identity = None;
        draft[first].work.clear();
        draft[first].status = 503;
        first
    });
}
