//! Other systems' headers: what is read of them, what is written, and what it is worth.
//!
//! | system | headers | in | out |
//! |---|---|---|---|
//! | Zipkin, Brave, Sleuth, Istio | `b3`, or `x-b3-traceid` and its like, with ids of 64 and 128 bits | trace: [`B3`] | trace: [`B3`] |
//! | Spring Cloud Sleuth, Micrometer Tracing | fields under their own names (`remote-fields`), or `baggage-` and the name | baggage: [`PlainFields`] | the same |
//! | Micrometer Tracing, with the propagation of W3C | `baggage` | as it is | as it is |
//! | Datadog | `x-datadog-tags` with `_dd.p.usr.id` | an identity, `asserted`: [`DatadogUser`] | nothing |
//! | Envoy, Istio | `x-forwarded-client-cert` | `Validator::forwarded_certificate`: `verified`, method `proxy`, from a declared proxy | nothing |
//! | Envoy, Istio | claims of a token that was validated there | `Validator::forwarded_claims`: the same | nothing |
//!
//! None of them proves anything: whoever can send a header can send these. A seal needs the whole id of the trace: one of 64 bits is
//! taken with zeros in front, as Zipkin does. A server reads them by [`IdentityLayer::traces`](crate::tower::IdentityLayer::traces) and
//! [`also`](crate::tower::IdentityLayer::also), a client writes them by [`EgressLayer::also`](crate::egress::EgressLayer::also).

mod b3;
mod datadog;
mod fields;
#[cfg(test)]
mod tests;

pub use b3::B3;
pub use datadog::DatadogUser;
pub use fields::PlainFields;
