//! The program as a whole, run as its users run it.

#[cfg(test)]
mod program;
#[cfg(test)]
mod readme;
