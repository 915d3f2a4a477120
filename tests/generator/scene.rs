//! A fleet at work, and the pen that writes down what is true of it.

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
        let mut draft = self.rooted(GATEWAY, self.fleet[GATEWAY].operation.clone(), identity);
        if draft[Draft::ROOT].identity.is_some() {
            let validate = Work::outside(&mut self.dice, "GET", "login.example.org", "/oauth2/validate");
            draft[Draft::ROOT].work.push(validate);
        }
        draft.add_database(&mut self.dice, &self.fleet, Draft::ROOT);
        draft.add_all_below(&mut self.dice, &self.fleet, Draft::ROOT, whole);
        if self.fleet.agents {
            self.run_agent(&mut draft);
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

    /// A hop of `draft` below the root that `fits`; [`FIRST`] is always in a request.
    pub(super) fn choose(&mut self, draft: &Draft, fits: impl Fn(&Draft, HopId) -> bool) -> HopId {
        let hops: Vec<HopId> = draft
            .ids()
            .into_iter()
            .filter(|hop| *hop != Draft::ROOT && draft[*hop].shows && fits(draft, *hop))
            .collect();
        *self.dice.pick(&hops)
    }

    /// A hop reached by a call of a service whose clock is right and that spells identities as others do.
    pub(super) fn choose_called(&mut self, draft: &Draft) -> HopId {
        let odd: Vec<ServiceId> =
            self.fleet.ids().filter(|id| self.fleet[*id].respells || self.fleet[*id].clock != 0).collect();
        self.choose(draft, |draft, hop| {
            !draft[hop].operation.is_message() && !odd.contains(&draft[hop].service)
        })
    }

    /// Writes down that `rule` is true at `hop`, to be seen from `evidence`.
    pub(super) fn record(&mut self, rule: &'static str, draft: &Draft, hop: HopId, evidence: Vec<SpanId>) {
        self.record_as(rule, Subject::Span, draft, hop, evidence);
    }

    /// The same for a rule about something else than a span.
    pub(super) fn record_as(
        &mut self,
        rule: &'static str,
        subject: Subject,
        draft: &Draft,
        hop: HopId,
        evidence: Vec<SpanId>,
    ) {
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
    }

    /// Lets a finding name `spans` instead of the hop of what was recorded last.
    pub(super) fn also(&mut self, spans: impl IntoIterator<Item = SpanId>) {
        if let Some(injected) = self.truth.injected.last_mut() {
            injected.also.extend(spans);
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
        });
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

    /// All spans of the scene.
    pub(super) fn finish(self) -> Vec<Span> {
        let injected = std::mem::take(&mut self.truth.injected);
        let stands = |injected: &Injected| {
            injected.rule != "optional_auth_endpoint"
                || !injected.service.starts_with(&format!("{}-", self.fleet.name))
                || self.served(&injected.service, &injected.operation) >= ENOUGH
        };
        let injected = injected.into_iter().filter(stands).collect();
        self.truth.injected = injected;
        let (traces, near) = self.counts();
        self.truth.traces += traces;
        self.truth.near_miss_traces += near;
        self.drafts.iter().flat_map(|draft| render::spans(&self.fleet, draft)).collect()
    }
}
