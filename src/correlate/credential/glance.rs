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

/// Of eight bytes, by their high bits: which are token characters, which of those no small letters, and which are `=`
/// or a quote, which `@`.
const fn look(bytes: [u8; WORD]) -> [u64; 4] {
    let word = u64::from_le_bytes(bytes);
    let (ascii, low) = (!word & HIGH, word & !HIGH);
    let strong = (within(low, b'0', b'9') | within(low, b'A', b'Z')) & ascii;
    let small = within(low, b'a', b'z') | equal(low, b'-') | equal(low, b'_');
    let pairs = (equal(low, b'=') | equal(low, b'"') | equal(low, b'\'')) & ascii;
    [strong | (small & ascii), strong, pairs, equal(low, b'@') & ascii]
}

/// Bytes at the end of a word of which all have their bit in `bits`.
const fn at_end(bits: u64) -> u32 {
    (!bits & HIGH).leading_zeros() / 8
}

/// Bytes at the beginning of a word of which all have their bit in `bits`.
const fn at_start(bits: u64) -> u32 {
    (!bits & HIGH).trailing_zeros() / 8
}

/// Token characters that stand together, as far as they were seen.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    len: usize,
    /// Whether one of them is no small letter.
    is_strong: bool,
    /// The word before: its token characters, and which of them are no small letters.
    before: (u64, u64),
}

impl Run {
    /// Goes on with the next word; whether a run worth a look ends in it.
    #[inline]
    const fn add(&mut self, token: u64, strong: u64) -> bool {
        let mut found = false;
        if token == HIGH {
            if self.len == 0 {
                let (token, strong) = self.before;
                let tail = at_end(token);
                self.len = tail as usize;
                self.is_strong = tail > 0 && strong >> (64 - 8 * tail) != 0;
            }
            self.len += WORD;
            self.is_strong |= strong != 0;
        } else if self.len > 0 {
            let lead = at_start(token);
            self.len += lead as usize;
            self.is_strong |= strong & ((1 << (8 * lead)) - 1) != 0;
            found = self.is_worth_a_look();
            self.len = 0;
        }
        self.before = (token, strong);
        found
    }

    const fn is_worth_a_look(&self) -> bool {
        self.len >= RUN && self.is_strong
    }
}

/// Looks over `bytes` once.
#[inline]
pub(super) fn glance(bytes: &[u8]) -> Glance {
    let (mut runs, mut pairs, mut at_signs) = (false, 0, 0);
    let mut run = Run::default();
    let mut add = |word: [u8; WORD]| {
        let [token, strong, pair, at_sign] = look(word);
        pairs |= pair;
        at_signs |= at_sign;
        runs |= run.add(token, strong);
    };
    let (words, rest) = bytes.as_chunks::<WORD>();
    words.iter().for_each(|word| add(*word));
    // What is left, and what ends the last run if nothing is.
    let mut padded = [b' '; WORD];
    padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    add(padded);
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

    proptest! {
        #[test]
        fn runs_are_those_that_are_seen_byte_by_byte(text in "[a-c]{0,20}[ .a-cA1\u{e9}_-]{0,30}[a-c1 ]{0,40}") {
            let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            let is_strong = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
            let mut runs = text.as_bytes().split(|byte| !is_token(byte));
            let seen = runs.any(|run| run.len() >= RUN && run.iter().any(is_strong));
            prop_assert_eq!(glance(text.as_bytes()).runs, seen);
        }
    }

    #[test]
    fn a_token_is_seen_wherever_it_stands() {
        for token in ["glpat-abcdefghijklmnopqrs1", "xoxb-abcdefghijklmnopqrstuvwxy9", "Aabcdefghijklmno"] {
            for offset in 0..=2 * WORD {
                for after in ["", " ", " and more", ".abcdefgh"] {
                    let text = format!("{}{token}{after}", " ".repeat(offset));
                    assert!(glance(text.as_bytes()).runs, "{text:?}");
                }
            }
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
