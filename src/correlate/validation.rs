//! Calls that ask somebody whether a credential is good: what shows that a service validates at all.

use std::collections::{BTreeMap, BTreeSet};

use hopseal_identity::Assurance;

use crate::field::Field;
use crate::hop::{Hop, HopKind, Hops, path};
use crate::record::{Service, Span};
use crate::sink::SpanKind;
use crate::trace::Trace;

/// Spans and hops looked at for one hop.
const MOST: usize = 1024;

/// A set of services, at most [`Services::MAX`] of them: the first by name.
#[derive(Debug, Clone, Default)]
pub struct Services {
    /// Namespaces and environments by name.
    by_name: BTreeMap<String, BTreeSet<(String, String)>>,
    count: usize,
}

impl Services {
    /// Services kept.
    const MAX: usize = 20_000;

    /// Whether it is there.
    #[must_use]
    pub fn has(&self, service: Service<'_>) -> bool {
        let Service { name, namespace, environment } = service;
        let Some(places) = self.by_name.get(name) else { return false };
        places.iter().any(|(known, at)| (&**known, &**at) == (namespace, environment))
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a service.
    pub fn add(&mut self, service: Service<'_>) {
        if self.has(service) {
            return;
        }
        let Service { name, namespace, environment } = service;
        let places = self.by_name.entry(name.to_owned()).or_default();
        places.insert((namespace.to_owned(), environment.to_owned()));
        self.count += 1;
        if self.count > Self::MAX
            && let Some(mut last) = self.by_name.last_entry()
        {
            last.get_mut().pop_last();
            if last.get().is_empty() {
                last.remove();
            }
            self.count -= 1;
        }
    }

    /// Every one of them.
    pub fn iter(&self) -> impl Iterator<Item = Service<'_>> {
        self.by_name.iter().flat_map(|(name, places)| {
            places.iter().map(move |(namespace, environment)| Service { name, namespace, environment })
        })
    }
}

/// Services that were seen to have a credential validated.
#[derive(Debug, Clone, Default)]
pub struct Validating(Services);

impl Validating {
    /// Takes note of the services that a trace shows to have credentials validated.
    pub fn observe(&mut self, trace: &Trace<'_>, hops: &Hops<'_>) {
        for hop in hops.iter().filter(|hop| establishes_user(hop)) {
            if !self.has(hop.service) && is_shown(trace, hops, hop) {
                self.0.add(hop.service);
            }
        }
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.count
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Notes what was found out elsewhere: that service has credentials validated.
    pub fn add(&mut self, service: Service<'_>) {
        self.0.add(service);
    }

    /// Every service that was seen to.
    pub fn iter(&self) -> impl Iterator<Item = Service<'_>> {
        self.0.iter()
    }

    /// Whether a hop of that service ever showed a validation.
    #[must_use]
    pub fn has(&self, service: Service<'_>) -> bool {
        self.0.has(service)
    }
}

/// Whether a hop names a user, and no hop above it names anybody.
pub(crate) fn establishes_user(hop: &Hop<'_>) -> bool {
    hop.named_above.is_none() && hop.identity.principal.as_ref().is_some_and(|principal| principal.is_user())
}

/// The caller, its caller, and so on up.
fn above<'a, 't>(hops: &'a Hops<'t>, hop: &Hop<'_>) -> impl Iterator<Item = &'a Hop<'t>> {
    let caller = |hop: &Hop<'_>| hop.caller.map(|ix| hops.get(ix));
    std::iter::successors(caller(hop), move |hop| caller(hop))
}

/// Whether somebody was asked in the frame of a hop, or of a hop above it: gateways ask before they pass a call on.
pub(crate) fn is_shown(trace: &Trace<'_>, hops: &Hops<'_>, hop: &Hop<'_>) -> bool {
    let chain = std::iter::once(hop.ix).chain(above(hops, hop).map(|above| above.ix)).take(MOST);
    chain.flat_map(|ix| hops.frame(ix)).take(MOST).any(|ix| asks(trace.span(*ix)))
}

/// Whether a hop names a user for the first time, and nothing of its own is behind it but the name.
pub(crate) fn is_only_named(hop: &Hop<'_>) -> bool {
    hop.identity.assurance == Assurance::Asserted && establishes_user(hop)
}

/// Whether somebody was asked by a span that has lost its place in the trace, and may belong to the hop or one above it.
pub(crate) fn may_be_shown(trace: &Trace<'_>, hops: &Hops<'_>, hop: &Hop<'_>) -> bool {
    if trace.grade.missing_parents == 0 {
        return false;
    }
    let torn = hops.torn().filter(|other| other.kind == HopKind::Origin);
    let spans = torn.flat_map(|other| hops.frame(other.ix).iter().map(|ix| (trace.span(*ix), other.service)));
    let asking: BTreeSet<Service<'_>> =
        spans.take(MOST).filter(|(span, _)| asks(span)).map(|(_, service)| service).collect();
    !asking.is_empty()
        && (asking.contains(&hop.service)
            || above(hops, hop).take(MOST).any(|above| asking.contains(&above.service)))
}

/// Whether a span asks whether a credential is good: OAuth introspection and user info (RFC 7662, OpenID Connect Core
/// section 5.3), key sets, Envoy's external authorization, and what applications call it.
fn asks(span: &Span<'_>) -> bool {
    if matches!(span.kind, SpanKind::Server | SpanKind::Consumer) {
        return false;
    }
    let asked = path(span).or_else(|| span.get(Field::RpcMethod)).unwrap_or(span.name);
    asked.trim_end_matches('/').rsplit(['/', ' ', ':']).take(2).any(is_question)
}

fn is_question(segment: &str) -> bool {
    const WHOLE: [&str; 13] = [
        "introspect",
        "introspection",
        "userinfo",
        "tokeninfo",
        "jwks",
        "jwks.json",
        "ext_authz",
        "validate",
        "verify",
        "authenticate",
        "authorize",
        "check_token",
        "whoami",
    ];
    const STEMS: [&str; 4] = ["validate", "verify", "check", "introspect"];
    const OBJECTS: [&str; 5] = ["token", "session", "jwt", "credential", "auth"];
    if segment.len() > 64 {
        return false;
    }
    // Most are told apart by their first letter.
    let first = segment.bytes().next().map(|byte| byte.to_ascii_lowercase());
    if !WHOLE.iter().chain(&STEMS).any(|word| word.bytes().next() == first) {
        return false;
    }
    let begins = |stem: &&str| segment.get(..stem.len()).is_some_and(|head| head.eq_ignore_ascii_case(stem));
    if WHOLE.iter().any(|word| word.eq_ignore_ascii_case(segment)) {
        return true;
    }
    let holds = |object: &&str| {
        let mut parts = segment.as_bytes().windows(object.len());
        parts.any(|part| part.eq_ignore_ascii_case(object.as_bytes()))
    };
    STEMS.iter().any(begins) && OBJECTS.iter().any(holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_services_by_name_are_kept() {
        let names: Vec<String> = (0..Services::MAX + 7).map(|number| format!("s{number:05}")).collect();
        let service = |name| Service { name, namespace: "n", environment: "" };
        let mut services = Services::default();
        names.iter().rev().for_each(|name| services.add(service(name)));
        services.add(service("s00000"));
        assert!(services.iter().map(|service| service.name).eq(names.iter().take(Services::MAX)));
        assert!(
            services.has(service("s00000")) && !services.has(Service { namespace: "m", ..service("s00000") })
        );
    }

    #[test]
    fn questions() {
        for (segment, expected) in [
            ("introspect", true),
            ("Introspect", true),
            ("validateToken", true),
            ("verifyLoginToken", true),
            ("CheckAuthorization", true),
            ("validateOwnership", false),
            ("checkout", false),
            ("verify", true),
            ("orders", false),
            ("", false),
        ] {
            assert_eq!(is_question(segment), expected, "{segment}");
        }
    }
}
