//! What a JWT says: read once, strictly; held to the rules of its issuer and to those of its kind; and turned into a
//! principal (RFC 7519, RFC 8725, RFC 9068, OpenID Connect Core 1.0, JWT-SVID, draft-ietf-oauth-transaction-tokens-10).

mod expected;
mod identity;
mod jwt;
mod payload;
mod profile;
mod terms;
#[cfg(test)]
pub(crate) mod tests;

pub use expected::Expected;
pub(crate) use expected::Proof;
#[cfg(feature = "paseto")]
pub(crate) use identity::principal;
pub(crate) use jwt::{Jwt, forwarded};
pub(crate) use payload::{Payload, missing, wrong};
#[cfg(feature = "paseto")]
pub(crate) use {
    profile::default,
    terms::{Terms, audience},
};
