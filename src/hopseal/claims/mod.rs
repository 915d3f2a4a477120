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
#[cfg(any(feature = "introspection", feature = "paseto"))]
pub(crate) use identity::principal;
#[cfg(feature = "introspection")]
pub(crate) use jwt::confirmation;
pub(crate) use jwt::{Jwt, forwarded};
#[cfg(feature = "events")]
pub(crate) use payload::sound;
pub(crate) use payload::{Payload, missing, wrong};
#[cfg(any(feature = "events", feature = "introspection", feature = "paseto"))]
pub(crate) use terms::Terms;
#[cfg(any(feature = "introspection", feature = "paseto"))]
pub(crate) use {profile::default, terms::audience};
