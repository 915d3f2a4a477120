//! Identity in W3C Baggage (<https://www.w3.org/TR/baggage/>): read strictly, written first.
//!
//! Any party may add to baggage, and carriers decode and encode it each in its own way. So nothing is ever made of a member but
//! what it is: properties are never decoded, members of others are passed on byte by byte, and a member of ours in any but its
//! one spelling spoils the identity as a whole rather than be mended.
//!
//! ```text
//! baggage = identity *( "," member of others )
//! identity = name "=" value *( "," name "=" value )     in the order of MEMBERS, no spaces, no properties
//!          | "hopseal.enc=" encrypted [ "," "hopseal.hop=" value ]
//! ```

mod carried;
mod encrypted;
mod entry;
#[cfg(test)]
mod tests;
mod write;

pub use carried::{Carried, CarriedError};
pub use encrypted::Encrypted;
pub use entry::{Entry, decode, encode};
pub use write::Writer;

use crate::member;
use crate::seal::SealFault;

/// Most bytes of all `baggage` headers of a request together that carriers must pass on (section 3.3.2).
pub const MAX_BYTES: usize = 8192;
/// Most members in them.
pub const MAX_MEMBERS: usize = 64;
/// Bytes that are looked through for an identity. In more than that none is found.
const MAX_READ: usize = 64 * 1024;

/// The baggage of a request, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Baggage<'h> {
    /// The identity, if one is carried; why not, if members of ours are there that make none.
    pub identity: Result<Option<Carried>, SealFault>,
    /// The identity, if one is carried that only those can read who have the key. Then there is no other.
    pub encrypted: Option<Encrypted>,
    /// Members of others, in the order they came, as far as they are well-formed and within the limits.
    pub others: Vec<Entry<'h>>,
    /// Members of others that are not well-formed or over the limits. They are left out whole.
    pub dropped: usize,
}

impl<'h> Baggage<'h> {
    /// Reads all `baggage` headers of a request. No identity is lost to what others put beside it.
    ///
    /// The fault is [`SealFault::Malformed`] when a member of ours is not of the closed list, there twice, of a wrong form, in
    /// another spelling or with properties; and [`SealFault::Incomplete`] when one that is required is not there.
    ///
    /// ```
    /// use hopseal_identity::{attribute, baggage::Baggage, seal::SealFault};
    /// let read = Baggage::read(["theme=dark;p=x%2Chopseal.sub=m", "hopseal.sub=k1.x,hopseal.kind=user,hopseal.iss=main"]);
    /// let carried = read.identity.unwrap().unwrap();
    /// assert_eq!(carried.get(attribute::SUB), Some("k1.x"));
    /// assert_eq!(read.others.len(), 1);
    /// assert_eq!(Baggage::read(["hopseal.sub=a,hopseal.sub=b"]).identity, Err(SealFault::Malformed));
    /// ```
    pub fn read(headers: impl IntoIterator<Item = &'h str>) -> Self {
        let mut baggage = Self { identity: Ok(None), encrypted: None, others: Vec::new(), dropped: 0 };
        let mut found = carried::Found::default();
        let (mut read, mut taken) = (0_usize, 0_usize);
        for header in headers {
            read = read.saturating_add(header.len()).saturating_add(1);
            if read > MAX_READ {
                found.spoil();
                break;
            }
            for text in header.split(',').map(entry::trim).filter(|text| !text.is_empty()) {
                match Entry::read(text) {
                    Some(entry) if member::is_reserved(entry.name()) => found.take(entry),
                    Some(entry) => {
                        let size = taken + entry.as_str().len() + usize::from(taken > 0);
                        if size <= MAX_BYTES && baggage.others.len() < MAX_MEMBERS {
                            taken = size;
                            baggage.others.push(entry);
                        } else {
                            baggage.dropped += 1;
                        }
                    }
                    None if member::is_reserved(text) => found.spoil(),
                    None => baggage.dropped += 1,
                }
            }
        }
        (baggage.identity, baggage.encrypted) = found.identity();
        baggage
    }
}
