//! A small fleet in one process: `gateway` (axum) calls `orders` (tonic), which sends a message to `shipping`; each of them also calls a
//! host that is not ours. What the spans of a run say is judged by `hopseal check`.
//!
//! An enemy sits at each position in turn.

#[cfg(test)]
mod attack;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod services;
#[cfg(test)]
mod spans;
#[cfg(test)]
mod trust;
