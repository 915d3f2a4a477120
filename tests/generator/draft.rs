//! One request on its way through a fleet, before it becomes spans.

use std::ops::{Index, IndexMut};

use super::dice::Dice;
use super::fleet::{Fleet, GATEWAY, Operation, Protocol, ServiceId, Stack};
use super::identity::Identity;
use super::span::{Attributes, Event, Kind, Link, SpanId, TraceId};

/// A hop of a draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HopId(usize);

/// A span inside a hop that leads nowhere we can see: a query, a call to a third party, a tool.
#[derive(Debug, Clone)]
pub(super) struct Work {
    /// Its id.
    pub(super) id: SpanId,
    /// Its name.
    pub(super) name: String,
    /// Its kind.
    pub(super) kind: Kind,
    /// Its attributes.
    pub(super) attributes: Attributes,
    /// Its events.
    pub(super) events: Vec<Event>,
    /// Whether it changes something.
    pub(super) writes: bool,
    /// Another service that claims to have produced it.
    pub(super) forged_by: Option<ServiceId>,
}

/// One crossing into a service.
#[derive(Debug, Clone)]
pub(super) struct Hop {
    /// The callee.
    pub(super) service: ServiceId,
    /// The calling hop.
    pub(super) parent: Option<HopId>,
    /// What it was called for.
    pub(super) operation: Operation,
    /// The trace its entry span is in.
    pub(super) trace: TraceId,
    /// Its entry span.
    pub(super) entry: SpanId,
    /// The span of the caller that led to it.
    pub(super) exit: SpanId,
    /// The span between the entry and everything below, if the framework has one.
    pub(super) controller: Option<SpanId>,
    /// What it received.
    pub(super) identity: Option<Identity>,
    /// Whether its span says so.
    pub(super) shows: bool,
    /// What it did besides calling.
    pub(super) work: Vec<Work>,
    /// HTTP status it answered.
    pub(super) status: u16,
    /// What its caller called itself.
    pub(super) user_agent: &'static str,
    /// On the entry span, in place of what would stand there.
    pub(super) attributes: Attributes,
    /// The same on the exit span.
    pub(super) exit_attributes: Attributes,
    /// Links of the entry span.
    pub(super) links: Vec<Link>,
    /// Whether the URL scheme is `https`.
    pub(super) tls: bool,
    /// No request came in: the entry span is INTERNAL, has this name and no parent.
    pub(super) headless: Option<&'static str>,
    /// The entry span and everything below it was not sampled.
    pub(super) unsampled: bool,
    /// Attributes its tracer says it dropped.
    pub(super) dropped: u32,
    /// `service.version`.
    pub(super) version: &'static str,
    /// Does not happen, nor does anything below it.
    pub(super) cut: bool,
}

/// A request and everything it causes.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    /// When it begins, nanoseconds since the Unix epoch.
    pub(super) start: u64,
    /// The parent that the root span claims to have.
    pub(super) root_parent: Option<SpanId>,
    /// Its transaction.
    pub(super) txn: String,
    /// Whether a near miss was put into it.
    pub(super) near_miss: bool,
    hops: Vec<Hop>,
}

impl Index<HopId> for Draft {
    type Output = Hop;

    #[expect(clippy::indexing_slicing, reason = "a draft makes its ids itself")]
    fn index(&self, id: HopId) -> &Hop {
        &self.hops[id.0]
    }
}

impl IndexMut<HopId> for Draft {
    #[expect(clippy::indexing_slicing, reason = "a draft makes its ids itself")]
    fn index_mut(&mut self, id: HopId) -> &mut Hop {
        &mut self.hops[id.0]
    }
}

impl Draft {
    /// The hop everything begins with.
    pub(super) const ROOT: HopId = HopId(0);

    /// A draft whose first hop is `operation` at `service`, for `identity`.
    pub(super) fn rooted(
        dice: &mut Dice,
        fleet: &Fleet,
        start: u64,
        service: ServiceId,
        operation: Operation,
        identity: Option<Identity>,
    ) -> Self {
        let trace = dice.trace_id();
        let mut draft =
            Self { start, root_parent: None, txn: dice.hex(16), near_miss: false, hops: Vec::new() };
        let id = draft.add(dice, fleet, None, service, operation);
        draft[id].trace = trace;
        draft[id].identity = identity;
        draft
    }

    /// Adds a hop below `parent`, which passes its identity on. It does nothing yet.
    pub(super) fn add(
        &mut self,
        dice: &mut Dice,
        fleet: &Fleet,
        parent: Option<HopId>,
        service: ServiceId,
        operation: Operation,
    ) -> HopId {
        let above = parent.map(|id| &self[id]);
        let own_trace = operation.protocol == Protocol::Message { linked: true };
        let trace = above.filter(|_| !own_trace).map_or_else(|| dice.trace_id(), |hop| hop.trace);
        let identity = above.and_then(|hop| {
            hop.identity.as_ref().map(|identity| identity.passed_by(&fleet[hop.service], fleet.stack))
        });
        let hop = Hop {
            service,
            parent,
            trace,
            entry: dice.span_id(),
            exit: dice.span_id(),
            controller: dice.percent(40).then(|| dice.span_id()),
            identity,
            shows: fleet[service].covered,
            work: Vec::new(),
            status: if operation.protocol == Protocol::Http("POST") { 201 } else { 200 },
            operation,
            user_agent: if parent.is_none() { "Mozilla/5.0 (X11; Linux x86_64)" } else { "okhttp/4.12" },
            attributes: Attributes::default(),
            exit_attributes: Attributes::default(),
            links: Vec::new(),
            tls: fleet.stack != Stack::Plain || service == GATEWAY,
            headless: None,
            unsampled: false,
            dropped: 0,
            version: "1.4.0",
            cut: false,
        };
        self.hops.push(hop);
        HopId(self.hops.len() - 1)
    }

    /// Adds everything `service` and the services below it do when they are called from `parent`.
    ///
    /// Unless `whole`, branches outside the trunk are left out or taken twice by chance.
    pub(super) fn add_all_below(&mut self, dice: &mut Dice, fleet: &Fleet, parent: HopId, whole: bool) {
        let service = self[parent].service;
        for below in fleet.ids().filter(|id| fleet[*id].caller == Some(service)) {
            let trunk = below <= super::fleet::CONSUMER;
            let times = if trunk || whole { 1 } else { *dice.pick(&[0, 1, 1, 1, 1, 2]) };
            for _ in 0..times {
                let hop = self.add(dice, fleet, Some(parent), below, fleet[below].operation.clone());
                self.add_database(dice, fleet, hop);
                self.add_all_below(dice, fleet, hop, whole);
            }
        }
    }

    /// Adds the query or statement that `hop`'s service runs.
    pub(super) fn add_database(&mut self, dice: &mut Dice, fleet: &Fleet, hop: HopId) {
        let service = &fleet[self[hop].service];
        let work = if service.writes {
            Work::statement(dice, service.old_names, "INSERT")
        } else if dice.percent(60) {
            Work::statement(dice, service.old_names, "SELECT")
        } else {
            return;
        };
        self[hop].work.push(work);
    }

    /// Every hop that happens, callers before those they call.
    pub(super) fn ids(&self) -> Vec<HopId> {
        (0..self.hops.len()).map(HopId).filter(|id| self.happens(*id)).collect()
    }

    fn happens(&self, id: HopId) -> bool {
        !self[id].cut && self[id].parent.is_none_or(|parent| self.happens(parent))
    }

    /// The hops called by `id`.
    pub(super) fn below(&self, id: HopId) -> Vec<HopId> {
        self.ids().into_iter().filter(|below| self[*below].parent == Some(id)).collect()
    }

    /// `id` and every hop below it.
    pub(super) fn with_all_below(&self, id: HopId) -> Vec<HopId> {
        self.ids().into_iter().filter(|hop| *hop == id || self.above(*hop).contains(&id)).collect()
    }

    /// The hops above `id`, nearest first.
    pub(super) fn above(&self, id: HopId) -> Vec<HopId> {
        std::iter::successors(self[id].parent, |above| self[*above].parent).collect()
    }

    /// The nearest hop above `id` whose span names an identity.
    pub(super) fn identified_above(&self, id: HopId) -> Option<HopId> {
        self.above(id).into_iter().find(|above| self[*above].shows && self[*above].identity.is_some())
    }

    /// Takes everything below `id` out of the draft.
    pub(super) fn cut_below(&mut self, id: HopId) {
        for below in self.below(id) {
            self[below].cut = true;
        }
    }

    /// Takes the messages sent by `id` and from below it out of the draft.
    pub(super) fn cut_messages_below(&mut self, id: HopId) {
        for below in self.with_all_below(id) {
            if below != id && self[below].operation.is_message() {
                self[below].cut = true;
            }
        }
    }

    /// The first write in the frame of `id`, or of a hop below it with nobody known to act in between, with the
    /// spans that lead there.
    pub(super) fn write_below(&self, id: HopId) -> Option<Vec<SpanId>> {
        let nobodys = |hop: &HopId| !self[*hop].shows || self[*hop].identity.is_none();
        let for_nobody = |hop: HopId| {
            let mut way = std::iter::once(hop).chain(self.above(hop)).take_while(|above| *above != id);
            self[hop].trace == self[id].trace && way.all(|above| nobodys(&above))
        };
        self.with_all_below(id).into_iter().filter(|hop| for_nobody(*hop)).find_map(|hop| {
            let published = self.below(hop).into_iter().find(|below| self[*below].operation.is_message());
            let write = self[hop].work.iter().find(|work| work.writes).map(|work| work.id);
            let write = write.or_else(|| published.map(|below| self[below].exit))?;
            let mut way = self.way(id, hop);
            way.extend(self[hop].controller);
            way.push(write);
            Some(way)
        })
    }

    /// The spans that lead from the hop `from` down to the hop `to`, both entries included.
    pub(super) fn way(&self, from: HopId, to: HopId) -> Vec<SpanId> {
        let mut spans = vec![self[to].entry];
        let mut at = to;
        while at != from {
            let Some(parent) = self[at].parent else { break };
            spans.push(self[at].exit);
            spans.extend(self[parent].controller);
            spans.push(self[parent].entry);
            at = parent;
        }
        spans
    }
}

impl Work {
    /// A span inside a hop.
    pub(super) fn new(dice: &mut Dice, kind: Kind, name: impl Into<String>) -> Self {
        Self {
            id: dice.span_id(),
            name: name.into(),
            kind,
            attributes: Attributes::default(),
            events: Vec::new(),
            writes: false,
            forged_by: None,
        }
    }

    /// The same with an attribute.
    #[must_use]
    pub(super) fn with(mut self, key: &str, value: impl Into<super::span::Value>) -> Self {
        self.attributes.set(key, value);
        self
    }

    /// A database statement.
    pub(super) fn statement(dice: &mut Dice, old_names: bool, verb: &str) -> Self {
        let statement = match verb {
            "SELECT" => "SELECT id, total FROM items WHERE id = ?",
            "UPDATE" => "UPDATE items SET total = ? WHERE id = ?",
            _ => "INSERT INTO items (id, total) VALUES (?, ?)",
        };
        let [system, operation, text, name] = if old_names {
            ["db.system", "db.operation", "db.statement", "net.peer.name"]
        } else {
            ["db.system.name", "db.operation.name", "db.query.text", "server.address"]
        };
        let mut work = Self::new(dice, Kind::Client, format!("{verb} items"))
            .with(system, "postgresql")
            .with(operation, verb)
            .with(text, statement)
            .with(name, "items-db");
        work.writes = verb != "SELECT";
        work
    }

    /// Whether it asks the issuer about a credential.
    pub(super) fn asks_issuer(&self) -> bool {
        let url = format!("https://{}{}", super::scene::ISSUER, super::scene::VALIDATE);
        self.attributes.get("url.full") == Some(&url.into())
    }

    /// A call to a third party.
    pub(super) fn outside(dice: &mut Dice, method: &str, host: &str, path: &str) -> Self {
        Self::new(dice, Kind::Client, method)
            .with("http.request.method", method)
            .with("url.full", format!("https://{host}{path}"))
            .with("server.address", host)
            .with("server.port", 443)
            .with("http.response.status_code", 200)
    }
}
