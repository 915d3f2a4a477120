//! The program `hopseal` as a library, so that tests call what the binary calls.
//!
//! Each module names only those to its left:
//!
//! ```text
//! size, seal_check -> check -> output -> policy -> serve -> demo -> cli
//! ```

pub mod check;
pub mod cli;
mod demo;
pub mod output;
pub mod policy;
pub mod seal_check;
mod serve;
pub mod size;
