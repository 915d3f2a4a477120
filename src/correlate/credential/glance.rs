//! The first look at a value, sixteen bytes at a time: whether anything in it can be a credential.

/// What a value holds that deserves a second look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Glance {
    /// Perhaps a run of sixteen or more letters, digits, `-` and `_`, not all of them small letters.
    pub(super) runs: bool,
    /// `=`, or a quote.
    pub(super) pairs: bool,
    /// `@`.
    pub(super) at: bool,
}

impl Glance {
    pub(super) const fn is_clear(self) -> bool {
        !(self.runs | self.pairs | self.at)
    }
}

const LANES: usize = 16;
/// Shortest run of token characters worth a look.
const RUN: usize = 16;
const PAIR: u8 = 1;
const AT: u8 = 2;

/// What sixteen bytes add to a glance: whether one half of them is full of token characters, and the specials. Written
/// so that the compiler makes it a handful of vector operations.
#[inline]
fn lanes(chunk: &[u8; LANES]) -> (bool, u128) {
    let mut token = [0_u8; LANES];
    let mut strong = [0_u8; LANES];
    let mut special = [0_u8; LANES];
    for (((byte, token), strong), special) in chunk.iter().zip(&mut token).zip(&mut strong).zip(&mut special)
    {
        let digit = byte.wrapping_sub(b'0') < 10;
        let upper = byte.wrapping_sub(b'A') < 26;
        let lower = byte.wrapping_sub(b'a') < 26;
        *strong = u8::from(digit | upper);
        *token = u8::from(digit | upper | lower | (*byte == b'-') | (*byte == b'_'));
        let pair = (*byte == b'=') | (*byte == b'"') | (*byte == b'\'');
        *special = u8::from(pair) * PAIR | u8::from(*byte == b'@') * AT;
    }
    const FULL: u64 = u64::from_ne_bytes([1; 8]);
    let (token, strong) = (u128::from_le_bytes(token), u128::from_le_bytes(strong));
    let low = (token as u64 == FULL) & (strong as u64 != 0);
    let high = ((token >> 64) as u64 == FULL) & ((strong >> 64) as u64 != 0);
    (low | high, u128::from_le_bytes(special))
}

/// Whether a run of [`RUN`] token characters touches the chunk at `at`.
fn has_run(bytes: &[u8], at: usize) -> bool {
    let from = at.saturating_sub(RUN);
    let around = bytes.get(from..bytes.len().min(at + LANES + RUN)).unwrap_or(&[]);
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    around.split(|byte| !token(byte)).any(|run| run.len() >= RUN)
}

/// Looks over `bytes` once.
#[inline]
pub(super) fn glance(bytes: &[u8]) -> Glance {
    let (mut runs, mut special) = (false, 0);
    // A run of sixteen bytes covers one half of some chunk wholly, wherever it begins.
    let mut add = |at: usize, chunk: &[u8; LANES]| {
        let (full, specials) = lanes(chunk);
        special |= specials;
        if full && !runs {
            runs = has_run(bytes, at);
        }
    };
    let (chunks, rest) = bytes.as_chunks::<LANES>();
    chunks.iter().enumerate().for_each(|(index, chunk)| add(index * LANES, chunk));
    if !rest.is_empty() {
        match bytes.last_chunk::<LANES>() {
            // The last sixteen again overlap what was seen.
            Some(last) => add(bytes.len() - LANES, last),
            None => {
                let mut padded = [b' '; LANES];
                padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                add(0, &padded);
            }
        }
    }
    let special = special.to_le_bytes().into_iter().fold(0, |all, lane| all | lane);
    Glance { runs, pairs: special & PAIR != 0, at: special & AT != 0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_run_of_sixteen_is_never_overlooked(
            before in "[ /.:a-z]{0,40}", run in "[A-Z0-9]{16,40}", after in "[ /.:a-z]{0,40}",
        ) {
            let text = [before, run, after].concat();
            prop_assert!(glance(text.as_bytes()).runs);
        }

        #[test]
        fn specials_are_never_overlooked(before in "[ -~]{0,40}", special in "[=\"'@]", after in "[ -~]{0,40}") {
            let seen = glance([before, special.clone(), after].concat().as_bytes());
            let noted = if special == "@" { seen.at } else { seen.pairs };
            prop_assert!(noted);
        }
    }

    #[test]
    fn ordinary_values_are_clear() {
        for value in [
            "GET",
            "/api/v1/orders/{id}",
            "http://orders:8080/api/orders/1234",
            "10.244.1.17",
            "select name from orders",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)",
            "checkoutservice",
            "opentelemetry.proto.collector.trace.v1",
            "oteldemo.ProductCatalogService/GetProduct",
            "",
        ] {
            let camel = value.contains("Catalog");
            assert_eq!(glance(value.as_bytes()).is_clear(), !camel, "{value}");
        }
    }
}
