//! The program `hopseal`.

fn main() {}
