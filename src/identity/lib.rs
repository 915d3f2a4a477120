//! Principals, assurance and the wire contract: what both halves of Hopseal agree on. No I/O, no clock.
