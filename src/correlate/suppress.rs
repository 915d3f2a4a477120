//! The one place where a finding is quieted. Nothing is dropped in silence: every suppression is counted with its
//! reason.

use crate::field::Field;
use crate::finding::Finding;
use crate::hop::{Hop, Outcome, path_of};
use crate::record::Span;
use crate::rule::{Cx, Quiet};

/// Why a finding was quieted: the closed list of the outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A static file.
    Static,
    /// Health, readiness, metrics or `OPTIONS`.
    Health,
    /// A public route.
    Public,
    /// A service principal that the policy allows on this edge.
    ServicePrincipal,
    /// The request was turned away.
    Rejected,
}

impl Reason {
    /// The word of the outputs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Health => "health",
            Self::Public => "public",
            Self::ServicePrincipal => "service_principal",
            Self::Rejected => "rejected",
        }
    }
}

/// Why `finding` about `hop` is quieted, if it is.
pub(crate) fn reason(cx: &Cx<'_>, hop: &Hop<'_>, finding: &Finding) -> Option<Reason> {
    quieted_by(cx, hop, finding.rule.spec().quiet)
}

/// The first of `quiet` that holds for `hop`.
pub(crate) fn quieted_by(cx: &Cx<'_>, hop: &Hop<'_>, quiet: &[Quiet]) -> Option<Reason> {
    let entry = cx.entry(hop);
    quiet.iter().find_map(|quiet| match quiet {
        Quiet::Static => is_static(entry).then_some(Reason::Static),
        Quiet::Health => is_health(entry).then_some(Reason::Health),
        Quiet::Public => is_public(cx, hop, entry).then_some(Reason::Public),
        Quiet::ServicePrincipal => is_allowed_client(cx, hop).then_some(Reason::ServicePrincipal),
        Quiet::Rejected => (hop.outcome == Outcome::Rejected).then_some(Reason::Rejected),
    })
}

/// The path asked for: the URL's, the route, or a name that looks like one.
fn path<'t>(span: &Span<'t>) -> &'t str {
    let full = || span.get(Field::UrlFull).map(path_of);
    let named = || span.name.rsplit(' ').next().filter(|name| name.contains('/'));
    span.get(Field::UrlPath)
        .map(path_of)
        .or_else(full)
        .or_else(|| span.get(Field::HttpRoute))
        .or_else(named)
        .unwrap_or("")
}

/// The method, upper case; older instrumentation only puts it into the name.
fn method(span: &Span<'_>) -> Option<String> {
    const METHODS: [&str; 7] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"];
    let named =
        || span.name.split(' ').next().filter(|word| METHODS.iter().any(|m| m.eq_ignore_ascii_case(word)));
    span.get(Field::HttpMethod).or_else(named).map(str::to_ascii_uppercase)
}

/// Whether the request only reads: a suppression by route never covers a write.
fn reads(span: &Span<'_>) -> bool {
    method(span).is_none_or(|method| matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS"))
}

fn is_static(span: &Span<'_>) -> bool {
    const ENDINGS: [&str; 22] = [
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
    let last = path(span).rsplit('/').next().unwrap_or("");
    reads(span) && last.rsplit_once('.').is_some_and(|(_, ending)| ENDINGS.contains(&ending))
}

fn is_health(span: &Span<'_>) -> bool {
    const ROUTES: [&str; 12] = [
        "health",
        "healthz",
        "livez",
        "readyz",
        "live",
        "liveness",
        "ready",
        "readiness",
        "ping",
        "metrics",
        "prometheus",
        "startup",
    ];
    if method(span).as_deref() == Some("OPTIONS") {
        return true;
    }
    if span.name.starts_with("grpc.health.v1.Health/") {
        return true;
    }
    let mut segments = path(span).trim_matches('/').split('/');
    let last = segments.next_back().unwrap_or("");
    reads(span) && (ROUTES.contains(&last) || segments.any(|segment| segment == "actuator"))
}

fn is_public(cx: &Cx<'_>, hop: &Hop<'_>, span: &Span<'_>) -> bool {
    const BY_NATURE: [&str; 9] = [
        "login",
        "signin",
        "logout",
        "signup",
        "register",
        "robots.txt",
        "jwks.json",
        "jwks",
        "openid-configuration",
    ];
    let path = path(span);
    let mut segments = path.trim_matches('/').split('/');
    let last = segments.next_back().unwrap_or("").to_ascii_lowercase();
    let by_nature = BY_NATURE.contains(&last.as_str())
        || path.contains("/.well-known/")
        || (last == "callback" && segments.any(|segment| segment.eq_ignore_ascii_case("oauth")));
    by_nature || cx.policy.is_public(hop.service, method(span).as_deref(), path)
}

fn is_allowed_client(cx: &Cx<'_>, hop: &Hop<'_>) -> bool {
    let Some(principal) = &hop.identity.principal else { return false };
    let client = principal.client.unwrap_or(principal.id);
    let caller = cx.caller(hop).map(|caller| caller.service.name);
    cx.policy.allows_client(client, caller, hop.service.name, cx.entry(hop).start)
}
