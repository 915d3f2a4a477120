//! The program `hopseal` as a library, so that tests call what the binary calls.
