//! What is wrong with a policy file, where, and what to write instead.

/// A place in a file, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// Line.
    pub line: u64,
    /// Column, in characters.
    pub column: u64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// A policy that cannot be used. Nothing of it is applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Not YAML, or not of the right shape.
    #[error("{at}: {reason}")]
    Yaml {
        /// Where.
        at: Place,
        /// What was found and what was expected.
        reason: String,
    },
    /// A key, rule or word that does not exist.
    #[error("{at}: there is no {what} `{found}`; {hint}")]
    Unknown {
        /// Where.
        at: Place,
        /// `key` or `value`.
        what: &'static str,
        /// What stands there.
        found: String,
        /// What to write instead.
        hint: String,
    },
    /// A value that says nothing usable.
    #[error("{at}: `{found}`: {reason}")]
    Value {
        /// Where.
        at: Place,
        /// What stands there.
        found: String,
        /// What is wrong and what to write.
        reason: String,
    },
    /// An OpenAPI description that was not handed in, or is none.
    #[error("{at}: `{file}` cannot be used as an OpenAPI description: {reason}")]
    OpenApi {
        /// Where the policy names it.
        at: Place,
        /// The file.
        file: String,
        /// Why not.
        reason: String,
    },
}

impl PolicyError {
    /// Where in the policy file.
    #[must_use]
    pub const fn place(&self) -> Place {
        match self {
            Self::Yaml { at, .. }
            | Self::Unknown { at, .. }
            | Self::Value { at, .. }
            | Self::OpenApi { at, .. } => *at,
        }
    }
}

impl From<serde_saphyr::Error> for PolicyError {
    fn from(error: serde_saphyr::Error) -> Self {
        use serde_saphyr::Error;
        let at =
            error.location().map_or(Place::default(), |at| Place { line: at.line(), column: at.column() });
        match error.without_snippet() {
            Error::SerdeUnknownField { field, expected, .. } => {
                Self::Unknown { at, what: "key", found: field.clone(), hint: hint(field, expected) }
            }
            Error::SerdeUnknownVariant { variant, expected, .. } => {
                Self::Unknown { at, what: "value", found: variant.clone(), hint: hint(variant, expected) }
            }
            Error::Unexpected { expected: "sequence start", .. } => Self::Yaml {
                at,
                reason: "expected a list: `- ..` on lines of their own, or `[..]`".to_owned(),
            },
            Error::Unexpected { expected: "mapping start", .. } => {
                Self::Yaml { at, reason: "expected keys with values: `key: value`".to_owned() }
            }
            Error::DuplicateMappingKey { key, .. } => {
                let key = key.as_deref().unwrap_or("a key");
                Self::Yaml { at, reason: format!("`{key}` stands here a second time; write it once") }
            }
            other => Self::Yaml { at, reason: reason(&other.to_string()) },
        }
    }
}

/// The parser's own words without the place that it repeats at the end.
fn reason(text: &str) -> String {
    let line = text.lines().next().unwrap_or("");
    let line = line.split(" at line ").next().unwrap_or(line);
    match line.strip_prefix("error: ").unwrap_or(line) {
        "invalid u64" => "expected a whole number from 0 up".to_owned(),
        "invalid floating point" => "expected a number".to_owned(),
        reason => reason.to_owned(),
    }
}

/// The nearest of the words there are, or all of them.
fn hint(found: &str, expected: &[&str]) -> String {
    let nearest = expected.iter().map(|word| (distance(found, word), *word)).min();
    match nearest {
        Some((distance, word)) if distance <= word.len().max(found.len()) / 2 => {
            format!("did you mean `{word}`?")
        }
        _ => {
            let words: Vec<String> = expected.iter().map(|word| format!("`{word}`")).collect();
            format!("there are {}", words.join(", "))
        }
    }
}

/// Letters to put in, leave out or change to get from one word to the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (at, a) in from.chars().enumerate() {
        let mut left_above = at;
        let mut left = at + 1;
        for (slot, b) in row.iter_mut().skip(1).zip(to.chars()) {
            let changed = left_above + usize::from(a != b);
            left_above = *slot;
            left = changed.min(left + 1).min(*slot + 1);
            *slot = left;
        }
        if let Some(first) = row.first_mut() {
            *first = at + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_offered_and_a_stranger_gets_the_list() {
        assert_eq!(distance("publc", "public"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        let words = ["public", "health", "mesh"];
        assert_eq!(hint("pubic", &words), "did you mean `public`?");
        assert_eq!(hint("zebra", &words), "there are `public`, `health`, `mesh`");
    }
}
