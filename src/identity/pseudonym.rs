//! Pseudonyms: what stands in baggage and on spans in place of a subject.
//!
//! ```text
//! hopseal.sub = kid "." BASE64URL(first 16 bytes of HMAC-SHA256(key, issuer | 0 | subject))
//! hopseal.act = digest *("." digest)     most recent actor first, at most 8
//! digest      = BASE64URL(first 8 bytes of HMAC-SHA256(key, 0 | kind | 0 | issuer | 0 | id))
//! hopseal.token_fingerprint
//!             = kid "." BASE64URL(first 8 bytes of HMAC-SHA256(key, 0 | "credential" | 0 | SHA-256(credential)))
//! ```
//!
//! Issuer and subject are those of the credential, to the letter, in UTF-8; a kind or an issuer of an actor that is not said is
//! empty. The key is one of the trust domain, 32 bytes or more, under an id of 1 to 16 letters, digits, `-` or `_`. Services
//! that share a key give a subject the same pseudonym; who does not hold it can neither make nor reverse one.
//!
//! A key is replaced with overlap: first every service learns the new one, then it becomes the current one, and the old one is
//! kept for as long as there are records under it.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use zeroize::Zeroizing;

use crate::member::MAX_ACTORS;
use crate::principal::Actor;

/// Fewest bytes of a key: those of the hash (RFC 2104 section 3).
const MIN_KEY: usize = 32;
/// Most characters of a key's id.
const MAX_KID: usize = 16;

/// A key that pseudonyms are made with. Shown nowhere: its `Debug` names the id alone.
#[derive(Clone)]
pub struct PseudonymKey {
    kid: String,
    key: hmac::Key,
}

/// A key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PseudonymKeyError {
    /// Not 1 to 16 letters, digits, `-` or `_`.
    #[error("`{0}` is no id of a key for pseudonyms")]
    Kid(String),
    /// Under 32 bytes.
    #[error("a key for pseudonyms has {MIN_KEY} bytes or more, not {0}")]
    TooShort(usize),
    /// Not base64url without padding.
    #[error("no base64url")]
    Encoding,
    /// Two keys under one id: which of them made a pseudonym could not be told.
    #[error("two keys are called `{0}`")]
    DuplicateKid(String),
}

impl std::fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PseudonymKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl PseudonymKey {
    /// Takes a key as bytes.
    ///
    /// # Errors
    /// [`PseudonymKeyError::Kid`], [`PseudonymKeyError::TooShort`].
    pub fn new(kid: &str, key: &[u8]) -> Result<Self, PseudonymKeyError> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !(1..=MAX_KID).contains(&kid.len()) || !kid.bytes().all(legal) {
            return Err(PseudonymKeyError::Kid(kid.to_owned()));
        }
        if key.len() < MIN_KEY {
            return Err(PseudonymKeyError::TooShort(key.len()));
        }
        Ok(Self { kid: kid.to_owned(), key: hmac::Key::new(hmac::HMAC_SHA256, key) })
    }

    /// Reads a key from base64url without padding.
    ///
    /// # Errors
    /// [`PseudonymKeyError::Encoding`], and those of [`new`](Self::new).
    pub fn from_base64url(kid: &str, text: &str) -> Result<Self, PseudonymKeyError> {
        let key = Zeroizing::new(BASE64URL.decode(text.trim()).map_err(|_| PseudonymKeyError::Encoding)?);
        Self::new(kid, &key)
    }

    /// Makes a new key, as text for [`from_base64url`](Self::from_base64url); `None` where the system has no randomness.
    #[must_use]
    pub fn new_base64url() -> Option<Zeroizing<String>> {
        let mut key = Zeroizing::new([0; MIN_KEY]);
        aws_lc_rs::rand::fill(&mut *key).ok()?;
        Some(Zeroizing::new(BASE64URL.encode(*key)))
    }

    /// Its id.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The pseudonym of a subject.
    #[must_use]
    pub fn of(&self, issuer: &str, subject: &str) -> String {
        let tag: [u8; 16] = self.tag(&[issuer, subject]);
        let mut text = String::with_capacity(self.kid.len() + 1 + 22);
        text.push_str(&self.kid);
        text.push('.');
        BASE64URL.encode_string(tag, &mut text);
        text
    }

    /// The digest of an actor, of that issuer if it is said.
    #[must_use]
    pub fn actor(&self, actor: Actor<'_>, issuer: Option<&str>) -> String {
        let kind = actor.kind.map_or("", crate::principal::Kind::as_str);
        // Begins with 0, as no issuer does: it is never the input of a pseudonym.
        let tag: [u8; 8] = self.tag(&["", kind, issuer.unwrap_or(""), actor.id]);
        BASE64URL.encode(tag)
    }

    /// The fingerprint of a credential, by its SHA-256: what tells it from others on spans. Keyed, so that who reads spans
    /// cannot try out credentials that it guesses or came by elsewhere.
    #[must_use]
    pub fn fingerprint(&self, sha256: &[u8; 32]) -> String {
        // Between the zeros stands no kind of an actor: it is never the input of another digest.
        let tag: [u8; 8] = self.tag_of([&b""[..], b"credential", sha256]);
        format!("{}.{}", self.kid, BASE64URL.encode(tag))
    }

    /// `hopseal.act` of a delegation chain, most recent actor first; `None` when nobody acts. Past 8 actors the oldest are left
    /// out.
    pub fn actors<'a>(
        &self,
        chain: impl IntoIterator<Item = (Actor<'a>, Option<&'a str>)>,
    ) -> Option<String> {
        let mut text = String::new();
        for (actor, issuer) in chain.into_iter().take(MAX_ACTORS) {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(&self.actor(actor, issuer));
        }
        (!text.is_empty()).then_some(text)
    }

    /// The first bytes of the HMAC over `parts` with 0 between them.
    fn tag<const N: usize>(&self, parts: &[&str]) -> [u8; N] {
        self.tag_of(parts.iter().map(|part| part.as_bytes()))
    }

    fn tag_of<'p, const N: usize>(&self, parts: impl IntoIterator<Item = &'p [u8]>) -> [u8; N] {
        let mut context = hmac::Context::with_key(&self.key);
        for (place, part) in parts.into_iter().enumerate() {
            if place > 0 {
                context.update(&[0]);
            }
            context.update(part);
        }
        context.sign().as_ref().first_chunk().copied().unwrap_or([0; N])
    }
}

/// The keys of a trust domain: the current one, and those that were or will be.
///
/// ```
/// use hopseal_identity::pseudonym::{PseudonymKey, Pseudonyms};
/// let keys = Pseudonyms::new(PseudonymKey::new("b", &[2; 32])?, [PseudonymKey::new("a", &[1; 32])?])?;
/// let before = PseudonymKey::new("a", &[1; 32])?.of("https://id.example.com", "alice");
/// assert_eq!(keys.is_of(&before, "https://id.example.com", "alice"), Some(true));
/// assert_eq!(keys.is_of(&before, "https://id.example.com", "bob"), Some(false));
/// assert_eq!(keys.is_of("c.AAAAAAAAAAAAAAAAAAAAAA", "https://id.example.com", "bob"), None); // whose key?
/// assert_eq!(keys.all("https://id.example.com", "alice").count(), 2);
/// # Ok::<(), hopseal_identity::pseudonym::PseudonymKeyError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Pseudonyms {
    current: PseudonymKey,
    others: Vec<PseudonymKey>,
}

impl Pseudonyms {
    /// Makes pseudonyms with `current`, and knows those of `others`.
    ///
    /// # Errors
    /// [`PseudonymKeyError::DuplicateKid`].
    pub fn new(
        current: PseudonymKey,
        others: impl IntoIterator<Item = PseudonymKey>,
    ) -> Result<Self, PseudonymKeyError> {
        let mut keys = Self { current, others: Vec::new() };
        for key in others {
            if keys.find(&key.kid).is_some() {
                return Err(PseudonymKeyError::DuplicateKid(key.kid));
            }
            keys.others.push(key);
        }
        Ok(keys)
    }

    /// The key that pseudonyms are made with now.
    #[must_use]
    pub const fn current(&self) -> &PseudonymKey {
        &self.current
    }

    /// Whether a pseudonym is that of a subject; `None` when its key is none of these.
    #[must_use]
    pub fn is_of(&self, pseudonym: &str, issuer: &str, subject: &str) -> Option<bool> {
        let (kid, _) = pseudonym.split_once('.')?;
        Some(self.find(kid)?.of(issuer, subject) == pseudonym)
    }

    /// Whether `hopseal.act` is that of a delegation chain, under the key that the pseudonym beside it names; `None` when that
    /// is none of these.
    pub fn is_of_actors<'a>(
        &self,
        pseudonym: &str,
        act: Option<&str>,
        chain: impl IntoIterator<Item = (Actor<'a>, Option<&'a str>)>,
    ) -> Option<bool> {
        let (kid, _) = pseudonym.split_once('.')?;
        Some(self.find(kid)?.actors(chain).as_deref() == act)
    }

    /// Every pseudonym that a subject may have, the current one first: what to search for.
    pub fn all<'k>(&'k self, issuer: &'k str, subject: &'k str) -> impl Iterator<Item = String> + 'k {
        std::iter::once(&self.current).chain(&self.others).map(move |key| key.of(issuer, subject))
    }

    fn find(&self, kid: &str) -> Option<&PseudonymKey> {
        std::iter::once(&self.current).chain(&self.others).find(|key| key.kid == kid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::member;
    use crate::principal::Kind;

    fn key(kid: &str) -> PseudonymKey {
        PseudonymKey::new(kid, &[7; 32]).expect("key")
    }

    #[test]
    fn keys_are_long_enough_well_named_and_not_shown() {
        for (kid, key, expected) in [
            ("k1", &[0; 31][..], "a key for pseudonyms has 32 bytes or more, not 31"),
            ("", &[0; 32], "`` is no id of a key for pseudonyms"),
            ("a.b", &[0; 32], "`a.b` is no id of a key for pseudonyms"),
            ("abcdefghijklmnopq", &[0; 32], "`abcdefghijklmnopq` is no id of a key for pseudonyms"),
        ] {
            assert_eq!(PseudonymKey::new(kid, key).expect_err(kid).to_string(), expected);
        }
        assert_eq!(format!("{:?}", key("k1")), r#"PseudonymKey { kid: "k1", .. }"#);
        assert_eq!(PseudonymKey::from_base64url("k", "a+").err(), Some(PseudonymKeyError::Encoding));
        let [one, other] = [(); 2].map(|()| PseudonymKey::new_base64url().expect("randomness"));
        assert!(PseudonymKey::from_base64url("k1", &one).is_ok() && one != other);
        let twins = Pseudonyms::new(key("a"), [key("a")]);
        assert_eq!(twins.err(), Some(PseudonymKeyError::DuplicateKid("a".to_owned())));
    }

    /// Who a subject is, is the pair of issuer and id: neither part can be moved to the other.
    #[test]
    fn a_pseudonym_is_of_the_pair() {
        let key = key("k1");
        let alice = key.of("https://id.example.com", "alice");
        assert!(member::find(crate::attribute::SUB).expect("there").is_legal(&alice), "{alice}");
        for (issuer, subject) in [
            ("https://id.example.com", "alicf"),
            ("https://id.example.com/", "alice"),
            ("https://id.example.coma", "lice"),
            ("", "https://id.example.com\0alice"),
        ] {
            assert_ne!(key.of(issuer, subject), alice, "{issuer} {subject}");
        }
        assert_ne!(
            PseudonymKey::new("k1", &[8; 32]).expect("key").of("https://id.example.com", "alice"),
            alice
        );
    }

    #[test]
    fn actors_are_told_apart() {
        let key = key("k1");
        let actor = |kind, id| Actor { kind, id };
        let planner = key.actor(actor(Some(Kind::Agent), "planner"), Some("https://id.example.com"));
        for (other, issuer) in [
            (actor(Some(Kind::Service), "planner"), Some("https://id.example.com")),
            (actor(None, "planner"), Some("https://id.example.com")),
            (actor(Some(Kind::Agent), "planner"), None),
            (actor(Some(Kind::Agent), "planne"), Some("https://id.example.com")),
        ] {
            assert_ne!(key.actor(other, issuer), planner, "{other:?}");
        }
        let act = member::find(crate::attribute::ACT).expect("there");
        let chain = |len: usize| (0..len).map(|_| (actor(Some(Kind::Agent), "planner"), None));
        assert!(act.is_legal(&key.actors(chain(20)).expect("actors")));
        assert_eq!(key.actors(chain(9)), key.actors(chain(8)));
        assert_eq!(key.actors(chain(0)), None);
        let keys = Pseudonyms::new(key, []).expect("keys");
        let two = keys.current().actors(chain(2));
        assert_eq!(keys.is_of_actors("k1.x", two.as_deref(), chain(2)), Some(true));
        assert_eq!(keys.is_of_actors("k1.x", two.as_deref(), chain(1)), Some(false));
        assert_eq!(keys.is_of_actors("k1.x", None, chain(0)), Some(true));
        assert_eq!(keys.is_of_actors("k2.x", None, chain(0)), None);
    }

    #[test]
    fn a_fingerprint_is_of_key_and_credential() {
        let first = key("k1").fingerprint(&[1; 32]);
        assert!(first.starts_with("k1.") && first.len() == 3 + 11, "{first}");
        assert_ne!(key("k1").fingerprint(&[2; 32]), first);
        assert_ne!(PseudonymKey::new("k1", &[8; 32]).expect("key").fingerprint(&[1; 32]), first);
    }
}
