//! Checks the seals on spans again, with the public keys of a trust domain: what makes a hop's basis `reverified`.

use hopseal_correlate::field::{Field, SEALED};
use hopseal_correlate::record::Span;
use hopseal_correlate::sink::TraceId;
use hopseal_correlate::who::SealVerdict;
use hopseal_identity::seal::{
    Binding, Clock, KeySet, KeySetError, Members, SealFault, SkippedKey, Verdict, check,
};

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

/// The keys and the trust domain that seals are checked with.
#[derive(Debug, Clone)]
pub struct SealCheck {
    keys: KeySet,
    trust_domain: String,
    /// Seconds.
    leeway: u64,
}

/// Keys or a trust domain that nothing can be checked with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealCheckError {
    /// The key set cannot be used.
    #[error("key set for seals")]
    Keys(#[source] KeySetError),
    /// The set holds no key that can be used; the skipped ones say why.
    #[error("no usable key among {} in the key set", .0.len())]
    NoKeys(Vec<SkippedKey>),
    /// Not the name of a trust domain.
    #[error("`{0}` is no trust domain")]
    TrustDomain(String),
}

impl SealCheck {
    /// Reads the keys from a JWK set, and says which of them are not used. `skew` is how far clocks may be apart, in
    /// nanoseconds, as [`Thresholds::skew`](hopseal_correlate::policy::Thresholds::skew).
    ///
    /// # Errors
    /// [`SealCheckError`], when every verdict would be for want of keys.
    pub fn new(
        jwks: &[u8],
        trust_domain: &str,
        skew: u64,
    ) -> Result<(Self, Vec<SkippedKey>), SealCheckError> {
        if Binding::new(trust_domain, [0; 16]).is_none() {
            return Err(SealCheckError::TrustDomain(trust_domain.to_owned()));
        }
        let (keys, skipped) = KeySet::from_jwks(jwks).map_err(SealCheckError::Keys)?;
        if keys.is_empty() {
            return Err(SealCheckError::NoKeys(skipped));
        }
        Ok((Self { keys, trust_domain: trust_domain.to_owned(), leeway: skew / SECOND }, skipped))
    }

    /// What the seal on a hop's entry span is worth when the hop began; `None` where there is none, where the span
    /// has no time to judge it at, and for one made with a shared secret: that stays the span's own claim.
    #[must_use]
    pub fn verdict(&self, trace_id: TraceId, span: &Span<'_>) -> Option<SealVerdict> {
        let seal = span.get(Field::Seal).filter(|_| span.start != 0)?;
        let binding = Binding::new(&self.trust_domain, trace_id.0)?;
        let members = match members(span) {
            Ok(members) => members,
            Err(fault) => return Some(SealVerdict::Broken(fault)),
        };
        let clock = Clock { at: span.start / SECOND, leeway: self.leeway };
        match check(&self.keys, &binding, &members, seal, clock) {
            Verdict::Valid { kid } => {
                Some(SealVerdict::Valid { by_itself: is_key_of(&kid, span.service.name) })
            }
            Verdict::Broken(fault) => Some(SealVerdict::Broken(fault)),
            Verdict::Symmetric => None,
        }
    }
}

/// Whether a key is one of that service's: its id is the service's name, or that name, `.` and what tells its keys apart.
fn is_key_of(kid: &str, service: &str) -> bool {
    kid.strip_prefix(service)
        .is_some_and(|rest| !service.is_empty() && (rest.is_empty() || rest.starts_with('.')))
}

/// The sealed members as they stand on a span.
fn members<'t>(span: &Span<'t>) -> Result<Members<'t>, SealFault> {
    let mut members = Members::default();
    for (field, name) in SEALED {
        for value in span.all(field) {
            members.set(name, value)?;
        }
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hopseal_correlate::dialect::Dialects;
    use hopseal_correlate::intake::{Intake, Records};
    use hopseal_correlate::record::Record;
    use hopseal_correlate::sink::{Position, Sink as _, SpanHead, SpanId, SpanKind, Status, Value};
    use hopseal_correlate::words::Words;
    use hopseal_identity::attribute::{ASSURANCE, EXP, IAT, ISS, KIND, SEAL, SUB, TENANT};
    use hopseal_identity::seal::SealingKey;

    const DOMAIN: &str = "example.org";
    const TRACE: TraceId = TraceId([0x4b; 16]);
    /// RFC 8037 appendix A.1.
    const KEY: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"k1","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    const SENT: [(&str, &str); 6] = [
        (EXP, "1767225900"),
        (IAT, "1767225600"),
        (ISS, "main"),
        (KIND, "user"),
        (SUB, "x7Qf"),
        (TENANT, "acme"),
    ];

    struct One(Vec<u8>);

    impl Records for &mut One {
        fn record(&mut self, record: &Record<'_>) {
            self.0 = record.to_bytes();
        }

        fn reject(&mut self, at: Position, reason: &str) {
            panic!("{at}: {reason}");
        }
    }

    /// The record of an entry span of `trace_id` that began `after` seconds from the seal's beginning.
    fn record(
        words: &mut Words,
        trace_id: TraceId,
        attributes: &[(&str, &str)],
        after: Option<u64>,
    ) -> Vec<u8> {
        let dialects = Dialects::built_in().expect("shipped map");
        let mut one = One(Vec::new());
        let mut intake = Intake::new(&dialects, words, &mut one);
        intake.resource();
        intake.span_start();
        for (key, value) in attributes {
            match value.parse() {
                // Numbers come as numbers.
                Ok(number) => intake.attribute(key, Value::Int(number)),
                Err(_) => intake.attribute(key, Value::Str(value)),
            }
        }
        let start = after.map_or(0, |after| (1_767_225_600 + after) * SECOND);
        intake.span_end(&SpanHead {
            trace_id,
            span_id: SpanId([1; 8]),
            parent: None,
            name: "GET /orders",
            kind: SpanKind::Server,
            start,
            end: start,
            flags: 0,
            status: Status::Unset,
            dropped: 0,
            shared: false,
            trace_state: "",
        });
        one.0
    }

    fn seal() -> String {
        let mut members = Members::default();
        for (name, value) in SENT {
            members.set(name, value).expect("legal");
        }
        let binding = Binding::new(DOMAIN, TRACE.0).expect("trust domain");
        SealingKey::from_jwk(KEY.as_bytes()).expect("key").seal(&binding, &members).expect("seals")
    }

    #[test]
    fn table() {
        let key = SealingKey::from_jwk(KEY.as_bytes()).expect("key").public_jwk();
        let (seals, skipped) =
            SealCheck::new(format!(r#"{{"keys":[{key}]}}"#).as_bytes(), DOMAIN, 60 * SECOND).expect("keys");
        assert_eq!(skipped, []);
        let seal = seal();
        let sealed = [&SENT[..], &[(ASSURANCE, "sealed"), (SEAL, &seal)]].concat();
        let edit = |(key, value)| if key == TENANT { (key, "umbrella") } else { (key, value) };
        let edited: Vec<_> = sealed.iter().copied().map(edit).collect();
        let twice = [&sealed[..], &[(TENANT, "acme")]].concat();
        let broken = |fault| Some(SealVerdict::Broken(fault));
        let valid = |by_itself| Some(SealVerdict::Valid { by_itself });
        for (name, attributes, trace_id, after, expected) in [
            ("as sealed", &sealed, TRACE, Some(10), valid(false)),
            ("late, by what clocks may differ", &sealed, TRACE, Some(360), valid(false)),
            ("later", &sealed, TRACE, Some(361), broken(SealFault::Expired)),
            ("at no time", &sealed, TRACE, None, None),
            ("another trace", &sealed, TraceId([7; 16]), Some(10), broken(SealFault::Trace)),
            ("an edited member", &edited, TRACE, Some(10), broken(SealFault::Signature)),
            ("one member twice", &twice, TRACE, Some(10), broken(SealFault::Malformed)),
            ("no seal", &SENT.to_vec(), TRACE, Some(10), None),
        ] {
            let mut words = Words::default();
            let record = record(&mut words, trace_id, attributes, after);
            let (trace_id, span) = Span::read(&record, &words).expect("record");
            assert_eq!(seals.verdict(trace_id, &span), expected, "{name}");
        }
    }

    #[test]
    fn keys_are_called_as_their_service() {
        for (kid, service, expected) in [
            ("orders", "orders", true),
            ("orders.20260101", "orders", true),
            ("orders-eu.1", "orders", false),
            ("orders", "orders.eu", false),
            (".1", "", false),
        ] {
            assert_eq!(is_key_of(kid, service), expected, "{kid} {service}");
        }
    }

    #[test]
    fn nothing_is_checked_without_a_key_or_a_trust_domain() {
        for (jwks, domain, expected) in [
            ("{", DOMAIN, "key set for seals"),
            (r#"{"keys":[{"kty":"RSA","kid":"r1"}]}"#, DOMAIN, "no usable key among 1 in the key set"),
            (r#"{"keys":[]}"#, "Example Org", "`Example Org` is no trust domain"),
        ] {
            let error = SealCheck::new(jwks.as_bytes(), domain, 0).expect_err(domain);
            assert_eq!(error.to_string(), expected);
        }
    }
}
