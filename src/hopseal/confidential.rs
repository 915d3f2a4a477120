//! An identity that nobody between the services of a trust domain can read: its members travel as one PASETO v4.local.

use std::fmt;

use hopseal_identity::baggage::{Carried, Encrypted};
use hopseal_identity::seal::SealFault;
use pasetors::keys::SymmetricKey;
use pasetors::token::{Local, UntrustedToken};
use pasetors::version4::{LocalToken, V4};

use crate::secret::Secret;

/// The keys that services share: the one that encrypts, and those that were or will be, which decrypt too.
///
/// To replace a key, give every service the new one among the `others` first, then make it the current one, and take the old one
/// away when the seals that were made by then have ended, in five minutes.
///
/// ```
/// use hopseal::{Secret, confidential::ConfidentialKeys};
/// let key = |byte| Secret::new(format!("k4.local.{}A", "A".repeat(41) + byte));
/// let keys = ConfidentialKeys::new(("c2", &key("B")), [("c1", &key("C"))])?;
/// assert_eq!(format!("{keys:?}"), r#"ConfidentialKeys(["c2", "c1"])"#);
/// # Ok::<(), hopseal::confidential::ConfidentialKeysError>(())
/// ```
pub struct ConfidentialKeys {
    /// The current one first. At least one.
    keys: Vec<(String, SymmetricKey<V4>)>,
}

/// Keys that cannot be used. Nothing of a key is repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfidentialKeysError {
    /// Not 1 to 16 letters, digits, `-` or `_`.
    #[error("`{0}` is no id of a key")]
    Kid(String),
    /// Not a PASERK `k4.local.`: 32 bytes in base64url.
    #[error("key `{0}` is no `k4.local.` of 32 bytes")]
    Key(String),
    /// Two keys under one id.
    #[error("two keys are called `{0}`")]
    DuplicateKid(String),
}

impl fmt::Debug for ConfidentialKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kids: Vec<&str> = self.keys.iter().map(|(kid, _)| kid.as_str()).collect();
        f.debug_tuple("ConfidentialKeys").field(&kids).finish()
    }
}

impl ConfidentialKeys {
    /// Encrypts with `current`, and decrypts with the `others` too. Each is a PASERK `k4.local.`, by its id: 1 to 16 letters, digits, `-`
    /// or `_`.
    ///
    /// # Errors
    /// [`ConfidentialKeysError`] for the first that cannot be used.
    pub fn new<'k>(
        current: (&'k str, &'k Secret),
        others: impl IntoIterator<Item = (&'k str, &'k Secret)>,
    ) -> Result<Self, ConfidentialKeysError> {
        let mut keys: Vec<(String, SymmetricKey<V4>)> = Vec::new();
        for (kid, paserk) in std::iter::once(current).chain(others) {
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            if !(1..=16).contains(&kid.len()) || !kid.bytes().all(legal) {
                return Err(ConfidentialKeysError::Kid(kid.to_owned()));
            }
            if keys.iter().any(|(other, _)| other == kid) {
                return Err(ConfidentialKeysError::DuplicateKid(kid.to_owned()));
            }
            let key = SymmetricKey::<V4>::try_from(paserk.expose());
            keys.push((kid.to_owned(), key.map_err(|_| ConfidentialKeysError::Key(kid.to_owned()))?));
        }
        Ok(Self { keys })
    }

    /// An identity for a trace, unreadable. `None` when the system has no randomness: then it must not go.
    pub(crate) fn encrypt(&self, carried: &Carried, trace_id: [u8; 16]) -> Option<Encrypted> {
        let (kid, key) = self.keys.first()?;
        let (message, assertion) = (carried.as_str().as_bytes(), assertion(trace_id));
        let paseto =
            LocalToken::encrypt(key, message, Some(kid.as_bytes()), Some(assertion.as_bytes())).ok()?;
        let encrypted = Encrypted::of_paseto(kid, &paseto)?;
        Some(carried.hop().map_or(encrypted.clone(), |hop| encrypted.with_hop(hop)))
    }

    /// The identity that came in a trace. What is in it is no more than it would be if it had come readable.
    ///
    /// # Errors
    /// [`SealFault::UnknownKey`] without the key; [`SealFault::Signature`] for what it did not encrypt, or not in this trace;
    /// [`SealFault::Malformed`] for what is no identity.
    pub(crate) fn decrypt(&self, encrypted: &Encrypted, trace_id: [u8; 16]) -> Result<Carried, SealFault> {
        let (kid, key) =
            self.keys.iter().find(|(kid, _)| kid == encrypted.kid()).ok_or(SealFault::UnknownKey)?;
        let token = UntrustedToken::<Local, V4>::try_from(encrypted.paseto().as_str());
        let token = token.map_err(|_| SealFault::Malformed)?;
        let assertion = assertion(trace_id);
        let opened = LocalToken::decrypt(key, &token, Some(kid.as_bytes()), Some(assertion.as_bytes()));
        let opened = opened.map_err(|_| SealFault::Signature)?;
        let carried = Carried::read(opened.payload()).ok_or(SealFault::Malformed)?;
        Ok(encrypted.hop().map_or(carried.clone(), |hop| carried.with_hop(hop)))
    }
}

/// What is authenticated and does not travel: the trace, as `traceparent` writes it.
fn assertion(trace_id: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(trace_id))
}

#[cfg(test)]
mod tests {
    use hopseal_identity::CrossingCount;
    use hopseal_identity::baggage::{Baggage, Writer};
    use serde_json::Value;

    use super::*;
    use crate::seal::Txn;
    use crate::seal::testing::{NOW, TRACE, alice, checker, gateway};

    const VECTORS: &str = include_str!("../identity/vectors/confidential.json");

    fn secret(text: &str) -> Secret {
        Secret::new(format!("k4.local.{text}"))
    }

    /// Two keys, of which another encrypts in each.
    fn rotated() -> (ConfidentialKeys, ConfidentialKeys, ConfidentialKeys) {
        let (one, two) = (secret(&"A".repeat(43)), secret(&format!("{}E", "B".repeat(42))));
        let new = |current, others: &[(&'static str, &Secret)]| {
            ConfidentialKeys::new(current, others.iter().copied()).expect("keys")
        };
        (new(("c1", &one), &[]), new(("c1", &one), &[("c2", &two)]), new(("c2", &two), &[("c1", &one)]))
    }

    fn carried() -> Carried {
        gateway().seal(&alice(), &Txn::new("t-1").expect("legal"), TRACE, NOW).expect("seals")
    }

    /// One that has not heard of the new key cannot read it; all others read both, at each step of replacing one.
    #[test]
    fn keys_are_replaced_with_overlap() {
        let (before, ready, after) = rotated();
        let carried = carried();
        for (by, to, expected) in [
            (&before, &ready, Ok(&carried)),
            (&ready, &before, Ok(&carried)),
            (&ready, &after, Ok(&carried)),
            (&after, &ready, Ok(&carried)),
            (&after, &before, Err(SealFault::UnknownKey)),
        ] {
            let encrypted = by.encrypt(&carried, TRACE).expect("randomness");
            assert_eq!(
                to.decrypt(&encrypted, TRACE).as_ref(),
                expected.as_ref().map(|it| *it),
                "{by:?} {to:?}"
            );
        }
    }

    /// What is on the wire is of the one form, shows nothing, and is never twice the same.
    #[test]
    fn nothing_of_it_is_read_in_between() {
        let (keys, ..) = rotated();
        let carried = carried().with_hop(CrossingCount::START.next("gateway", [1; 8]));
        let header = |keys: &ConfidentialKeys| {
            Writer::encrypted(&keys.encrypt(&carried, TRACE).expect("randomness")).finish()
        };
        let (one, two) = (header(&keys), header(&keys));
        assert_ne!(one, two);
        for part in ["hopseal.sub", "hopseal.kind", "hopseal.seal", "p1.", "v4.", "="] {
            let one = one.trim_start_matches("hopseal.enc=").split(',').next().expect("one");
            assert!(!one.contains(part), "{part}: {one}");
        }
        let read = Baggage::read([one.as_str()]);
        let found = keys.decrypt(&read.encrypted.expect("there"), TRACE).expect("decrypts");
        assert_eq!((&found, found.hop()), (&carried, carried.hop()));
        checker().check(&found, TRACE, NOW).expect("a good seal within");
        assert!(one.len() < 1024, "{} bytes", one.len());
    }

    #[test]
    fn what_was_moved_or_edited_is_found_out() {
        let (keys, ..) = rotated();
        let whole = keys.encrypt(&carried(), TRACE).expect("randomness");
        let edited = |text: String| Encrypted::new(&text).expect("of the form");
        let text = whole.as_str();
        let (head, last) = text.split_at(text.len() - 4);
        let last = if last.starts_with('A') { "BAAA" } else { "AAAA" };
        for (name, encrypted, trace, expected) in [
            ("another trace", whole.clone(), [7; 16], SealFault::Signature),
            ("edited", edited(format!("{head}{last}")), TRACE, SealFault::Signature),
            ("cut short", edited("c1.AAAA".to_owned()), TRACE, SealFault::Malformed),
            ("under another name", edited(text.replacen("c1", "c9", 1)), TRACE, SealFault::UnknownKey),
        ] {
            assert_eq!(keys.decrypt(&encrypted, trace), Err(expected), "{name}");
        }
        // By whoever has the key, and no identity all the same.
        for message in
            ["theme=dark", "hopseal.sub=k1.x", "hopseal.sub=p1.x,hopseal.kind=user,hopseal.iss=a,a=b"]
        {
            let assertion = assertion(TRACE);
            let (kid, key) = &keys.keys[0];
            let paseto = LocalToken::encrypt(
                key,
                message.as_bytes(),
                Some(kid.as_bytes()),
                Some(assertion.as_bytes()),
            );
            let encrypted = Encrypted::of_paseto(kid, &paseto.expect("randomness")).expect("of the form");
            assert_eq!(keys.decrypt(&encrypted, TRACE), Err(SealFault::Malformed), "{message}");
        }
    }

    #[test]
    fn keys_that_cannot_be_used_are_told() {
        let good = secret(&"A".repeat(43));
        for (current, other, expected) in [
            (("c1", &good), ("c1", &good), "two keys are called `c1`"),
            (("", &good), ("c1", &good), "`` is no id of a key"),
            (("a.b", &good), ("c1", &good), "`a.b` is no id of a key"),
            (("c1", &good), ("c2", &secret("AAAA")), "key `c2` is no `k4.local.` of 32 bytes"),
        ] {
            let error = ConfidentialKeys::new(current, [other]).expect_err(expected).to_string();
            assert_eq!(error, expected);
            assert!(!error.contains("AAAA"));
        }
    }

    /// The files for other implementations: made once, as encryption is never twice the same, and read here ever since.
    #[test]
    fn vectors() {
        let all: Value = serde_json::from_str(VECTORS).expect("JSON");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let keys: Vec<(String, Secret)> = all["keys"]
            .as_object()
            .expect("keys")
            .iter()
            .map(|(kid, paserk)| (kid.clone(), Secret::new(text(paserk))))
            .collect();
        let [first, others @ ..] = keys.as_slice() else { panic!("no keys") };
        let keys = ConfidentialKeys::new(
            (&first.0, &first.1),
            others.iter().map(|(kid, paserk)| (kid.as_str(), paserk)),
        )
        .expect("keys");
        let cases = all["cases"].as_array().expect("cases");
        for case in cases {
            let trace = u128::from_str_radix(&text(&case["trace_id"]), 16).expect("hex").to_be_bytes();
            let encrypted = Baggage::read([text(&case["header"]).as_str()]).encrypted.expect("one");
            assert_eq!(encrypted.paseto(), text(&case["paseto"]), "{}", case["name"]);
            let found = keys.decrypt(&encrypted, trace).map(|carried| carried.as_str().to_owned());
            let expected = match case.get("message") {
                Some(message) => Ok(text(message)),
                None => Err(text(&case["fault"])),
            };
            assert_eq!(found.map_err(|fault| fault.as_str().to_owned()), expected, "{}", case["name"]);
        }
        assert!(cases.len() >= 5);
    }

    #[test]
    #[ignore = "writes the file"]
    fn bless() {
        let (one, two) = (secret(&"A".repeat(43)), secret(&format!("{}E", "B".repeat(42))));
        let old = ConfidentialKeys::new(("c1", &one), []).expect("keys");
        let new = ConfidentialKeys::new(("c2", &two), []).expect("keys");
        let hop = CrossingCount::START.next("gateway", [1; 8]);
        let trace = |id: [u8; 16]| assertion(id);
        let case = |name: &str, encrypted: Encrypted, trace_id: [u8; 16], fault: Option<&str>| {
            let mut case = serde_json::json!({
                "name": name, "header": Writer::encrypted(&encrypted).finish(), "paseto": encrypted.paseto(),
                "trace_id": trace(trace_id),
            });
            match fault {
                None => case["message"] = carried().as_str().into(),
                Some(fault) => case["fault"] = fault.into(),
            }
            case
        };
        let plain = old.encrypt(&carried(), TRACE).expect("randomness");
        let stranger = Encrypted::new(&plain.as_str().replacen("c1", "c3", 1)).expect("of the form");
        let swapped = Encrypted::new(&plain.as_str().replacen("c1", "c2", 1)).expect("of the form");
        let counted = old.encrypt(&carried().with_hop(hop), TRACE).expect("randomness");
        let cases = [
            case("an identity", plain.clone(), TRACE, None),
            case("with its counter", counted, TRACE, None),
            case("by the next key", new.encrypt(&carried(), TRACE).expect("randomness"), TRACE, None),
            case("in another trace", plain, [7; 16], Some("signature")),
            case("by a key that is not known", stranger, TRACE, Some("unknown_key")),
            case("under the name of another key", swapped, TRACE, Some("signature")),
        ];
        let document = serde_json::json!({
            "about": "Identities that travel unreadable: the PASETO, and what is in it for the trace, or the fault.",
            "version": 1,
            "keys": { "c1": one.expose(), "c2": two.expose() },
            "cases": cases,
        });
        let file =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../identity/vectors/confidential.json");
        std::fs::write(file, format!("{document:#}\n")).expect("written");
    }
}
