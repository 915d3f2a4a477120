//! Credentials by their shape: one pass over a value, no allocation when there is none.
//!
//! What is found is only ever named by class and masked text; the credential itself is not kept.

/// What an attribute's key tells about its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum KeyHint {
    /// Nothing.
    #[default]
    Plain,
    /// The key says that the value is a secret (`password`, `authorization`, `api_key`).
    Secret,
    /// The value is our own seal, which is public.
    Seal,
}

impl KeyHint {
    pub(crate) fn of(key: &str) -> Self {
        if key == hopseal_identity::attribute::SEAL {
            return Self::Seal;
        }
        let secret = ["password", "authorization", "api_key", "api-key", "secret", "access_token"];
        if secret.iter().any(|word| key.contains(word)) { Self::Secret } else { Self::Plain }
    }
}

/// A credential found in a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hit {
    /// Its class: `jwt`, ...
    pub(crate) class: &'static str,
    /// First byte.
    pub(crate) start: usize,
    /// One past its last byte.
    pub(crate) end: usize,
}

/// The first credential in `value`, if any.
pub(crate) fn find(hint: KeyHint, value: &str) -> Option<Hit> {
    if hint == KeyHint::Seal && hopseal_identity::seal::trace_prefix(value).is_some() {
        return None;
    }
    let start = value.find("eyJ")?;
    let rest = value.get(start..)?;
    let end = rest
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
        .map_or(value.len(), |len| start + len);
    let token = value.get(start..end)?;
    (token.len() >= 32 && token.matches('.').count() == 2).then_some(Hit { class: "jwt", start, end })
}

/// `text` with every credential in it masked.
pub(crate) fn mask(text: &str, hint: KeyHint) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(hit) = find(hint, rest) {
        masked.push_str(rest.get(..hit.start).unwrap_or(""));
        masked.push_str(&mask_hit(rest, hit));
        rest = rest.get(hit.end..).unwrap_or("");
    }
    masked.push_str(rest);
    masked
}

/// The credential of `hit` as it may be shown: its first four characters and its length.
pub(crate) fn mask_hit(text: &str, hit: Hit) -> String {
    let token = text.get(hit.start..hit.end).unwrap_or("");
    let head: String = token.chars().take(4).collect();
    format!("{head}...[{} characters]", token.chars().count())
}
