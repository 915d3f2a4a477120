//! The first look at a value, eight bytes at a time: whether anything in it can be a credential.

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

/// Bytes looked at in one step: those of a machine word.
const WORD: usize = 8;
/// Shortest run of token characters worth a look. Wherever it begins, it covers one word wholly.
const RUN: usize = 16;

const ONES: u64 = u64::from_ne_bytes([1; WORD]);
const HIGH: u64 = ONES << 7;

/// The high bit of each byte of `word` from `first` to `last`; every byte has to be ASCII.
const fn within(word: u64, first: u8, last: u8) -> u64 {
    // Adding carries into the high bit of a byte from the bound on, and never into the next byte.
    (word + ONES * (0x80 - first as u64)) & !(word + ONES * (0x7f - last as u64)) & HIGH
}

const fn equal(word: u64, byte: u8) -> u64 {
    within(word, byte, byte)
}

/// Of eight bytes: whether all are token characters and not all of them small, which are `=` or a quote, which `@`.
const fn look(bytes: [u8; WORD]) -> (bool, u64, u64) {
    let word = u64::from_le_bytes(bytes);
    let (ascii, low) = (!word & HIGH, word & !HIGH);
    let strong = within(low, b'0', b'9') | within(low, b'A', b'Z');
    let token = (strong | within(low, b'a', b'z') | equal(low, b'-') | equal(low, b'_')) & ascii;
    let pairs = (equal(low, b'=') | equal(low, b'"') | equal(low, b'\'')) & ascii;
    (token == HIGH && strong != 0, pairs, equal(low, b'@') & ascii)
}

/// Whether the word at `at`, all token characters, is part of a run of [`RUN`].
fn has_run(bytes: &[u8], at: usize) -> bool {
    let token = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let (before, after) = bytes.split_at_checked(at).unwrap_or((bytes, &[]));
    let before = before.iter().rev().take(RUN).take_while(token).count();
    before + after.iter().take(RUN).take_while(token).count() >= RUN
}

/// Looks over `bytes` once.
#[inline]
pub(super) fn glance(bytes: &[u8]) -> Glance {
    let (mut runs, mut pairs, mut at_signs) = (false, 0, 0);
    let mut add = |at: usize, word: [u8; WORD]| {
        let (full, pair, at_sign) = look(word);
        pairs |= pair;
        at_signs |= at_sign;
        if full && !runs {
            runs = has_run(bytes, at);
        }
    };
    let (words, rest) = bytes.as_chunks::<WORD>();
    words.iter().enumerate().for_each(|(index, word)| add(index * WORD, *word));
    if !rest.is_empty() {
        match bytes.last_chunk::<WORD>() {
            // The last eight again overlap what was seen.
            Some(last) => add(bytes.len() - WORD, *last),
            None => {
                let mut padded = [b' '; WORD];
                padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                add(0, padded);
            }
        }
    }
    Glance { runs, pairs: pairs != 0, at: at_signs != 0 }
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
