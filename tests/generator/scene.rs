//! A fleet at work, and the pen that writes down what is true of it.

use std::collections::BTreeMap;

use super::dice::Dice;
use super::draft::{Draft, HopId, Work};
use super::fleet::{FIRST, Fleet, GATEWAY, Operation, SECOND, ServiceId};
use super::identity::{Identity, Kind as Who};
use super::render;
use super::span::{Kind, Span, SpanId};
use super::truth::{Injected, NearMiss, Subject, Truth};

/// 2026-01-15T08:25:00Z: far enough from the full hour for wrong clocks to stay within it.
const EPOCH: u64 = 1_768_465_500_000_000_000;
/// Calls of an operation below which nobody can say what is usual there.
const ENOUGH: usize = 5;
/// Who issues the tokens, and where it says whether one is good.
pub(super) const ISSUER: &str = "login.example.org";
pub(super) const VALIDATE: &str = "/oauth2/validate";
/// The version of a service that was released anew.
pub const RELEASED: &str = "1.5.0";
/// Routes that everyone may call: those that the policy declares, and logins by their nature.
pub(super) const PUBLIC: [&str; 2] = ["/catalog", "/logout"];
/// By which Spring Security says that it has validated the credential.
pub(super) const FRAMEWORK: &str = "spring.security.authentication.type";
const SECOND_NANOS: u64 = 1_000_000_000;

/// What a recipe works on.
pub(super) struct Scene<'t> {
    /// The services.
    pub(super) fleet: Fleet,
    /// All chance.
    pub(super) dice: Dice,
    /// The recipe at work.
    pub(super) recipe: &'static str,
    truth: &'t mut Truth,
    drafts: Vec<Draft>,
    now: u64,
}

impl<'t> Scene<'t> {
    /// A fleet before its first request.
    pub(super) fn new(fleet: Fleet, dice: Dice, truth: &'t mut Truth) -> Self {
        Self { fleet, dice, recipe: "clean", truth, drafts: Vec::new(), now: EPOCH }
    }

    /// Lets `history` clean requests (0: a few) pass. The first ones reach every service.
    pub(super) fn clean(&mut self, history: usize) {
        let few = usize::try_from(self.dice.between(4, 7)).unwrap_or_default();
        for number in 0..history.max(few) {
            let draft = self.request_whole(number < 3);
            self.push(draft);
        }
    }

    /// Someone of the fleet's people, with a fresh login.
    pub(super) fn person(&mut self) -> Identity {
        let id = self.dice.pick(&self.fleet.people).clone();
        self.login(&id)
    }

    /// `id`, with a fresh login.
    pub(super) fn login(&mut self, id: &str) -> Identity {
        let tenant = self.tenant_of(id);
        let now = self.seconds();
        Identity::user(&mut self.dice, id, &tenant, now)
    }

    /// Someone else than `id`, in the same tenant and with the same rights and times.
    pub(super) fn other_than(&mut self, identity: &Identity) -> Identity {
        let others: Vec<&String> = self.fleet.people.iter().filter(|id| **id != identity.id).collect();
        let id = (*self.dice.pick(&others)).clone();
        Identity { id, fingerprint: self.dice.hex(16), ..identity.clone() }
    }

    fn tenant_of(&self, id: &str) -> String {
        let place = self.fleet.people.iter().position(|known| known == id).unwrap_or_default();
        self.fleet.tenants.iter().cycle().nth(place).cloned().unwrap_or_default()
    }

    /// When the next request begins, in seconds since the Unix epoch.
    pub(super) fn seconds(&self) -> i64 {
        i64::try_from(self.now / SECOND_NANOS).unwrap_or_default()
    }

    /// A clean request of one of the people through the whole graph. Not part of the scene until pushed.
    pub(super) fn request(&mut self) -> Draft {
        self.request_whole(false)
    }

    fn request_whole(&mut self, whole: bool) -> Draft {
        let identity = self.person();
        self.request_of(Some(identity), whole)
    }

    /// A request of `identity` through the graph.
    pub(super) fn request_of(&mut self, identity: Option<Identity>, whole: bool) -> Draft {
        let mut draft = self.validated(self.fleet[GATEWAY].operation.clone(), identity);
        draft.add_database(&mut self.dice, &self.fleet, Draft::ROOT);
        draft.add_all_below(&mut self.dice, &self.fleet, Draft::ROOT, whole);
        if self.fleet.agents {
            self.run_agent(&mut draft);
        }
        draft
    }

    /// A request that so far is one hop of the gateway, which asks the issuer about whoever calls.
    pub(super) fn validated(&mut self, operation: Operation, identity: Option<Identity>) -> Draft {
        let mut draft = self.rooted(GATEWAY, operation, identity);
        if draft[Draft::ROOT].identity.is_some() {
            let validate = Work::outside(&mut self.dice, "GET", ISSUER, VALIDATE);
            draft[Draft::ROOT].work.push(validate);
        }
        draft
    }

    /// A request that so far is one hop: `operation` at `service`.
    pub(super) fn rooted(
        &mut self,
        service: ServiceId,
        operation: Operation,
        identity: Option<Identity>,
    ) -> Draft {
        Draft::rooted(&mut self.dice, &self.fleet, self.now, service, operation, identity)
    }

    /// Adds a call of `operation` at `service` below `parent`.
    pub(super) fn call(
        &mut self,
        draft: &mut Draft,
        parent: HopId,
        service: ServiceId,
        operation: Operation,
    ) -> HopId {
        draft.add(&mut self.dice, &self.fleet, Some(parent), service, operation)
    }

    fn run_agent(&mut self, draft: &mut Draft) {
        for hop in draft.ids() {
            let work = match draft[hop].service {
                FIRST => Work::new(&mut self.dice, Kind::Internal, "invoke_agent planner")
                    .with("gen_ai.operation.name", "invoke_agent")
                    .with("gen_ai.agent.name", "planner"),
                SECOND => Work::new(&mut self.dice, Kind::Internal, "execute_tool book_seat")
                    .with("gen_ai.operation.name", "execute_tool")
                    .with("gen_ai.tool.name", "book_seat"),
                _ => continue,
            };
            if draft[hop].service == SECOND {
                draft[hop].attributes.set("mcp.method.name", "tools/call");
            }
            draft[hop].work.push(work);
        }
    }

    /// Takes a request into the scene, and lets time pass.
    pub(super) fn push(&mut self, mut draft: Draft) {
        self.note_oddities(&mut draft);
        self.record_unvalidated(&draft);
        self.drafts.push(draft);
        self.now += self.dice.between(1, 8) * SECOND_NANOS;
    }

    /// A service that spells subjects its own way, or whose clock is wrong, is a near miss wherever it is called.
    fn note_oddities(&mut self, draft: &mut Draft) {
        let recipe = self.recipe;
        for hop in draft.ids() {
            if draft[hop].identity.is_none() {
                continue;
            }
            let service = &self.fleet[draft[hop].service];
            if service.respells {
                self.recipe = "two_spellings";
                self.near_miss(&["identity_swapped"], draft, hop);
            } else if service.clock != 0 && self.fleet.has_crate() {
                self.recipe = "skewed_clock";
                self.near_miss(&["expired_at_hop", "premature_or_future"], draft, hop);
            }
        }
        self.recipe = recipe;
    }

    /// Writes down where a user is named first, and "trace shows neither crate/mesh evidence at S nor any call to
    /// IdP/introspection/`/validate`-type endpoint in frame(S) or by its gateway sibling" (F28). "Offline JWT validation
    /// leaves no span": only of the gateway, which is seen to ask at other times, does anybody have to say so.
    fn record_unvalidated(&mut self, draft: &Draft) {
        if self.fleet.has_crate() {
            return;
        }
        let names_user = |hop: HopId| {
            draft[hop].shows && draft[hop].identity.as_ref().is_some_and(|it| it.kind == Who::User)
        };
        let shown = |hop: HopId| {
            let asks = draft[hop].work.iter().any(|work| work.asks_issuer());
            asks || draft[hop].attributes.get(FRAMEWORK).is_some()
        };
        for hop in draft.ids().into_iter().filter(|hop| names_user(*hop) && draft[*hop].status < 400) {
            let above: Vec<HopId> = draft
                .above(hop)
                .into_iter()
                .filter(|above| draft[*above].trace == draft[hop].trace)
                .collect();
            let is_first = above.iter().all(|above| !draft[*above].shows || draft[*above].identity.is_none());
            let is_shown = std::iter::once(&hop).chain(&above).any(|hop| shown(*hop));
            if draft[hop].operation.is_message() || !is_first || is_shown {
                continue;
            }
            let way = draft.way(above.last().copied().unwrap_or(hop), hop);
            let is_new = self.record_as("no_validation_edge", Subject::Span, draft, hop, way);
            let is_public = PUBLIC.contains(&draft[hop].operation.route.as_str());
            if is_new && (draft[hop].service != GATEWAY || is_public) {
                self.not_asked();
            }
        }
    }

    /// A hop of `draft` below the root that `fits`; [`FIRST`] is always in a request.
    pub(super) fn choose(&mut self, draft: &Draft, fits: impl Fn(&Draft, HopId) -> bool) -> HopId {
        let hops: Vec<HopId> = draft
            .ids()
            .into_iter()
            .filter(|hop| *hop != Draft::ROOT && draft[*hop].shows && fits(draft, *hop))
            .collect();
        *self.dice.pick(&hops)
    }

    /// A hop reached by a call of a service whose clock is right and that spells identities as others do. Nor does it call
    /// one whose clock is wrong: of such a pair nothing tells whose is, and "clock skew" is no finding (F10, F11).
    pub(super) fn choose_called(&mut self, draft: &Draft) -> HopId {
        let odd: Vec<ServiceId> =
            self.fleet.ids().filter(|id| self.fleet[*id].respells || self.fleet[*id].clock != 0).collect();
        let wrong: Vec<ServiceId> = self.fleet.ids().filter(|id| self.fleet[*id].clock != 0).collect();
        self.choose(draft, |draft, hop| {
            let calls_odd =
                || draft.below(hop).into_iter().any(|below| wrong.contains(&draft[below].service));
            !draft[hop].operation.is_message() && !odd.contains(&draft[hop].service) && !calls_odd()
        })
    }

    /// Writes down that `rule` is true at `hop`, to be seen from `evidence`.
    pub(super) fn record(&mut self, rule: &'static str, draft: &Draft, hop: HopId, evidence: Vec<SpanId>) {
        self.record_as(rule, Subject::Span, draft, hop, evidence);
    }

    /// The same for a rule about something else than a span. Says whether it was not known yet.
    pub(super) fn record_as(
        &mut self,
        rule: &'static str,
        subject: Subject,
        draft: &Draft,
        hop: HopId,
        evidence: Vec<SpanId>,
    ) -> bool {
        let hop = &draft[hop];
        let injected = Injected {
            rule,
            recipe: self.recipe,
            subject,
            trace_id: hop.trace,
            span_id: hop.entry,
            also: Vec::new(),
            service: self.fleet[hop.service].name.clone(),
            operation: hop.operation.name(),
            evidence,
            asked: true,
        };
        let known = self.truth.injected.iter().any(|known| match subject {
            Subject::Operation => {
                (known.rule, &known.service, &known.operation)
                    == (rule, &injected.service, &injected.operation)
            }
            Subject::Span | Subject::Trace => {
                (known.rule, known.trace_id, known.span_id) == (rule, injected.trace_id, injected.span_id)
            }
        });
        if !known {
            self.truth.injected.push(injected);
        }
        !known
    }

    /// Lets a finding name `spans` instead of the hop of what was recorded last.
    pub(super) fn also(&mut self, spans: impl IntoIterator<Item = SpanId>) {
        if let Some(injected) = self.truth.injected.last_mut() {
            injected.also.extend(spans);
        }
    }

    /// Lets what was recorded last be something that no finding has to say.
    pub(super) fn not_asked(&mut self) {
        if let Some(injected) = self.truth.injected.last_mut() {
            injected.asked = false;
        }
    }

    /// Writes down everything that follows from `hop` having succeeded without an identity.
    pub(super) fn record_missing(&mut self, draft: &Draft, hop: HopId) {
        if !draft[hop].shows || draft[hop].identity.is_some() {
            return;
        }
        let above = draft.identified_above(hop).filter(|above| {
            draft[*above].trace == draft[hop].trace
                && draft[*above].identity.as_ref().is_some_and(|identity| identity.kind == Who::User)
        });
        if let (Some(above), false) = (above, draft[hop].operation.is_message()) {
            self.record("identity_dropped", draft, hop, draft.way(above, hop));
        }
        if let Some(evidence) = draft.write_below(hop) {
            self.record("anonymous_write", draft, hop, evidence);
        }
        // Whose identity was dropped above has not been let in without one.
        let usual = draft[hop].operation == self.fleet[draft[hop].service].operation;
        if usual && !draft[hop].operation.is_message() && draft.identified_above(hop).is_none() {
            self.record_as("optional_auth_endpoint", Subject::Operation, draft, hop, vec![draft[hop].entry]);
        }
    }

    /// Writes down that `hop` only looks as if one of the rules `guards` were true.
    pub(super) fn near_miss(&mut self, guards: &'static [&'static str], draft: &mut Draft, hop: HopId) {
        draft.near_miss = true;
        self.truth.near_misses.push(NearMiss {
            recipe: self.recipe,
            guards,
            trace_id: draft[hop].trace,
            span_id: draft[hop].entry,
            service: self.fleet[draft[hop].service].name.clone(),
            operation: draft[hop].operation.name(),
            excuse: Vec::new(),
        });
    }

    /// Names the span that alone shows why what was noted last is no fault.
    pub(super) fn excused_by(&mut self, span: SpanId) {
        if let Some(near_miss) = self.truth.near_misses.last_mut() {
            near_miss.excuse.push(span);
        }
    }

    /// Traces of this scene, and how many of them hold a near miss.
    pub(super) fn counts(&self) -> (usize, usize) {
        let of = |draft: &Draft| {
            let traces: std::collections::BTreeSet<_> =
                draft.ids().into_iter().map(|hop| draft[hop].trace).collect();
            traces.len()
        };
        let near = self.drafts.iter().filter(|draft| draft.near_miss).count();
        (self.drafts.iter().map(of).sum(), near)
    }

    /// Calls of `service` for `operation` that succeeded with an identity, or for somebody nobody knew.
    fn served(&self, service: &str, operation: &str) -> usize {
        let counts = |draft: &Draft, hop: HopId| {
            let identified = draft[hop].identity.is_some() || draft.identified_above(hop).is_none();
            draft[hop].status < 400 && !draft[hop].unsampled && identified
        };
        let of = |draft: &Draft| {
            let hops = draft.ids().into_iter().filter(|hop| {
                self.fleet[draft[*hop].service].name == service && draft[*hop].operation.name() == operation
            });
            hops.filter(|hop| counts(draft, *hop)).count()
        };
        self.drafts.iter().map(of).sum()
    }

    /// "(svc, route, method) with >= k successes, all anonymous/unknown on a capable service" (F24): who lets strangers in
    /// on one route again and again has such an endpoint, whatever else was done on purpose there.
    fn record_open_endpoints(&mut self) {
        let mut strangers: BTreeMap<String, Vec<&Injected>> = BTreeMap::new();
        let gateway = &self.fleet[GATEWAY];
        let of_gateway = |injected: &&Injected| {
            (injected.rule, &injected.service) == ("never_established", &gateway.name)
                && injected.operation != gateway.operation.name()
        };
        for injected in self.truth.injected.iter().filter(of_gateway) {
            strangers.entry(injected.operation.clone()).or_default().push(injected);
        }
        let open = strangers.into_values().filter(|of_one| of_one.len() >= ENOUGH);
        let open: Vec<Injected> = open
            .filter_map(|of_one| {
                let evidence = of_one.iter().take(ENOUGH).map(|injected| injected.span_id).collect();
                let first = (*of_one.first()?).clone();
                Some(Injected {
                    rule: "unauthenticated_endpoint",
                    subject: Subject::Operation,
                    evidence,
                    ..first
                })
            })
            .collect();
        self.truth.injected.extend(open);
    }

    /// All spans of the scene.
    pub(super) fn finish(mut self) -> Vec<Span> {
        let injected = std::mem::take(&mut self.truth.injected);
        let stands = |injected: &Injected| {
            injected.rule != "optional_auth_endpoint"
                || !injected.service.starts_with(&format!("{}-", self.fleet.name))
                || self.served(&injected.service, &injected.operation) >= ENOUGH
        };
        let injected = injected.into_iter().filter(stands).collect();
        self.truth.injected = injected;
        self.record_open_endpoints();
        let (traces, near) = self.counts();
        self.truth.traces += traces;
        self.truth.near_miss_traces += near;
        self.drafts.iter().flat_map(|draft| render::spans(&self.fleet, draft)).collect()
    }
}
