//! Calls that ask somebody whether a credential is good: what shows that a service validates at all.

use std::collections::BTreeSet;

use hopseal_identity::Assurance;

use crate::field::Field;
use crate::hop::{Hop, HopKind, Hops, path};
use crate::record::{Service, Span};
use crate::sink::SpanKind;
use crate::trace::Trace;

/// Spans and hops looked at for one hop.
const MOST: usize = 1024;

/// Services that were seen to have a credential validated, at most [`Validating::MAX`] of them: the first by name.
#[derive(Debug, Clone, Default)]
pub struct Validating(BTreeSet<(String, String, String)>);

impl Validating {
    /// Services kept.
    const MAX: usize = 20_000;

    pub(crate) fn observe(&mut self, trace: &Trace<'_>, hops: &Hops<'_>) {
        for hop in hops.iter().filter(|hop| establishes_user(hop)) {
            if !self.has(hop.service) && is_shown(trace, hops, hop) {
                let Service { name, namespace, environment } = hop.service;
                self.0.insert((name.to_owned(), namespace.to_owned(), environment.to_owned()));
                if self.0.len() > Self::MAX {
                    self.0.pop_last();
                }
            }
        }
    }

    /// Whether a hop of that service ever showed a validation.
    #[must_use]
    pub fn has(&self, service: Service<'_>) -> bool {
        let Service { name, namespace, environment } = service;
        !self.0.is_empty()
            && self.0.contains(&(name.to_owned(), namespace.to_owned(), environment.to_owned()))
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

/// Whether a hop names a user for the first time, and nothing is behind it but the name.
pub(crate) fn is_unshown(trace: &Trace<'_>, hops: &Hops<'_>, hop: &Hop<'_>) -> bool {
    hop.identity.assurance == Assurance::Asserted && establishes_user(hop) && !is_shown(trace, hops, hop)
}

/// Whether somebody was asked by a span that has lost its place in the trace, and may belong to the hop or one above it.
pub(crate) fn may_be_shown(trace: &Trace<'_>, hops: &Hops<'_>, hop: &Hop<'_>) -> bool {
    if trace.grade.missing_parents == 0 {
        return false;
    }
    let torn = hops.all().iter().filter(|other| other.kind == HopKind::Origin && other.caller_missing);
    let asks = |other: &&Hop<'_>| hops.frame(other.ix).iter().take(MOST).any(|ix| asks(trace.span(*ix)));
    let asking: BTreeSet<Service<'_>> = torn.take(MOST).filter(asks).map(|other| other.service).collect();
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
    let begins = |stem: &&str| segment.get(..stem.len()).is_some_and(|head| head.eq_ignore_ascii_case(stem));
    if WHOLE.iter().any(|word| word.eq_ignore_ascii_case(segment)) {
        return true;
    }
    STEMS.iter().any(begins) && {
        let lower = segment.to_ascii_lowercase();
        OBJECTS.iter().any(|object| lower.contains(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
