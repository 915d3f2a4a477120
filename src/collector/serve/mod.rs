//! `hopseal serve`: spans in, findings and a trail out, for as long as it runs.
//!
//! ```text
//! delivery, clock, people -> store -> keep, shape -> api -> trail
//! ```

mod api;
mod clock;
mod delivery;
mod keep;
mod people;
mod shape;
mod store;
pub(crate) mod trail;
