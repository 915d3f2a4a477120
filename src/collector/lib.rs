//! The program `hopseal` as a library, so that tests call what the binary calls.
//!
//! Each module names only those to its left:
//!
//! ```text
//! size, here, hex, seal_check -> check -> output -> policy, client -> serve -> demo, top -> cli
//! ```

// Layouts of the futures of connections are asked for deeper than 128, by as much as features of others add to those of `hyper`.
#![recursion_limit = "256"]

pub mod check;
pub mod cli;
mod client;
mod demo;
mod here;
mod hex;
pub mod output;
pub mod policy;
pub mod seal_check;
mod serve;
pub mod size;
mod top;
