//! Requests to identity providers: few, short, bounded, and only to where they may go.
//!
//! What an address may be is decided before anything is sent ([`Address`]), and again for the machines that its name
//! turns out to mean. Redirects are not followed, proxies of the environment are not used, nothing is decompressed.
//! [`Fetch`] is the seam: [`Http`] is the client over `reqwest`, and whoever has another brings it.

mod address;
mod client;
mod message;

pub use address::{Address, AddressFault, Reach};
pub use client::{Http, HttpError, HttpSettings};
#[cfg(any(feature = "introspection", feature = "outgoing", test))]
pub(crate) use message::encode;
pub use message::{Answer, Fetch, Fetching, HttpFault, Request};
