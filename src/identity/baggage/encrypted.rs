//! An identity that only those can read who have the key.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;

use crate::crossing_count::CrossingCount;

/// What every such PASETO begins with.
const HEADER: &str = "v4.local.";
/// Longest text: the longest identity, with what encryption adds to it.
const MAX: usize = 1536;
/// Longest id of a key.
const MAX_KID: usize = 16;

/// An identity that travels in one member, `hopseal.enc`, and that nobody in between can read: a PASETO v4.local
/// (<https://github.com/paseto-standard/paseto-spec>), bound to the trace. Without the key it says nothing but by which it was
/// encrypted; it is passed on as it came.
///
/// ```text
/// id of the key "." BASE64URL(nonce | ciphertext | tag)
/// ```
/// What every such PASETO begins with is left out, and its footer, which is the id of the key, stands in front: it is no credential,
/// and should not be taken for one.
///
/// Cheap to clone. `Debug` leaves it out.
///
/// ```
/// use hopseal_identity::baggage::{Baggage, Encrypted, Writer};
/// let read = Baggage::read(["hopseal.enc=c1.AAAA,theme=dark"]);
/// let encrypted = read.encrypted.unwrap();
/// assert_eq!(encrypted.kid(), "c1");
/// assert_eq!(Writer::encrypted(&encrypted).finish(), "hopseal.enc=c1.AAAA");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Encrypted {
    text: Arc<str>,
    /// Where it begins after the id of the key.
    body: usize,
    hop: Option<CrossingCount>,
}

impl Encrypted {
    /// Takes the text; `None` for one that is of another form, or over 1536 bytes. The key is named by 1 to 16 letters, digits, `-` or
    /// `_`.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let (kid, body) = text.split_once('.')?;
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let named = (1..=MAX_KID).contains(&kid.len()) && kid.bytes().all(legal);
        let whole = named && !body.is_empty() && body.bytes().all(legal) && text.len() <= MAX;
        whole.then(|| Self { text: text.into(), body: kid.len() + 1, hop: None })
    }

    /// Of a PASETO v4.local whose footer is the id of the key; `None` for another.
    #[must_use]
    pub fn of_paseto(kid: &str, paseto: &str) -> Option<Self> {
        let (body, footer) = paseto.strip_prefix(HEADER)?.split_once('.')?;
        (footer == BASE64URL.encode(kid)).then(|| Self::new(&format!("{kid}.{body}")))?
    }

    /// The PASETO, whole.
    #[must_use]
    pub fn paseto(&self) -> String {
        let body = self.text.get(self.body..).unwrap_or_default();
        format!("{HEADER}{body}.{}", BASE64URL.encode(self.kid()))
    }

    /// The id of the key, which nobody has checked.
    #[must_use]
    pub fn kid(&self) -> &str {
        self.text.get(..self.body.saturating_sub(1)).unwrap_or_default()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The hop counter that came with it, which is readable, if there was one.
    #[must_use]
    pub const fn hop(&self) -> Option<CrossingCount> {
        self.hop
    }

    /// The same, as it leaves by a crossing.
    #[must_use]
    pub fn with_hop(&self, hop: CrossingCount) -> Self {
        Self { hop: Some(hop), ..self.clone() }
    }
}

impl fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encrypted").field("kid", &self.kid()).finish_non_exhaustive()
    }
}
