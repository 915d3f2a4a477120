//! JSON Web Signatures and JSON Web Keys (RFC 7515, RFC 7517), strictly: the gate in front of `jsonwebtoken`, which here
//! does the arithmetic of signatures and nothing else.

mod compact;
mod json;
mod key;
mod key_set;
mod own_key;
#[cfg(test)]
mod tests;
mod weak;

pub use compact::Compact;
#[cfg(any(feature = "cache", feature = "paseto"))]
pub(crate) use compact::MAX_BYTES;
pub(crate) use json::Json;
pub use key::KeyFault;
pub use key_set::{KeySet, KeySetError, SkippedKey};
pub(crate) use own_key::verify_by_own_key;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Decodes base64url without padding; one text for one value (RFC 7515 section 2).
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// `text` cut short and freed of what would mislead a reader of logs.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 64;
    let mut short = String::new();
    for letter in text.chars() {
        // As it is shown: an escape takes up to ten characters.
        if short.len() >= LONGEST {
            short.push_str("..");
            break;
        }
        short.extend(letter.escape_default());
    }
    short
}
