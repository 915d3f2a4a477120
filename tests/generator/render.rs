//! Drafts to spans: ids, times, kinds and the attributes of OpenTelemetry's conventions, old and new.

use std::sync::Arc;

use super::draft::{Draft, Hop, HopId, Work};
use super::fleet::{Fleet, Protocol, Service};
use super::identity::{self, Crossing};
use super::span::{Attributes, Kind, Link, Resource, Span, SpanId};

const MICRO: u64 = 1_000;
const SAMPLED: u32 = 1;
const HAS_REMOTE: u32 = 0x100;
const REMOTE: u32 = 0x200;

/// The spans of `draft`, as its services' tracers would send them.
pub(super) fn spans(fleet: &Fleet, draft: &Draft) -> Vec<Span> {
    let mut page = Page { fleet, draft, spans: Vec::new() };
    let parent = draft.root_parent;
    page.hop(Draft::ROOT, parent, draft.start);
    page.spans
}

struct Page<'a> {
    fleet: &'a Fleet,
    draft: &'a Draft,
    spans: Vec<Span>,
}

impl Page<'_> {
    /// Writes the hop `id`, which begins at `start`, and all below it. Says when it ended.
    fn hop(&mut self, id: HopId, parent: Option<SpanId>, start: u64) -> u64 {
        let (draft, fleet) = (self.draft, self.fleet);
        let hop = &draft[id];
        let service = &fleet[hop.service];
        let place = self.spans.len();
        let frame = hop.controller.unwrap_or(hop.entry);
        let mut now = start + 300 * MICRO;
        for work in &hop.work {
            self.work(hop, frame, work, now);
            now += 900 * MICRO;
        }
        let mut end = now;
        for below in draft.below(id) {
            now = self.call(id, below, frame, now);
            end = end.max(now);
        }
        end += 200 * MICRO;
        if let Some(controller) = hop.controller {
            let mut span = self.span(hop, controller, Some(hop.entry), Kind::Internal, "controller");
            (span.start, span.end) = (start + 100 * MICRO, end - 100 * MICRO);
            self.spans.insert(place, span);
        }
        let kind = match hop.operation.protocol {
            _ if hop.headless.is_some() => Kind::Internal,
            Protocol::Message { .. } => Kind::Consumer,
            Protocol::Http(_) | Protocol::Rpc => Kind::Server,
        };
        let name = hop.headless.map_or_else(|| hop.operation.name(), str::to_owned);
        let mut span = self.span(hop, hop.entry, parent, kind, &name);
        (span.start, span.end) = (start, end);
        if parent.is_some() && service.flags {
            span.flags |= REMOTE;
        }
        span.error = hop.status >= 500;
        span.dropped = hop.dropped;
        span.links.clone_from(&hop.links);
        span.attributes = self.entry_attributes(hop);
        self.spans.insert(place, span);
        let ahead = service.clock.unsigned_abs() * 1_000_000_000;
        for span in self.spans.iter_mut().skip(place).filter(|span| span.resource.service == service.name) {
            let shift = |time: u64| if service.clock < 0 { time - ahead } else { time + ahead };
            (span.start, span.end) = (shift(span.start), shift(span.end));
        }
        end
    }

    /// Writes the call from `id` to `below`, at `now`. Says when the caller went on.
    fn call(&mut self, id: HopId, below: HopId, frame: SpanId, now: u64) -> u64 {
        let (draft, fleet) = (self.draft, self.fleet);
        let (caller, callee) = (&draft[id], &draft[below]);
        let service = &fleet[callee.service];
        let message = callee.operation.is_message();
        let kind = if message { Kind::Producer } else { Kind::Client };
        let place = self.spans.len();
        let mut exit = self.span(caller, callee.exit, Some(frame), kind, &exit_name(callee));
        exit.attributes = exit_attributes(callee, service, fleet[caller.service].old_names);
        exit.error = callee.status >= 500;
        let arrival = if message { now + 40_000 * MICRO } else { now + 250 * MICRO };
        let mut end = now + 400 * MICRO;
        if !callee.unsampled {
            let linked = callee.trace != caller.trace;
            let done = self.hop(below, (!linked).then_some(callee.exit), arrival);
            if !message {
                end = done + 250 * MICRO;
            }
            if linked {
                let link = Link { trace: caller.trace, span: callee.exit };
                if let Some(entry) = self.spans.iter_mut().find(|span| span.id == callee.entry) {
                    entry.links.insert(0, link);
                }
            }
        }
        (exit.start, exit.end) = (now, end);
        self.spans.insert(place, exit);
        end
    }

    fn work(&mut self, hop: &Hop, frame: SpanId, work: &Work, now: u64) {
        let mut span = self.span(hop, work.id, Some(frame), work.kind, &work.name);
        (span.start, span.end) = (now, now + 700 * MICRO);
        span.attributes = work.attributes.clone();
        span.events.clone_from(&work.events);
        if let Some(forger) = work.forged_by {
            span.resource = resource(self.fleet, &self.fleet[forger], hop.version);
        }
        self.spans.push(span);
    }

    fn span(&self, hop: &Hop, id: SpanId, parent: Option<SpanId>, kind: Kind, name: &str) -> Span {
        let service = &self.fleet[hop.service];
        Span {
            resource: resource(self.fleet, service, hop.version),
            trace: hop.trace,
            id,
            parent,
            name: name.to_owned(),
            kind,
            start: 0,
            end: 0,
            flags: if service.flags { SAMPLED | HAS_REMOTE } else { 0 },
            error: false,
            attributes: Attributes::default(),
            events: Vec::new(),
            links: Vec::new(),
            dropped: 0,
        }
    }

    fn entry_attributes(&self, hop: &Hop) -> Attributes {
        let service = &self.fleet[hop.service];
        let mut to = Attributes::default();
        if hop.headless.is_none() {
            transport(hop, service, &mut to);
        }
        if self.fleet.has_crate() && hop.shows && hop.headless.is_none() {
            let sealed = hop.parent.is_some() && self.fleet.stack == super::fleet::Stack::Sealed;
            let crossing = Crossing {
                service,
                caller: hop.parent.map(|caller| &self.fleet[self.draft[caller].service]),
                operation: &hop.operation,
                seal: hop
                    .identity
                    .as_ref()
                    .filter(|_| sealed)
                    .map(|identity| identity::seal(identity, hop.trace)),
                txn: self.draft.txn.clone(),
                sealed_at: i64::try_from(self.draft.start / 1_000_000_000).unwrap_or_default(),
            };
            identity::write_crate(hop.identity.as_ref(), crossing, &mut to);
        } else if let (true, Some(identity)) = (hop.shows, &hop.identity) {
            service.dialect.write(&identity.spelled_by(service), &mut to);
        }
        to.extend(&hop.attributes);
        to
    }
}

fn resource(fleet: &Fleet, service: &Service, version: &str) -> Arc<Resource> {
    Arc::new(Resource {
        service: service.name.clone(),
        namespace: fleet.name.clone(),
        version: version.to_owned(),
        instance: format!("{}-0", service.name),
    })
}

fn path(route: &str) -> String {
    route.replace("{id}", "8123").replace("{name}", "planner")
}

/// What the entry span of `hop` says of the crossing itself.
fn transport(hop: &Hop, service: &Service, to: &mut Attributes) {
    let scheme = if hop.tls { "https" } else { "http" };
    let route = hop.operation.route.as_str();
    match hop.operation.protocol {
        Protocol::Http(method) if service.old_names => {
            to.set("http.method", method);
            to.set("http.target", path(route));
            to.set("http.scheme", scheme);
            to.set("http.route", route);
            to.set("http.status_code", i64::from(hop.status));
            to.set("http.user_agent", hop.user_agent);
            to.set("net.host.name", service.name.as_str());
        }
        Protocol::Http(method) => {
            to.set("http.request.method", method);
            to.set("url.path", path(route));
            to.set("url.scheme", scheme);
            to.set("http.route", route);
            to.set("http.response.status_code", i64::from(hop.status));
            to.set("user_agent.original", hop.user_agent);
            to.set("server.address", service.name.as_str());
        }
        Protocol::Rpc => rpc(route, service.old_names, to),
        Protocol::Message { .. } => messaging(route, "process", service.old_names, to),
    }
    if hop.parent.is_none() && matches!(hop.operation.protocol, Protocol::Http(_)) {
        to.set(if service.old_names { "http.client_ip" } else { "client.address" }, "203.0.113.20");
    }
}

fn exit_name(callee: &Hop) -> String {
    match callee.operation.protocol {
        Protocol::Http(method) => method.to_owned(),
        Protocol::Rpc => callee.operation.route.clone(),
        Protocol::Message { .. } => format!("publish {}", callee.operation.route),
    }
}

/// What the caller's exit span says of the call to `callee`.
fn exit_attributes(callee: &Hop, service: &Service, old_names: bool) -> Attributes {
    let mut to = Attributes::default();
    let route = callee.operation.route.as_str();
    let scheme = if callee.tls { "https" } else { "http" };
    let url = format!("{scheme}://{}:8080{}", service.name, path(route));
    match callee.operation.protocol {
        Protocol::Http(method) if old_names => {
            to.set("http.method", method);
            to.set("http.url", url);
            to.set("net.peer.name", service.name.as_str());
            to.set("http.status_code", i64::from(callee.status));
        }
        Protocol::Http(method) => {
            to.set("http.request.method", method);
            to.set("url.full", url);
            to.set("server.address", service.name.as_str());
            to.set("server.port", 8080);
            to.set("http.response.status_code", i64::from(callee.status));
        }
        Protocol::Rpc => {
            rpc(route, old_names, &mut to);
            to.set(if old_names { "net.peer.name" } else { "server.address" }, service.name.as_str());
        }
        Protocol::Message { .. } => messaging(route, "publish", old_names, &mut to),
    }
    to.extend(&callee.exit_attributes);
    to
}

fn rpc(route: &str, old_names: bool, to: &mut Attributes) {
    if let (true, Some((service, method))) = (old_names, route.split_once('/')) {
        to.set("rpc.system", "grpc");
        to.set("rpc.service", service);
        to.set("rpc.method", method);
        to.set("rpc.grpc.status_code", 0);
    } else {
        to.set("rpc.system.name", "grpc");
        to.set("rpc.method", route);
        to.set("rpc.response.status_code", "OK");
    }
}

fn messaging(topic: &str, what: &str, old_names: bool, to: &mut Attributes) {
    to.set("messaging.system", "kafka");
    if old_names {
        to.set("messaging.destination", topic);
        to.set("messaging.operation", what);
    } else {
        to.set("messaging.destination.name", topic);
        to.set("messaging.operation.type", what);
        to.set("messaging.operation.name", what);
    }
}
