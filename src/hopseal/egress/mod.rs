//! What may leave with a request: to whom the identity goes, as a seal or as a token, and to whom nothing of it does.
//!
//! Nothing leaves that no [`Rule`] names. To all others go the trace and the baggage of others; what is ours is taken off, also where
//! the application or another instrumentation put it there: members of ours, a transaction token, and the caller's own token under
//! whatever header. It is counted, and said on the span (`hopseal.leak_stopped`). Neither seal nor token goes over plain `http`, but on
//! this machine or in a mesh that is declared to be one.
//!
//! [`EgressLayer`] is for clients that are a `tower` service, such as those of `hyper` and channels of `tonic`; `EgressMiddleware`
//! (feature `reqwest-middleware`) for `reqwest`.
//!
//! ```
//! use hopseal::egress::{EgressLayer, EgressRules, Rule};
//! let rules = EgressRules::new([
//!     Rule::to("https://payments.example.com").forward_token(),
//!     Rule::to("https://*.shop.example.com"),                     // the seal alone
//!     Rule::to("http://stock.shop.svc.cluster.local:8080").in_mesh(),
//! ])?;
//! let layer = EgressLayer::new(rules, "spiffe://example.org/orders");
//! # drop(layer);
//! # Ok::<(), hopseal::egress::RuleError>(())
//! ```

mod destination;
#[cfg(feature = "outgoing")]
mod exchanged;
mod headers;
mod layer;
#[cfg(feature = "reqwest-middleware")]
mod middleware;
mod rule;
mod sender;
#[cfg(test)]
mod tests;

pub use destination::{Destination, DestinationFault};
#[cfg(feature = "outgoing")]
pub use exchanged::Exchanged;
pub use layer::{EgressLayer, EgressService};
#[cfg(feature = "reqwest-middleware")]
pub use middleware::EgressMiddleware;
pub use rule::{EgressRules, NotObtained, Obtain, Obtaining, Rule, RuleError};
