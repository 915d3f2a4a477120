//! Writing a `baggage` header.

use std::fmt::Write as _;

use super::carried::Carried;
use super::encrypted::Encrypted;
use super::entry::{Entry, encode, is_octet, is_token};
use super::{MAX_BYTES, MAX_MEMBERS};
use crate::attribute::HOP;
use crate::member::{self, ENC};

/// A `baggage` header in the making: an identity first, then members of others for as long as they fit.
///
/// ```
/// use hopseal_identity::baggage::{Baggage, Writer};
/// let arrived = Baggage::read(["theme=dark;p=1, a=b=c"]);
/// let mut writer = Writer::new(None);
/// for entry in &arrived.others {
///     assert!(writer.pass_on(entry));
/// }
/// assert!(writer.add("cart", "50 %", ""));
/// assert_eq!(writer.finish(), "theme=dark;p=1,a=b=c,cart=50%20%25");
/// ```
#[derive(Debug, Clone)]
pub struct Writer {
    text: String,
    members: usize,
    dropped: usize,
}

impl Writer {
    /// Begins with an identity, if there is one.
    #[must_use]
    pub fn new(identity: Option<&Carried>) -> Self {
        let Some(carried) = identity else {
            return Self { text: String::new(), members: 0, dropped: 0 };
        };
        let mut text = String::with_capacity(carried.as_str().len() + 64);
        text.push_str(carried.as_str());
        let mut members = carried.iter().count();
        if let Some(hop) = carried.hop() {
            // Writing to a `String` does not fail.
            let _ = write!(text, ",{HOP}={hop}");
            members += 1;
        }
        Self { text, members, dropped: 0 }
    }

    /// Begins with an identity that only some can read.
    #[must_use]
    pub fn encrypted(identity: &Encrypted) -> Self {
        let mut text = String::with_capacity(identity.as_str().len() + 64);
        text.extend([ENC, "=", identity.as_str()]);
        let mut members = 1;
        if let Some(hop) = identity.hop() {
            // Writing to a `String` does not fail.
            let _ = write!(text, ",{HOP}={hop}");
            members += 1;
        }
        Self { text, members, dropped: 0 }
    }

    /// Adds a member of others as it came; whether it was. A name of ours is never added.
    pub fn pass_on(&mut self, entry: &Entry<'_>) -> bool {
        let fits = !member::is_reserved(entry.name()) && self.fits(entry.as_str().len());
        if fits {
            self.comma();
            self.text.push_str(entry.as_str());
            self.members += 1;
        }
        self.dropped += usize::from(!fits);
        fits
    }

    /// Adds a member with a value to be encoded, and properties, `;` between them, that are encoded already; whether it was.
    /// Left out whole: a name that is no token or is ours, properties that are not legal, what does not fit any more.
    pub fn add(&mut self, name: &str, value: &str, properties: &str) -> bool {
        let start = self.text.len();
        let property = |byte: u8| is_octet(byte) || matches!(byte, b' ' | b'\t' | b';');
        let legal = !name.is_empty()
            && name.bytes().all(is_token)
            && !member::is_reserved(name)
            && properties.bytes().all(property);
        // Encoded it is at least as long.
        let mut added = legal && self.fits(name.len() + 1 + value.len());
        if added {
            self.comma();
            self.text.push_str(name);
            self.text.push('=');
            encode(value, &mut self.text);
            if !properties.is_empty() {
                self.text.push(';');
                self.text.push_str(properties);
            }
            added = self.text.len() <= MAX_BYTES;
        }
        if added {
            self.members += 1;
        } else {
            self.text.truncate(start);
            self.dropped += 1;
        }
        added
    }

    /// How many members were left out.
    #[must_use]
    pub const fn dropped(&self) -> usize {
        self.dropped
    }

    /// The header; empty when there is nothing to send.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }

    fn fits(&self, bytes: usize) -> bool {
        let comma = usize::from(!self.text.is_empty());
        self.members < MAX_MEMBERS && self.text.len() + comma + bytes <= MAX_BYTES
    }

    fn comma(&mut self) {
        if !self.text.is_empty() {
            self.text.push(',');
        }
    }
}
