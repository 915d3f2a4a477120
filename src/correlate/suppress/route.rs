//! What a route says of itself: static files, health, and what is public by nature.
//!
//! Where the server names the route it took, that is believed and not the path, which the caller chooses; the path
//! counts where no route is named, or one that takes everything. A path that servers read in different ways, with `;`, `..`,
//! empty segments or escapes, is of no convention.

use std::borrow::Cow;

use crate::field::Field;
use crate::hop::{Hop, HopKind, path_of};
use crate::policy::{Allowance, READS, is_ambiguous};
use crate::record::Span;
use crate::rule::Cx;

/// Endings of files that are the same for everyone.
const STATIC: [&str; 22] = [
    "js",
    "mjs",
    "css",
    "map",
    "png",
    "jpg",
    "jpeg",
    "gif",
    "svg",
    "ico",
    "webp",
    "avif",
    "woff",
    "woff2",
    "ttf",
    "otf",
    "eot",
    "wasm",
    "html",
    "htm",
    "txt",
    "webmanifest",
];

/// Words that name a health route wherever they stand last.
const HEALTH: [&str; 8] =
    ["healthz", "livez", "readyz", "healthcheck", "health-check", "liveness", "readiness", "health_check"];

/// Words that name a health route near the root: further down they name a thing of the domain.
const HEALTH_NEAR_ROOT: [&str; 8] =
    ["health", "live", "ready", "ping", "metrics", "prometheus", "startup", "alive"];

/// Words that name a health route only when a probe asks.
const HEALTH_IF_PROBED: [&str; 6] = ["", "status", "up", "version", "info", "index"];

/// Segments that may stand before a health word near the root.
const PREFIXES: [&str; 10] =
    ["api", "-", "_", "q", "manage", "management", "internal", "admin", "system", "health"];

/// What Spring's actuator tells everyone. The rest of it (`env`, `heapdump`, ..) must never be public.
const ACTUATOR: [&str; 4] = ["health", "info", "metrics", "prometheus"];

/// How probes call themselves. Anyone can: never more than a second sign.
const PROBES: [&str; 7] = [
    "kube-probe/",
    "Prometheus/",
    "ELB-HealthChecker/",
    "GoogleHC/",
    "Consul Health Check",
    "Blackbox Exporter/",
    "Envoy/HC",
];

/// Last segments of routes that nobody can be logged in for, when they are read or posted to.
const PUBLIC: [&str; 18] = [
    "login",
    "log-in",
    "signin",
    "sign-in",
    "logout",
    "log-out",
    "signout",
    "sign-out",
    "signup",
    "sign-up",
    "register",
    "forgot-password",
    "reset-password",
    "robots.txt",
    "favicon.ico",
    "jwks",
    "jwks.json",
    "openid-configuration",
];

/// Segments that make a `callback`, `token` or `authorize` below them part of a login.
const LOGIN: [&str; 8] = ["oauth", "oauth2", "oidc", "openid-connect", "auth", "sso", "saml", "connect"];

/// Segments of routes for people of the house.
const INSIDE: [&str; 6] = ["admin", "administration", "console", "internal", "manage", "management"];

/// Last segments of routes on which strangers write. A cart by its id is someone's; `/cart` is that of whoever asks.
const OPEN_WRITES: [&str; 7] = ["basket", "beacon", "cart", "collect", "csp-report", "rum", "telemetry"];

/// Paths of OTLP over HTTP.
const OTLP: [&str; 3] = ["/v1/logs", "/v1/metrics", "/v1/traces"];

/// What is asked for: the route the server names, unless it takes everything; else the path.
fn asked<'t>(span: &Span<'t>) -> &'t str {
    let route = span.get(Field::HttpRoute);
    match route {
        Some(route) if !takes_everything(route) => route,
        _ => path(span).map(plain).or(route).unwrap_or(""),
    }
}

/// A path, unless two servers could read it as two: then one of no convention.
fn plain(path: &str) -> &str {
    if is_ambiguous(path) { "/?" } else { path }
}

/// Whether the server names the route, so that a convention rests on more than the caller's word.
fn is_routed(span: &Span<'_>) -> bool {
    span.get(Field::HttpRoute).is_some_and(|route| !takes_everything(route)) || span.has(Field::RpcMethod)
}

/// The path asked for: the URL's, or a name that looks like one.
fn path<'t>(span: &Span<'t>) -> Option<&'t str> {
    span.get(Field::UrlPath)
        .or_else(|| span.get(Field::UrlFull))
        .map(path_of)
        .or_else(|| span.name.rsplit(' ').next().filter(|name| name.contains('/')).map(path_of))
}

/// Whether a route matches any path below it: `/static/**`, `/*`, `/{path...}`, `/{*rest}`, `/<path:rest>`.
fn takes_everything(route: &str) -> bool {
    let last = route.rsplit('/').next().unwrap_or("");
    last.contains('*') || last.ends_with("...}") || last.starts_with("<path:")
}

/// The method, upper case; older instrumentation only puts it into the name.
fn method<'t>(span: &Span<'t>) -> Option<Cow<'t, str>> {
    const METHODS: [&str; 7] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"];
    let named =
        || span.name.split(' ').next().filter(|word| METHODS.iter().any(|m| m.eq_ignore_ascii_case(word)));
    let method = span.get(Field::HttpMethod).or_else(named)?;
    Some(match method.bytes().any(|byte| byte.is_ascii_lowercase()) {
        true => Cow::Owned(method.to_ascii_uppercase()),
        false => Cow::Borrowed(method),
    })
}

/// What a span was asked, read once for all conventions.
pub(super) struct Request<'s, 't> {
    span: &'s Span<'t>,
    asked: &'t str,
    method: Option<Cow<'t, str>>,
}

impl<'s, 't> Request<'s, 't> {
    pub(super) fn of(span: &'s Span<'t>) -> Self {
        Self { span, asked: asked(span), method: method(span) }
    }

    /// Whether it only reads: no convention covers a write.
    fn reads(&self) -> bool {
        self.method.as_deref().is_none_or(|method| READS.contains(&method))
    }
}

/// Segments of a path, none of them empty.
fn segments(path: &str) -> Vec<&str> {
    path.split('/').filter(|segment| !segment.is_empty()).collect()
}

pub(super) fn is_static(request: &Request<'_, '_>) -> bool {
    let last = request.asked.rsplit('/').next().unwrap_or("");
    request.reads() && last.rsplit_once('.').is_some_and(|(_, ending)| STATIC.contains(&ending))
}

pub(super) fn health(cx: &Cx<'_>, hop: &Hop<'_>, request: &Request<'_, '_>) -> Allowance {
    match is_health(request) {
        true => Allowance::Holds(None),
        false => declared(hop, request, |method, path| {
            cx.policy.health(hop.service, method, path, request.span.start)
        }),
    }
}

fn is_health(request: &Request<'_, '_>) -> bool {
    let Request { span, asked, method } = request;
    if method.as_deref() == Some("OPTIONS")
        || span.name.starts_with("grpc.health.v1.Health/")
        || span.get(Field::RpcService) == Some("grpc.health.v1.Health")
    {
        return true;
    }
    if !request.reads() || span.has(Field::RpcMethod) || span.has(Field::MessagingDestination) {
        return false;
    }
    let segments = segments(asked);
    let (last, before) = segments.split_last().map_or(("", &[][..]), |(last, before)| (*last, before));
    if let Some(at) = segments.iter().position(|segment| *segment == "actuator") {
        return segments.get(at + 1).is_none_or(|part| ACTUATOR.contains(part));
    }
    let near_root = before.iter().all(|segment| PREFIXES.contains(segment) || is_version(segment));
    HEALTH.contains(&last)
        || (near_root && HEALTH_NEAR_ROOT.contains(&last))
        || (near_root && !asked.is_empty() && HEALTH_IF_PROBED.contains(&last) && is_probe(span))
}

/// `v1`, `v2`, ..
fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|rest| rest.parse::<u8>().is_ok())
}

/// Whether the caller says that it is a probe.
fn is_probe(span: &Span<'_>) -> bool {
    span.has(Field::Synthetic)
        || span.get(Field::UserAgent).is_some_and(|agent| PROBES.iter().any(|probe| agent.starts_with(probe)))
}

pub(super) fn public(cx: &Cx<'_>, hop: &Hop<'_>, request: &Request<'_, '_>) -> Allowance {
    match is_public(request) {
        true => Allowance::Holds(None),
        false => declared(hop, request, |method, path| {
            cx.policy.public(hop.service, method, path, request.span.start)
        }),
    }
}

/// Public by nature: a login cannot ask for one.
fn is_public(request: &Request<'_, '_>) -> bool {
    let lower = request.asked.to_ascii_lowercase();
    let segments = segments(&lower);
    let Some((last, before)) = segments.split_last() else { return false };
    let posts = request.method.as_deref() == Some("POST");
    if !posts && !request.reads() {
        return false;
    }
    if segments.first() == Some(&".well-known") {
        return !posts;
    }
    let below = |words: &[&str]| before.iter().any(|segment| words.contains(segment));
    match *last {
        // An administrator registers others, and somebody's devices.
        "register" => !below(&INSIDE) && !before.iter().any(|segment| is_parameter(segment)),
        "callback" | "certs" | "token" | "authorize" => below(&LOGIN) || below(&["login"]),
        last if PUBLIC.contains(&last) => true,
        _ => posts && is_delivery(&segments),
    }
}

/// Whether it is where others deliver to. They prove themselves by a signature over the body, which no span shows. What stands
/// deeper below, or among what administrators do, manages deliveries.
fn is_delivery(segments: &[&str]) -> bool {
    const DEEPEST: usize = 2;
    let at = segments.iter().position(|segment| matches!(*segment, "webhook" | "webhooks"));
    at.is_some_and(|at| segments.len() - at <= 1 + DEEPEST)
        && !segments.iter().any(|segment| INSIDE.contains(segment))
}

/// Whether a segment of a route stands for any.
fn is_parameter(segment: &str) -> bool {
    segment.starts_with([':', '{', '<', '*'])
}

/// Whether strangers write here by nature. Where no route is named, only what stands near the root: whatever is called by the
/// caller may end in such a word.
pub(super) fn is_open_write(request: &Request<'_, '_>) -> bool {
    let lower = request.asked.to_ascii_lowercase();
    let segments = segments(&lower);
    let Some((last, before)) = segments.split_last() else { return false };
    let near_root = || before.iter().all(|segment| PREFIXES.contains(segment) || is_version(segment));
    (OPEN_WRITES.contains(last) && (is_routed(request.span) || near_root()))
        || OTLP.iter().any(|otlp| lower.trim_end_matches('/').ends_with(otlp))
}

/// What the policy says of a request, by its route and by its path.
fn declared(
    hop: &Hop<'_>,
    Request { span, method, .. }: &Request<'_, '_>,
    ask: impl Fn(Option<&str>, &str) -> Allowance,
) -> Allowance {
    let rpc = || match (span.get(Field::RpcService), span.get(Field::RpcMethod)) {
        (_, None) => None,
        (Some(service), Some(method)) => Some(format!("/{service}/{method}")),
        (None, Some(_)) => Some(format!("/{}", hop.operation)),
    };
    let route = span.get(Field::HttpRoute).map(Cow::Borrowed).or_else(|| rpc().map(Cow::Owned));
    let by = |path: &str| ask(method.as_deref(), path);
    let by_route = route.as_deref().map_or(Allowance::None, by);
    match by_route {
        Allowance::Holds(_) => by_route,
        _ => match path(span).map_or(Allowance::None, by) {
            Allowance::None => by_route,
            by_path => by_path,
        },
    }
}

/// Whether a message is one that a broker and its clients send one another: Kafka's internal topics, those of its
/// schema registry and Connect, RabbitMQ's, MQTT's and ActiveMQ's own.
pub(super) fn is_system_topic(cx: &Cx<'_>, hop: &Hop<'_>) -> bool {
    const PREFIXES: [&str; 6] =
        ["__", "_schemas", "connect-", "amq.rabbitmq.", "$SYS/", "ActiveMQ.Advisory."];
    let sent = || cx.trace.span(hop.exit?).get(Field::MessagingDestination);
    hop.kind == HopKind::Messaging
        && cx
            .entry(hop)
            .get(Field::MessagingDestination)
            .or_else(sent)
            .is_some_and(|topic| PREFIXES.iter().any(|prefix| topic.starts_with(prefix)))
}
