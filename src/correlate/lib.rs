//! Spans to traces to hops to findings, without I/O, clock or format.
//!
//! Each module names only those to its left; those in parentheses know each other:
//!
//! ```text
//! number, same, sink -> field -> credential -> dialect -> words -> encoded, record -> intake -> trace -> who -> hop
//! -> catalogue, validation -> (finding, rule, policy, skew, survey, suppress, judge, across) -> report
//! ```
//!
//! ```text
//! sink --intake--> records --trace--> Trace --hop--> hops --who--> identity at each hop
//!      --rule--> findings --suppress--> Verdict
//!      --across--> what rules over many traces rest on
//! ```

pub mod across;
pub mod catalogue;
mod credential;
pub mod dialect;
mod encoded;
pub mod field;
pub mod finding;
pub mod hop;
pub mod intake;
pub mod judge;
pub mod number;
pub mod policy;
pub mod record;
pub mod report;
pub mod rule;
pub mod same;
pub mod sink;
mod skew;
pub mod suppress;
pub mod survey;
#[cfg(test)]
mod testing;
pub mod trace;
pub mod validation;
pub mod who;
pub mod words;
