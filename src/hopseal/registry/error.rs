//! What is wrong with a registry, and where.

use std::fmt;

/// A place in a file, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: u64,
    /// Column, in characters.
    pub column: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// A registry that cannot be used. Nothing of it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegistryError {
    /// Not YAML, or not of the right shape.
    Yaml {
        /// Where.
        at: Option<Place>,
        /// What was found and what was expected.
        reason: String,
    },
    /// A value that cannot be used.
    Value {
        /// Where, if it was read from a file.
        at: Option<Place>,
        /// The issuer, by its name in the registry.
        issuer: String,
        /// The field.
        field: &'static str,
        /// What is wrong and what to write.
        reason: String,
    },
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Yaml { at: Some(at), .. } | Self::Value { at: Some(at), .. } = self {
            write!(f, "{at}: ")?;
        }
        match self {
            Self::Yaml { reason, .. } => f.write_str(reason),
            Self::Value { issuer, field, reason, .. } => write!(f, "issuer `{issuer}`: `{field}`: {reason}"),
        }
    }
}

impl std::error::Error for RegistryError {}

impl From<serde_saphyr::Error> for RegistryError {
    fn from(error: serde_saphyr::Error) -> Self {
        let at = error.location().map(|at| Place { line: at.line(), column: at.column() });
        let text = error.without_snippet().to_string();
        // The parser's own words, without the place that it repeats at the end.
        let line = text.lines().next().unwrap_or("");
        let line = line.split(" at line ").next().unwrap_or(line);
        Self::Yaml { at, reason: line.strip_prefix("error: ").unwrap_or(line).to_owned() }
    }
}
