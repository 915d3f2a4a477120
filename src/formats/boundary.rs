//! Where a JSON value ends, found without reading it: brackets are counted and strings stepped over.
//!
//! Whether the value is sound is for its parser to say. What is counted here only decides how much of the
//! file the parser is given, so a value that is bad inside takes nothing else with it.

use memchr::memchr2;

/// Bytes looked at together.
const BLOCK: usize = 64;

/// Finds the end of one value that is fed piece by piece.
#[derive(Debug, Default)]
pub(crate) struct Boundary {
    begun: bool,
    scalar: bool,
    depth: u64,
    quoted: bool,
    escaped: bool,
}

impl Boundary {
    /// Takes the next bytes, the first time starting at the value's first byte. Returns how many of them
    /// belong to the value once its end is among them. A number or word ends before what follows it.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            while self.depth > 0
                && let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk)
                && self.block(block)
            {
                at += BLOCK;
            }
            // One block, or the last bytes, one by one: the value may end here.
            let piece = bytes.get(at..bytes.len().min(at + BLOCK)).unwrap_or_default();
            if let Some(inside) = self.bytes(piece) {
                return Some(at + inside);
            }
            at += piece.len();
            if at == bytes.len() {
                return None;
            }
        }
    }

    /// Whether what was fed ends inside a string.
    pub(crate) fn in_string(&self) -> bool {
        self.quoted
    }

    /// The end of the value that `bytes` begins with, if it is all there.
    pub(crate) fn of(bytes: &[u8]) -> Option<usize> {
        Self::default().feed(bytes)
    }

    /// Steps over a block, unless the value may end in it.
    fn block(&mut self, block: &[u8; BLOCK]) -> bool {
        // Vectors without `unsafe`: loops over a whole block of bytes, which the compiler turns into them.
        if self.escaped || block.iter().fold(false, |found, &byte| found | (byte == b'\\')) {
            return false;
        }
        // `[` and `]` differ from `{` and `}` in this bit alone.
        let bracket = block.map(|byte| byte | 0x20);
        let (open, close) = (mask(&bracket, b'{'), mask(&bracket, b'}'));
        // Every quote turns the bits after it over, so a bit is set from an opening quote to its closing one.
        let mut quoted = mask(block, b'"');
        for shift in [1, 2, 4, 8, 16, 32] {
            quoted ^= quoted << shift;
        }
        if self.quoted {
            quoted = !quoted;
        }
        let closed = u64::from((close & !quoted).count_ones());
        if closed >= self.depth {
            return false;
        }
        self.depth = self.depth - closed + u64::from((open & !quoted).count_ones());
        self.quoted = quoted >> 63 == 1;
        true
    }

    fn bytes(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if self.quoted {
                at += self.string(bytes.get(at..).unwrap_or_default());
                if !self.quoted && self.depth == 0 {
                    return Some(at);
                }
                continue;
            }
            let first = !std::mem::replace(&mut self.begun, true);
            match byte {
                b'"' if self.scalar => return Some(at),
                b'"' => self.quoted = true,
                b'{' | b'[' if self.scalar => return Some(at),
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth == 0 => return Some(at),
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                b',' | b' ' | b'\t' | b'\r' | b'\n' if self.depth == 0 => return Some(at),
                _ => self.scalar |= first,
            }
            at += 1;
        }
        None
    }

    /// Steps to the end of the open string, or of `bytes`.
    fn string(&mut self, bytes: &[u8]) -> usize {
        if std::mem::take(&mut self.escaped) {
            return 1;
        }
        match memchr2(b'"', b'\\', bytes) {
            Some(at) if bytes.get(at) == Some(&b'"') => {
                self.quoted = false;
                at + 1
            }
            Some(at) => {
                self.escaped = true;
                at + 1
            }
            None => bytes.len(),
        }
    }
}

/// One bit a byte of a block, the first byte lowest: whether it is `byte`.
fn mask(block: &[u8; BLOCK], byte: u8) -> u64 {
    let equal = block.map(|found| u8::from(found == byte));
    let (words, _) = equal.as_chunks::<8>();
    words.iter().enumerate().fold(0, |mask, (index, &word)| {
        // Each byte is 0 or 1; the product's highest byte has them side by side.
        let bits = u64::from_le_bytes(word).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        mask | bits << (8 * index)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ends() {
        for (text, value) in [
            ("{}", "{}"),
            ("{},", "{}"),
            (r#"{"a":"}"} x"#, r#"{"a":"}"}"#),
            (r#"["\"]", 1] ]"#, r#"["\"]", 1]"#),
            (r#"["\\"]]"#, r#"["\\"]"#),
            ("12,", "12"),
            ("null}", "null"),
            (r#""a\"b" "#, r#""a\"b""#),
            ("true\n", "true"),
            ("]", ""),
        ] {
            assert_eq!(Boundary::of(text.as_bytes()), Some(value.len()), "{text}");
        }
        for open in ["{", "[1", r#"{"a":"}"#, r#"["\"]"#, "12"] {
            assert_eq!(Boundary::of(open.as_bytes()), None, "{open}");
        }
    }

    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            "[\"\\\\{}\\[\\]a-z ]{0,90}".prop_map(|text| serde_json::Value::from(text).to_string()),
            any::<i64>().prop_map(|number| number.to_string()),
        ];
        leaf.prop_recursive(6, 60, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6)
                    .prop_map(|items| format!("[{}]", items.join(", "))),
                prop::collection::vec(inner, 0..6).prop_map(|items| {
                    let members: Vec<_> = items.iter().map(|item| format!("\"{{\": {item}")).collect();
                    format!("{{{}}}", members.join(","))
                }),
            ]
        })
    }

    proptest! {
        /// However a document is cut into pieces, its end is where it is.
        #[test]
        fn any_document_in_any_pieces(json in json(), cuts in prop::collection::vec(1usize..200, 1..8)) {
            let file = format!("{json} ]}}\"");
            let mut boundary = Boundary::default();
            let (mut at, mut cuts) = (0, cuts.iter().cycle());
            let end = loop {
                let piece = &file.as_bytes()[at..file.len().min(at + cuts.next().unwrap())];
                match boundary.feed(piece) {
                    Some(inside) => break at + inside,
                    None => at += piece.len(),
                }
            };
            prop_assert_eq!(file.get(..end), Some(&*json));
        }
    }
}
