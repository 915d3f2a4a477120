//! `hopseal serve`: spans in, findings and a trail out, for as long as it runs.
//!
//! ```text
//! delivery, clock -> store -> keep -> api
//! ```

mod clock;
mod delivery;
mod keep;
mod store;
