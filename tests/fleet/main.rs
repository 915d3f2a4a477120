//! Two fleets, and an enemy on their wires: one with neighbours of all kinds (`polyglot`), and one that needs nothing.
//!
//! That is a small one in one process: `gateway` (axum) calls `orders` (tonic), which sends a message to `shipping`; each of them also calls a
//! host that is not ours. What the spans of a run say is judged by `hopseal check`.

#[cfg(test)]
mod attack;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod polyglot;
#[cfg(test)]
#[path = "../idp/provider.rs"]
#[expect(dead_code, reason = "the tests of `idp` ask more of it")]
mod provider;
#[cfg(test)]
mod services;
#[cfg(test)]
mod spans;
#[cfg(test)]
mod trust;
