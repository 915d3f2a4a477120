//! End-to-end cases of Hopseal and the generator that knows the truth of what it built.

pub mod accuracy;
pub mod generator;
