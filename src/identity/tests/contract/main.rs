//! The wire contract as others see it: the page, the schema and the test vectors say what the code does.
//!
//! The vectors are written anew with `cargo test -p hopseal-identity --all-features --test contract -- --ignored`.

#[cfg(test)]
mod page;
#[cfg(test)]
mod vectors;
