//! Baggage members of ours: the closed list, and what their values look like.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;

use crate::attribute::{ACT, EXP, HOP, IAT, ISS, KIND, RESEALED, SEAL, SUB, TENANT, TXN};
use crate::crossing_count::CrossingCount;
use crate::principal::Kind;

/// Names that begin so, in any case and however encoded, are ours alone.
pub const PREFIX: &str = "hopseal.";

/// The one member of an identity that only some may read, in place of all [`MEMBERS`] but the hop counter: an
/// [`Encrypted`](crate::baggage::Encrypted). It is no attribute of spans.
pub const ENC: &str = "hopseal.enc";

/// Most bytes that the members of an identity may take in a header, with their names, `=` and the commas between them.
/// Every legal identity fits; one with two actors takes less than 512.
pub const MAX_IDENTITY: usize = 1024;

/// Most actors that travel: the most recent ones.
pub const MAX_ACTORS: usize = 8;

/// Characters of an actor's digest: 8 bytes in base64url.
const DIGEST_TEXT: usize = 11;

/// A member: its name, and the most bytes its value may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: &'static str,
    /// Most bytes of its value.
    pub max: usize,
    /// Whether an identity is not one without it.
    pub required: bool,
}

const fn member(name: &'static str, max: usize, required: bool) -> Member {
    Member { name, max, required }
}

/// Every member, in the order they are written.
pub const MEMBERS: [Member; 11] = [
    member(SUB, 64, true),
    member(KIND, 7, true),
    member(ISS, 32, true),
    member(TENANT, 64, false),
    member(ACT, MAX_ACTORS * (DIGEST_TEXT + 1) - 1, false),
    member(TXN, 64, false),
    member(RESEALED, 64, false),
    member(IAT, 20, false),
    member(EXP, 20, false),
    member(SEAL, 259, false),
    member(HOP, 28, false),
];

/// The member of that name; `None` for any other.
#[must_use]
pub fn find(name: &str) -> Option<&'static Member> {
    MEMBERS.iter().find(|member| member.name == name)
}

/// Whether a name is ours to use: it begins with [`PREFIX`], in any case, percent-encoded or not. Some carriers decode
/// names, so that what looks like another's here could be ours at the next hop.
///
/// ```
/// use hopseal_identity::member::is_reserved;
/// assert!(is_reserved("hopseal.sub") && is_reserved("Hopseal.x") && is_reserved("hopseal%2Esub"));
/// assert!(!is_reserved("hopsealed") && !is_reserved("user.id"));
/// ```
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    let mut bytes = name.bytes();
    PREFIX
        .bytes()
        .all(|expected| decoded(&mut bytes).is_some_and(|byte| byte.to_ascii_lowercase() == expected))
}

/// The next byte of a percent-encoded text, decoded as often as it was encoded.
fn decoded(bytes: &mut std::str::Bytes<'_>) -> Option<u8> {
    let mut byte = bytes.next()?;
    while byte == b'%' {
        let mut ahead = bytes.clone();
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let Some((high, low)) = ahead.next().and_then(digit).zip(ahead.next().and_then(digit)) else { break };
        byte = high << 4 | low;
        *bytes = ahead;
    }
    Some(byte)
}

impl Member {
    /// Whether `value` is a legal one: unreserved characters (RFC 3986 section 2.3), not too many, and of the form that
    /// this member has.
    #[must_use]
    pub fn is_legal(&self, value: &str) -> bool {
        if value.len() > self.max || !is_unreserved(value) {
            return false;
        }
        match self.name {
            KIND => Kind::parse(value).is_some(),
            IAT | EXP => seconds(value).is_some(),
            ACT => value.split('.').all(|digest| bytes::<8>(digest).is_some()),
            RESEALED => Resealed::parse(value).is_some(),
            HOP => CrossingCount::parse(value).is_some(),
            _ => true,
        }
    }
}

/// Reads seconds in plain decimal: no sign, no zero in front.
#[must_use]
pub fn seconds(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

/// Reads exactly so many bytes from canonical base64url.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut room = [0; 24];
    let len = BASE64URL.decode_slice(text, &mut room).ok()?;
    room.get(..len)?.try_into().ok()
}

/// Whether text is one or more unreserved characters (RFC 3986 section 2.3).
pub(crate) fn is_unreserved(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'))
}

/// A text of the outside as the value of a member, such as a tenant: as it is when it is unreserved characters alone and does
/// not begin with `~`; else `~` and its UTF-8 in base64url. `None` when it is empty or that takes more than 64 bytes.
///
/// ```
/// use hopseal_identity::member::{escape, unescape};
/// assert_eq!(escape("acme").as_deref(), Some("acme"));
/// assert_eq!(escape("Acme & Sons").as_deref(), Some("~QWNtZSAmIFNvbnM"));
/// assert_eq!(unescape("~QWNtZSAmIFNvbnM").as_deref(), Some("Acme & Sons"));
/// assert_eq!(escape(""), None);
/// ```
#[must_use]
pub fn escape(text: &str) -> Option<Cow<'_, str>> {
    let value = match is_unreserved(text) && !text.starts_with('~') {
        true => Cow::Borrowed(text),
        false => Cow::Owned(format!("~{}", BASE64URL.encode(text))),
    };
    (!text.is_empty() && value.len() <= 64).then_some(value)
}

/// The text behind the value of a member; `None` for what [`escape`] never writes.
#[must_use]
pub fn unescape(value: &str) -> Option<Cow<'_, str>> {
    let text = match value.strip_prefix('~') {
        None => Cow::Borrowed(value),
        Some(encoded) => Cow::Owned(String::from_utf8(BASE64URL.decode(encoded).ok()?).ok()?),
    };
    (escape(&text)? == value).then_some(text)
}

/// `hopseal.resealed`: where a seal that was made from another seal comes from.
///
/// ```text
/// count "." first "." BASE64URL(digest)    count: 1 to 255; first: iat of the first seal; digest: 16 bytes
/// digest = first 16 bytes of SHA-256(the previous seal, as text)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resealed {
    /// How often it was re-sealed.
    pub count: u8,
    /// When the first seal was made.
    pub first: u64,
    /// Digest of the seal before this one.
    pub previous: [u8; 16],
}

impl Resealed {
    /// Reads the one spelling of a value; `None` for any other.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (count, rest) = text.split_once('.')?;
        let (first, digest) = rest.split_once('.')?;
        let count = seconds(count).and_then(|count| u8::try_from(count).ok()).filter(|count| *count > 0)?;
        Some(Self { count, first: seconds(first)?, previous: bytes(digest)? })
    }

    /// The digest of a seal.
    #[must_use]
    pub fn digest(seal: &str) -> [u8; 16] {
        use sha2::Digest as _;
        let digest: [u8; 32] = sha2::Sha256::digest(seal).into();
        digest.first_chunk().copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Resealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.count, self.first, BASE64URL.encode(self.previous))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_identity_fits() {
        let all: usize = MEMBERS.iter().map(|member| member.name.len() + 1 + member.max + 1).sum();
        assert!(all - 1 <= MAX_IDENTITY, "{all}");
        // Two actors, a tenant, ids and keys as they come.
        let usual: usize = MEMBERS
            .iter()
            .filter(|member| member.name != RESEALED)
            .map(|member| {
                let value = match member.name {
                    SUB => 25,
                    ISS | TENANT => 16,
                    ACT => 23,
                    TXN => 22,
                    IAT | EXP => 10,
                    SEAL => 88 + 92,
                    _ => member.max,
                };
                member.name.len() + 1 + value + 1
            })
            .sum();
        assert!(usual <= 512, "{usual}");
    }

    #[test]
    fn sealed_members_are_members() {
        use crate::attribute::SEALED_MEMBERS;
        for name in SEALED_MEMBERS {
            assert!(find(name).is_some(), "{name}");
        }
        assert!(SEALED_MEMBERS.is_sorted(), "in the order they are signed");
        assert_eq!(SEALED_MEMBERS.len() + 2, MEMBERS.len(), "all but the seal and the hop counter");
    }

    #[test]
    fn values() {
        for (name, value, legal) in [
            (SUB, "k1.Yx3kQ0m8Zt5r1vBnW2pLdA", true),
            (SUB, "a~b-c_d.e", true),
            (SUB, "a%20b", false),
            (SUB, "a b", false),
            (SUB, "", false),
            (KIND, "agent", true),
            (KIND, "robot", false),
            (KIND, "User", false),
            (IAT, "1767225600", true),
            (IAT, "01", false),
            (IAT, "-1", false),
            (IAT, "99999999999999999999", false),
            (ACT, "q83vEjRWeJA", true),
            (ACT, "q83vEjRWeJA.q83vEjRWeJA", true),
            (ACT, "q83vEjRWeJA.", false),
            (ACT, "q83vEjRWeJB", false), // bits after the end
            (ACT, "q83vEjRWeA", false),
            (RESEALED, "1.1767225600.AAAAAAAAAAAAAAAAAAAAAA", true),
            (RESEALED, "0.1767225600.AAAAAAAAAAAAAAAAAAAAAA", false),
            (RESEALED, "256.1767225600.AAAAAAAAAAAAAAAAAAAAAA", false),
            (RESEALED, "1.1767225600", false),
            (HOP, "0.AAAAAAAAAAAAAAAAAAAAAA", true),
            (HOP, "0", false),
        ] {
            assert_eq!(find(name).is_some_and(|member| member.is_legal(value)), legal, "{name}={value}");
        }
        let actors = ["q83vEjRWeJA"; MAX_ACTORS + 1];
        let act = find(ACT).expect("there");
        assert!(act.is_legal(&actors[1..].join(".")) && !act.is_legal(&actors.join(".")));
        assert_eq!(find("hopseal.scopes"), None);
    }

    #[test]
    fn names_of_ours_are_known_in_any_spelling() {
        for (name, ours) in [
            ("hopseal.sub", true),
            ("HOPSEAL.SUB", true),
            ("hopseal%2esub", true),
            ("%68opseal.sub", true),
            ("hopseal%252Esub", true),
            ("hopseal%sub", false),
            ("hopseal%2", false),
            ("hopseal", false),
            ("xhopseal.sub", false),
        ] {
            assert_eq!(is_reserved(name), ours, "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_was_escaped_is_read_back(text in "\\PC{1,20}") {
            if let Some(value) = escape(&text) {
                prop_assert!(is_unreserved(&value));
                let read = unescape(&value);
                prop_assert_eq!(read.as_deref(), Some(text.as_str()));
            }
        }

        #[test]
        fn one_spelling_of_each_text(value in "~?[A-Za-z0-9_.-]{0,30}") {
            if let Some(text) = unescape(&value) {
                let written = escape(&text);
                prop_assert_eq!(written.as_deref(), Some(value.as_str()));
            }
        }

        #[test]
        fn resealed_is_read_back(count in 1_u8.., first: u64, previous: [u8; 16]) {
            let resealed = Resealed { count, first, previous };
            prop_assert_eq!(Resealed::parse(&resealed.to_string()), Some(resealed));
        }
    }
}
