//! Which attribute says which fact: the built-in map, extended by the user's.
//!
//! The map is a data file, [`BUILT_IN`], so that a reviewer reads it as a table and a user adds to it by the
//! same notation in the policy.

use rustc_hash::FxHashMap;
use serde::Deserialize;

use crate::credential::KeyHint;
use crate::field::Field;

/// The map that comes with Hopseal.
pub const BUILT_IN: &str = include_str!("dialects.yaml");

/// Number of an attribute key in [`Dialects`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub(crate) u16);

/// What a key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meaning {
    /// The fact it says; `None` where the key is only looked through for credentials.
    pub(crate) field: Option<Field>,
    /// Its number.
    pub(crate) key: KeyId,
    /// What the key's name tells about a credential in its value.
    pub(crate) hint: KeyHint,
}

/// A compiled dialect map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialects {
    exact: FxHashMap<Box<str>, Meaning>,
    prefixes: Vec<(Box<str>, Meaning)>,
    names: Vec<Box<str>>,
}

/// One dialect of a dialect file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dialect {
    /// Its name.
    pub name: String,
    /// Where the keys come from.
    #[serde(default)]
    pub source: String,
    /// Attribute key, possibly ending in `*`, to field name or `ignore`.
    pub keys: std::collections::BTreeMap<String, String>,
}

/// A dialect map that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialectError {
    /// Not YAML of the right shape.
    #[error("dialect file: {0}")]
    Yaml(#[from] serde_saphyr::Error),
    /// A key is mapped to a field that does not exist.
    #[error("dialect `{dialect}`: `{key}` is mapped to `{field}`, which is no field")]
    Field {
        /// Dialect.
        dialect: String,
        /// Attribute key.
        key: String,
        /// What it is mapped to.
        field: String,
    },
    /// More keys than can be numbered.
    #[error("dialect map has over {} keys", u16::MAX)]
    TooMany,
}

impl Dialects {
    /// The map that comes with Hopseal.
    ///
    /// # Errors
    /// Never for the file as shipped; a test holds it to that.
    pub fn built_in() -> Result<Self, DialectError> {
        let mut dialects = Self { exact: FxHashMap::default(), prefixes: Vec::new(), names: vec!["".into()] };
        dialects.extend(&serde_saphyr::from_str::<Vec<Dialect>>(BUILT_IN)?)?;
        Ok(dialects)
    }

    /// Adds dialects; a key that is there already is replaced.
    ///
    /// # Errors
    /// [`DialectError::Field`] for an unknown field, [`DialectError::TooMany`] past 65 535 keys.
    pub fn extend(&mut self, dialects: &[Dialect]) -> Result<(), DialectError> {
        for dialect in dialects {
            for (key, word) in &dialect.keys {
                let field = match word.as_str() {
                    "ignore" => None,
                    word => Some(Field::parse(word).ok_or_else(|| DialectError::Field {
                        dialect: dialect.name.clone(),
                        key: key.clone(),
                        field: word.to_owned(),
                    })?),
                };
                self.insert(key, field)?;
            }
        }
        Ok(())
    }

    fn insert(&mut self, key: &str, field: Option<Field>) -> Result<(), DialectError> {
        let number = KeyId(u16::try_from(self.names.len()).map_err(|_| DialectError::TooMany)?);
        self.names.push(key.into());
        let meaning = Meaning { field, key: number, hint: KeyHint::of(key) };
        match key.strip_suffix('*') {
            Some(prefix) => {
                self.prefixes.retain(|(known, _)| **known != *prefix);
                self.prefixes.push((prefix.into(), meaning));
                // Longest first, so that the first match wins.
                self.prefixes.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.0.cmp(&b.0)));
            }
            None => {
                self.exact.insert(key.into(), meaning);
            }
        }
        Ok(())
    }

    /// What `key` means; a key of no dialect has no field.
    pub(crate) fn meaning(&self, key: &str) -> Meaning {
        if let Some(meaning) = self.exact.get(key) {
            return *meaning;
        }
        match self.prefixes.iter().find(|(prefix, _)| key.starts_with(&**prefix)) {
            // A prefix tells nothing of the key's end, and that is what names a secret.
            Some((_, meaning)) => Meaning { hint: KeyHint::of(key), ..*meaning },
            None => Meaning { field: None, key: KeyId(0), hint: KeyHint::of(key) },
        }
    }

    /// The attribute key with that number, as the dialect file spells it.
    #[must_use]
    pub fn name(&self, key: KeyId) -> &str {
        self.names.get(usize::from(key.0)).map_or("", |name| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_map_names_every_attribute_of_the_crate() {
        let dialects = Dialects::built_in().expect("shipped map");
        for key in hopseal_identity::attribute::ALL {
            assert!(dialects.meaning(key).field.is_some(), "{key} is not in the map");
        }
    }

    #[test]
    fn the_longest_match_wins_and_the_user_has_the_last_word() {
        let mut dialects = Dialects::built_in().expect("shipped map");
        let user = serde_saphyr::from_str::<Vec<Dialect>>(
            "- name: ours\n  keys: {acme.*: session, acme.user.*: user, enduser.id: ignore}",
        )
        .expect("yaml");
        dialects.extend(&user).expect("fields exist");
        for (key, field) in [
            ("acme.user.login", Some(Field::User)),
            ("acme.sid", Some(Field::Session)),
            ("enduser.id", None),
            ("user.id", Some(Field::User)),
            ("process.user.name", None),
            ("nothing.of.ours", None),
        ] {
            assert_eq!(dialects.meaning(key).field, field, "{key}");
        }
    }

    #[test]
    fn a_key_known_by_its_prefix_names_a_secret_as_any_other() {
        let mut dialects = Dialects::built_in().expect("shipped map");
        let user =
            serde_saphyr::from_str::<Vec<Dialect>>("- {name: ours, keys: {acme.*: session, acme.pin: user}}")
                .expect("yaml");
        dialects.extend(&user).expect("fields exist");
        for key in [
            "process.user.password",
            "process.userx.password",
            "acme.db.password",
            "acme.api_key",
            "acme.sid",
            "acme.pin",
            "process.user.name",
            "acme.ghp_a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2",
        ] {
            assert_eq!(dialects.meaning(key).hint, KeyHint::of(key), "{key}");
        }
        assert_ne!(dialects.meaning("acme.db.password").hint, KeyHint::Plain);
        assert_eq!(dialects.meaning("acme.db.password").field, Some(Field::Session));
    }

    #[test]
    fn an_unknown_field_is_an_error_that_names_the_key() {
        let mut dialects = Dialects::built_in().expect("shipped map");
        let wrong = serde_saphyr::from_str::<Vec<Dialect>>("- {name: ours, keys: {a.b: usr}}").expect("yaml");
        let error = dialects.extend(&wrong).expect_err("`usr` is no field");
        assert_eq!(error.to_string(), "dialect `ours`: `a.b` is mapped to `usr`, which is no field");
    }
}
