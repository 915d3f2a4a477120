//! What the spans themselves give away or leave out.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64URL};

use crate::generator::dice::Dice;
use crate::generator::draft::{Draft, HopId, Work};
use crate::generator::scene::Scene;
use crate::generator::span::{Attributes, Event, Kind, SpanId};
use crate::generator::truth::Subject;

fn frame(draft: &Draft, hop: HopId, inner: SpanId) -> Vec<SpanId> {
    [vec![draft[hop].entry, inner], draft[hop].controller.into_iter().collect()].concat()
}

/// The baggage that names the user goes to a third party.
pub(super) fn identity_leaked_out(scene: &mut Scene<'_>) {
    let mut draft = scene.request();
    let hop = scene.choose_called(&draft);
    let id = draft[hop].identity.as_ref().map_or_else(String::new, |identity| identity.id.clone());
    let key = if scene.fleet.has_crate() { "hopseal.sub" } else { "user.id" };
    let call = Work::outside(&mut scene.dice, "GET", "api.partner-ads.example.com", "/score")
        .with("http.request.header.baggage", vec![format!("{key}={id},region=eu")]);
    scene.record("identity_leaked_out", &draft, hop, frame(&draft, hop, call.id));
    scene.also([call.id]);
    draft[hop].work.push(call);
    scene.push(draft);
}

fn jwt(dice: &mut Dice) -> String {
    let header = BASE64URL.encode(r#"{"alg":"RS256","typ":"JWT","kid":"2026-01"}"#);
    let claims =
        BASE64URL.encode(r#"{"iss":"https://login.example.org","sub":"248289761001","exp":1768467600}"#);
    format!("{header}.{claims}.{}", BASE64URL.encode(dice.bytes::<64>()))
}

/// A token, password or key stands in an attribute, a URL, a statement or an event.
pub(super) fn credential_in_telemetry(scene: &mut Scene<'_>) {
    let mut draft = scene.request();
    let hop = scene.choose_called(&draft);
    let dice = &mut scene.dice;
    let token = jwt(dice);
    let basic = format!("Basic {}", STANDARD.encode(format!("admin:{}", dice.hex(9))));
    let work = match dice.between(0, 6) {
        0 => Work::outside(dice, "GET", "api.maps.example.com", &format!("/tiles?access_token={token}")),
        1 => Work::outside(dice, "GET", "api.maps.example.com", "/tiles")
            .with("http.request.header.authorization", vec![format!("Bearer {token}")]),
        2 => Work::outside(dice, "GET", "api.maps.example.com", "/tiles")
            .with("http.request.header.authorization", vec![basic]),
        3 => Work::statement(dice, false, "SELECT")
            .with("db.query.text", format!("SELECT id FROM sessions WHERE token = '{token}'")),
        4 => Work::new(dice, Kind::Internal, "refresh")
            .with("app.token", format!("v4.public.{}", BASE64URL.encode(dice.bytes::<96>()))),
        5 => Work::new(dice, Kind::Internal, "configure")
            .with("aws.access_key_id", format!("AKIA{}", aws(dice))),
        _ => {
            let mut work = Work::new(dice, Kind::Internal, "log in");
            let mut attributes = Attributes::default();
            attributes.set("message", format!("got token {token}"));
            work.events.push(Event { name: "log".to_owned(), attributes });
            work
        }
    };
    scene.record("credential_in_telemetry", &draft, hop, vec![work.id]);
    scene.also([work.id]);
    draft[hop].work.push(work);
    scene.push(draft);
}

fn aws(dice: &mut Dice) -> String {
    const LETTERS: [char; 32] = [
        'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', 'P', 'Q', 'R', 'S', 'T',
        'U', 'V', 'W', 'X', 'Y', 'Z', '2', '3', '4', '5', '6', '7',
    ];
    (0..16).map(|_| *dice.pick(&LETTERS)).collect()
}

/// Someone is known by an e-mail address, all the way.
pub(super) fn raw_pii_identity(scene: &mut Scene<'_>) {
    let mut identity = scene.person();
    identity.id = format!("ann.{}@example.com", scene.dice.hex(2));
    let draft = scene.request_of(Some(identity), false);
    for hop in draft.ids().into_iter().filter(|hop| draft[*hop].shows) {
        scene.record("raw_pii_identity", &draft, hop, vec![draft[hop].entry]);
    }
    scene.push(draft);
}

/// A call to a service of the house that nobody has ever seen a span of.
pub(super) fn blind_hop(scene: &mut Scene<'_>) {
    let mut draft = scene.request();
    let hop = scene.choose_called(&draft);
    let name = format!("{}-vault", scene.fleet.name);
    let call = Work::new(&mut scene.dice, Kind::Client, "GET")
        .with("http.request.method", "GET")
        .with("url.full", format!("http://{name}:8080/keys/7"))
        .with("server.address", name)
        .with("server.port", 8080)
        .with("http.response.status_code", 200);
    scene.record("blind_hop", &draft, hop, vec![call.id]);
    scene.also([call.id]);
    draft[hop].work.push(call);
    scene.push(draft);
}

/// The gateway's span says it has a parent, which nobody ever sends.
pub(super) fn broken_context(scene: &mut Scene<'_>) {
    let mut draft = scene.request();
    draft.root_parent = Some(scene.dice.span_id());
    scene.record("broken_context", &draft, Draft::ROOT, vec![draft[Draft::ROOT].entry]);
    scene.record_as("audit_gap", Subject::Trace, &draft, Draft::ROOT, vec![draft[Draft::ROOT].entry]);
    scene.push(draft);
}

/// A tracer says that it dropped attributes.
pub(super) fn audit_gap(scene: &mut Scene<'_>) {
    let mut draft = scene.request();
    let hop = scene.choose_called(&draft);
    draft[hop].dropped = 3;
    scene.record_as("audit_gap", Subject::Trace, &draft, hop, vec![draft[hop].entry]);
    scene.push(draft);
}

/// The gateway names a user without having asked anybody whether that is so.
pub(super) fn no_validation_edge(scene: &mut Scene<'_>) {
    let mut draft = scene.request();
    draft[Draft::ROOT].work.retain(|work| !work.asks_issuer());
    scene.push(draft); // which finds out that nobody was asked
}
