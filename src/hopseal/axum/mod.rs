//! For services of `axum`: who calls as an argument of a handler, guards, and a route for public keys.
//!
//! All of them need an [`IdentityLayer`](crate::tower::IdentityLayer) around; without one nobody is let in.
//!
//! ```
//! use axum::{Router, routing::{get, post}};
//! use hopseal::axum::{Proven, Scopes, Scoped, Verified};
//! use hopseal::tower::RequireScopes;
//!
//! struct Writes;
//! impl Scopes for Writes {
//!     const SCOPES: &[&str] = &["orders:write"];
//! }
//!
//! async fn mine(caller: Verified) -> String {
//!     format!("orders of {}", caller.principal().id) // 401 for others
//! }
//! async fn welcome(caller: Option<Verified>) -> String {
//!     caller.map_or("hello".to_owned(), |caller| format!("hello, {}", caller.principal().id))
//! }
//! async fn order(caller: Scoped<Writes>) -> String {
//!     format!("ordered for {}", caller.principal().id) // 403 without the scope
//! }
//! async fn charges(caller: Proven) -> &'static str {
//!     caller.assurance().as_str() // "verified" or "sealed"; 401 for what is only asserted
//! }
//! let app: Router = Router::new()
//!     .route("/orders", get(mine).post(order))
//!     .route("/charges", get(charges))
//!     .route("/", get(welcome))
//!     .nest("/admin", Router::new().layer(RequireScopes::new(["orders:admin"])));
//! // .layer(IdentityLayer::new(..))
//! # drop(app);
//! ```

mod extract;
#[cfg(test)]
mod tests;

pub use extract::{Proven, Rejection, Scoped, Scopes, Verified};

use ::axum::body::Bytes;
use ::axum::extract::MatchedPath;
use ::axum::routing::{MethodRouter, get};
use http::Extensions;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use crate::seal::SealingKeys;

/// The route of a request, for [`IdentityLayer::routes`](crate::tower::IdentityLayer::routes). It is known within `Router::layer`.
#[must_use]
pub fn route(extensions: &Extensions) -> Option<&str> {
    extensions.get::<MatchedPath>().map(MatchedPath::as_str)
}

/// Serves the public halves of keys that seal as a JWK set (RFC 7517), for a path such as `/.well-known/hopseal/jwks.json`. It is the
/// same for everybody and may be kept for five minutes: a key is to be published at least that long before it seals.
///
/// ```
/// # use axum::Router;
/// # fn example(sealer: &hopseal::seal::Sealer) {
/// let app: Router = Router::new().route("/jwks.json", hopseal::axum::public_jwks([sealer.keys()]));
/// # drop(app); }
/// ```
pub fn public_jwks<'k, S>(services: impl IntoIterator<Item = &'k SealingKeys>) -> MethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    let set = Bytes::from(crate::seal::public_jwks(services));
    let headers = [(CONTENT_TYPE, "application/jwk-set+json"), (CACHE_CONTROL, "public, max-age=300")];
    get(move || std::future::ready((headers.clone(), set.clone())))
}
