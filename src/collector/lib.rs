//! The program `hopseal` as a library, so that tests call what the binary calls.

pub mod check;
pub mod cli;
pub mod output;
pub mod seal_check;
