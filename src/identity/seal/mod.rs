//! The seal: who vouched for the identity that travels in baggage, and in which trace.
//!
//! A seal is a JWS (RFC 7515) with its payload left out (appendix F): whoever checks it builds the payload from what
//! it sees itself, so nothing travels twice. Any JOSE library can check it once the payload stands between the dots.
//!
//! ```text
//! seal      = BASE64URL(protected) ".." BASE64URL(signature)
//! protected = {"alg":"EdDSA","kid":"k1","tid":"0af7651916cd43dd","typ":"hopseal"}
//! signature = Ed25519(key `kid`, BASE64URL(protected) "." BASE64URL(payload))    64 bytes
//! payload   = hopseal-seal-1 LF
//!             trust domain LF
//!             trace id, 32 lower-case hex digits LF
//!             name "=" value LF            for each member that was sent, in the order of SEALED_MEMBERS
//! ```
//!
//! `tid` is the first half of the trace id: it only tells a seal moved to another trace from one whose members were
//! edited; what binds the seal to the trace is the whole id in the payload. `typ` keeps it from being taken for any
//! other token signed by the same key (RFC 8725 section 3.11). Only this very spelling of the header is read: four
//! members in this order, no spaces, no escapes. There is no room for `crit`, `jku` or a second `alg`.
//!
//! A group of services may choose to share a secret in place of a key pair: `HS256`, with a signature of 32 bytes, under a
//! `kid` that the key set says is of such a secret (`"kty":"oct"`, without `k`). Whoever can check such a seal can forge it,
//! so it proves something inside that group and nothing to others.
//!
//! Values are the decoded ones, of unreserved characters (RFC 3986 section 2.3): carriers corrupt others.
//!
//! Checking and making seals needs the feature `seal`; what is written here does not.

#[cfg(feature = "seal")]
mod check;
#[cfg(feature = "seal")]
mod key_set;
#[cfg(feature = "seal")]
mod mint;
#[cfg(test)]
#[cfg(feature = "seal")]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;

#[cfg(feature = "seal")]
pub use check::{Clock, MAX_LIFETIME, Verdict, check, in_time};
#[cfg(feature = "seal")]
pub use key_set::{KeyFault, KeySet, KeySetError, SkippedKey};
#[cfg(feature = "seal")]
pub use mint::{MintError, SealingKey, SealingKeyError};

use crate::attribute::SEALED_MEMBERS;
use crate::member::{self, is_unreserved};

/// First line of every payload.
const VERSION: &str = "hopseal-seal-1";
/// Longest key id, in bytes.
const MAX_KID: usize = 32;
/// Room for the longest protected header.
const MAX_HEADER: usize = 128;
/// Characters of an Ed25519 signature in base64url.
const SIGNATURE_TEXT: usize = 86;
/// Characters of an HMAC-SHA256 tag in base64url.
const TAG_TEXT: usize = 43;

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal;)+) => {
        /// Why a seal is not accepted: the closed list of [`attribute::SEAL_ERROR`](crate::attribute::SEAL_ERROR).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum SealFault { $($(#[doc = $doc])+ $name,)+ }

        impl SealFault {
            /// Every fault, in the order of this page.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The word on the span and in every output.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// The word as the [reason](crate::attribute::REASON) of a weaker assurance.
            #[must_use]
            pub const fn as_reason(self) -> &'static str {
                match self { $(Self::$name => concat!("seal_", $word),)+ }
            }
        }
    };
}

faults! {
    /// It is made with an algorithm that is none of ours, or not the one of its key.
    Algorithm = "algorithm";
    /// It has ended.
    Expired = "expired";
    /// A member that every seal covers was not sent.
    Incomplete = "incomplete";
    /// It is no seal, a member is not of the closed list or not of unreserved characters, or it ends before it begins.
    Malformed = "malformed";
    /// The identity it covers is not that of the credential beside it. Only a hop can see that.
    Mismatch = "mismatch";
    /// There is none where one is required. Only a hop can see that.
    Missing = "missing";
    /// It was made in the future.
    Premature = "premature";
    /// Its key is not that of a service that may seal such an identity. Only who knows the rules can see that.
    Sealer = "sealer";
    /// A member was edited, added or removed after it was made; or it was made by another key of that name.
    Signature = "signature";
    /// It was made for another trace.
    Trace = "trace";
    /// Its key is not in the key set.
    UnknownKey = "unknown_key";
}

impl SealFault {
    /// Reads the word back; `None` for any other.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|fault| fault.as_str() == word)
    }
}

/// What a seal is bound to besides its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding<'a> {
    trust_domain: &'a str,
    trace_id: [u8; 16],
}

impl<'a> Binding<'a> {
    /// Binds to a trust domain (SPIFFE ID section 2.1: lower-case letters, digits, `.`, `-`, `_`; at most 255) and a
    /// trace; `None` when that is no trust domain.
    #[must_use]
    pub fn new(trust_domain: &'a str, trace_id: [u8; 16]) -> Option<Self> {
        let legal = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_')
        };
        ((1..=255).contains(&trust_domain.len()) && trust_domain.bytes().all(legal))
            .then_some(Self { trust_domain, trace_id })
    }

    /// What `tid` of a seal so bound says.
    #[cfg(feature = "seal")]
    fn trace_prefix(&self) -> [u8; 8] {
        self.trace_id.first_chunk().copied().unwrap_or_default()
    }
}

/// The members that a seal covers, as they were received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Members<'a> {
    values: [Option<&'a str>; SEALED_MEMBERS.len()],
}

impl<'a> Members<'a> {
    /// Adds a member.
    ///
    /// # Errors
    /// [`SealFault::Malformed`] for a name that is not in [`SEALED_MEMBERS`], a second value, and a value that is
    /// empty, longer than that of its [member](crate::member::MEMBERS) may be, or not of unreserved characters.
    pub fn set(&mut self, name: &str, value: &'a str) -> Result<(), SealFault> {
        let place = SEALED_MEMBERS.iter().position(|member| *member == name);
        let slot = place.and_then(|place| self.values.get_mut(place)).ok_or(SealFault::Malformed)?;
        let fits = member::find(name).is_some_and(|member| value.len() <= member.max);
        if slot.is_some() || !fits || !is_unreserved(value) {
            return Err(SealFault::Malformed);
        }
        *slot = Some(value);
        Ok(())
    }

    /// The value of a member, if it was sent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.iter().find(|(member, _)| *member == name).map(|(_, value)| value)
    }

    /// The members that were sent, in the order they are signed.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'a str)> + use<'a> {
        SEALED_MEMBERS.iter().zip(self.values).filter_map(|(name, value)| Some((*name, value?)))
    }
}

/// The bytes that a seal signs: see the [module](self).
///
/// ```
/// use hopseal_identity::{attribute, seal};
/// let mut members = seal::Members::default();
/// members.set(attribute::SUB, "x7Qf").unwrap();
/// members.set(attribute::KIND, "user").unwrap();
/// let binding = seal::Binding::new("example.org", [0x4b; 16]).unwrap();
/// assert_eq!(
///     seal::payload(&binding, &members),
///     "hopseal-seal-1\nexample.org\n4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b\nhopseal.kind=user\nhopseal.sub=x7Qf\n",
/// );
/// ```
#[must_use]
pub fn payload(binding: &Binding<'_>, members: &Members<'_>) -> String {
    let mut payload = String::with_capacity(384);
    for part in [VERSION, "\n", binding.trust_domain, "\n"] {
        payload.push_str(part);
    }
    payload.push_str(&hex(&binding.trace_id));
    payload.push('\n');
    for (name, value) in members.iter() {
        for part in [name, "=", value, "\n"] {
            payload.push_str(part);
        }
    }
    payload
}

/// What is signed: the header and the payload as a JWS joins them.
#[cfg(feature = "seal")]
fn signing_input(protected: &str, binding: &Binding<'_>, members: &Members<'_>) -> String {
    let mut input = String::with_capacity(640);
    input.push_str(protected);
    input.push('.');
    BASE64URL.encode_string(payload(binding, members), &mut input);
    input
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).map_or('0', |digit| char::from(*digit));
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The protected header, read from its one spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header<'h> {
    alg: &'h str,
    kid: &'h str,
    trace_prefix: [u8; 8],
}

impl<'h> Header<'h> {
    fn read(text: &'h str) -> Option<Self> {
        let (alg, rest) = text.strip_prefix(r#"{"alg":""#)?.split_once('"')?;
        let (kid, rest) = rest.strip_prefix(r#","kid":""#)?.split_once('"')?;
        let (tid, rest) = rest.strip_prefix(r#","tid":""#)?.split_once('"')?;
        let whole = rest == r#","typ":"hopseal"}"# && is_unreserved(alg) && is_kid(kid);
        let trace_prefix = whole.then(|| prefix_of(tid)).flatten()?;
        Some(Self { alg, kid, trace_prefix })
    }

    #[cfg(feature = "seal")]
    fn write(&self) -> String {
        let (alg, kid, tid) = (self.alg, self.kid, hex(&self.trace_prefix));
        format!(r#"{{"alg":"{alg}","kid":"{kid}","tid":"{tid}","typ":"hopseal"}}"#)
    }
}

fn is_kid(kid: &str) -> bool {
    kid.len() <= MAX_KID && is_unreserved(kid)
}

/// Reads 16 lower-case hex digits.
fn prefix_of(tid: &str) -> Option<[u8; 8]> {
    let lower = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (tid.len() == 16 && tid.bytes().all(lower))
        .then(|| u64::from_str_radix(tid, 16).ok())
        .flatten()
        .map(u64::to_be_bytes)
}

/// Parts of a seal: the protected header as it was encoded, and the signature.
fn split(seal: &str) -> Option<(&str, &str)> {
    let (protected, signature) = seal.split_once("..")?;
    [SIGNATURE_TEXT, TAG_TEXT].contains(&signature.len()).then_some((protected, signature))
}

/// Whether a signature is as long as those of an algorithm, where it is one of ours.
fn is_length_of(alg: &str, signature: &str) -> bool {
    match alg {
        "EdDSA" => signature.len() == SIGNATURE_TEXT,
        "HS256" => signature.len() == TAG_TEXT,
        _ => true,
    }
}

/// Decodes a protected header; `None` when it is too long, not canonical base64url or not UTF-8.
fn decode<'b>(protected: &str, room: &'b mut [u8; MAX_HEADER]) -> Option<&'b str> {
    let len = BASE64URL.decode_slice(protected, room).ok()?;
    std::str::from_utf8(room.get(..len)?).ok()
}

/// The first half of the trace id that a seal says it was made for, without checking the seal; `None` when it is no
/// seal.
///
/// ```
/// # use hopseal_identity::seal::trace_prefix;
/// let header = "eyJhbGciOiJFZERTQSIsImtpZCI6ImsxIiwidGlkIjoiMGFmNzY1MTkxNmNkNDNkZCIsInR5cCI6ImhvcHNlYWwifQ";
/// let seal = format!("{header}..{}", "A".repeat(86));
/// assert_eq!(trace_prefix(&seal), Some([0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd]));
/// assert_eq!(trace_prefix("no seal"), None);
/// ```
#[must_use]
pub fn trace_prefix(seal: &str) -> Option<[u8; 8]> {
    let (protected, signature) = split(seal)?;
    let mut bytes = [0; 66];
    BASE64URL.decode_slice(signature, &mut bytes).ok()?;
    let mut room = [0; MAX_HEADER];
    let header = Header::read(decode(protected, &mut room)?)?;
    is_length_of(header.alg, signature).then_some(header.trace_prefix)
}
