//! Requests that need no identity, or were not granted.

use crate::generator::draft::{Draft, HopId, Work};
use crate::generator::fleet::{FIRST, GATEWAY, Operation, SECOND};
use crate::generator::scene::{FRAMEWORK, RELEASED, Scene};

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
    let draft = scene.validated(page, Some(identity));
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

fn store(scene: &mut Scene<'_>, draft: &mut Draft) {
    let old_names = scene.fleet[GATEWAY].old_names;
    let write = Work::statement(&mut scene.dice, old_names, "INSERT");
    draft[Draft::ROOT].work.push(write);
}

/// Somebody new: there is nobody yet to be known.
pub(super) fn sign_up(scene: &mut Scene<'_>, guards: Rules) {
    let mut draft = scene.rooted(GATEWAY, Operation::http("POST", "/signup"), None);
    store(scene, &mut draft);
    scene.near_miss(guards, &mut draft, Draft::ROOT);
    scene.push(draft);
}

/// Carts and telemetry are written by strangers (F29), and F02 knows no such exception.
pub(super) fn open_write(scene: &mut Scene<'_>, guards: Rules) {
    let route = *scene.dice.pick(&["/cart", "/v1/traces", "/rum"]);
    let mut draft = scene.rooted(GATEWAY, Operation::http("POST", route), None);
    store(scene, &mut draft);
    scene.record("never_established", &draft, Draft::ROOT, vec![draft[Draft::ROOT].entry]);
    scene.near_miss(guards, &mut draft, Draft::ROOT);
    scene.push(draft);
}

/// A probe asks a service itself, as every orchestrator does.
pub(super) fn probe_past_the_gateway(scene: &mut Scene<'_>, guards: Rules) {
    let mut draft = scene.rooted(FIRST, Operation::http("GET", "/healthz"), None);
    draft[Draft::ROOT].user_agent = "kube-probe/1.31";
    scene.near_miss(guards, &mut draft, Draft::ROOT);
    scene.push(draft);
}

/// A job calls a service past the gateway, and the service has verified it.
pub(super) fn job_past_the_gateway(scene: &mut Scene<'_>, guards: Rules) {
    let client = scene.person().replaced_by_client(&mut scene.dice, "nightly-report");
    let operation = scene.fleet[FIRST].operation.clone();
    let mut draft = scene.rooted(FIRST, operation, Some(client));
    draft[Draft::ROOT].attributes.set(FRAMEWORK, "JwtAuthenticationToken");
    scene.near_miss(guards, &mut draft, Draft::ROOT);
    scene.push(draft);
}

/// A new version is asked more often for what needs no identity, and as before for what does.
pub(super) fn other_traffic_after_release(scene: &mut Scene<'_>, guards: Rules) {
    for _ in 0..3 {
        beside(scene, guards, |scene, draft| {
            let hop = scene.choose(draft, |draft, hop| draft[hop].service == FIRST);
            draft[hop].version = RELEASED;
            let file = scene.call(draft, Draft::ROOT, FIRST, Operation::http("GET", "/assets/new.4f2b.js"));
            draft[file].identity = None;
            draft[file].version = RELEASED;
            hop
        });
    }
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
