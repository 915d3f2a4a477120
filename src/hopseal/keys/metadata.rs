//! The document in which a provider says where things are.

use crate::jose::{Json, quoted};
use crate::registry::Source;

/// Metadata of an OpenID provider (OpenID Connect Discovery 1.0 section 3) or an authorization server (RFC 8414 section
/// 2): what of it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// Where its keys are.
    pub jwks_uri: Option<String>,
    /// Where it issues tokens.
    pub token_endpoint: Option<String>,
    /// Where it is asked about tokens (RFC 7662).
    pub introspection_endpoint: Option<String>,
    /// Where tokens are given back (RFC 7009).
    pub revocation_endpoint: Option<String>,
}

/// A document that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataFault {
    /// No JSON object, or a member stands twice.
    #[error("no JSON object")]
    Json,
    /// Of another issuer than was asked (RFC 8414 section 3.3): `issuer` is compared to the letter.
    #[error("metadata of the issuer `{0}`")]
    Issuer(String),
    /// A member of the wrong type.
    #[error("`{0}` is no text")]
    Member(&'static str),
    /// It does not say where the keys are.
    #[error("no `jwks_uri`")]
    NoKeys,
}

impl Metadata {
    /// Reads the metadata document of `issuer`.
    ///
    /// # Errors
    /// [`MetadataFault`]; a document without `jwks_uri` is none, as not everyone needs it.
    pub fn read(json: &[u8], issuer: &str) -> Result<Self, MetadataFault> {
        let json = Json::read(json).map_err(|_| MetadataFault::Json)?;
        if !matches!(json, Json::Object(_)) {
            return Err(MetadataFault::Json);
        }
        let text = |name| match json.get(name) {
            None => Ok(None),
            Some(value) => {
                value.as_text().map(|text| Some(text.to_owned())).ok_or(MetadataFault::Member(name))
            }
        };
        match text("issuer")? {
            Some(found) if found == issuer => {}
            other => return Err(MetadataFault::Issuer(quoted(&other.unwrap_or_default()))),
        }
        Ok(Self {
            jwks_uri: text("jwks_uri")?,
            token_endpoint: text("token_endpoint")?,
            introspection_endpoint: text("introspection_endpoint")?,
            revocation_endpoint: text("revocation_endpoint")?,
        })
    }

    /// Where the document of an issuer is; `None` for a source that has none.
    pub(crate) fn place(issuer: &str, source: &Source) -> Option<String> {
        match source {
            // OpenID Connect Discovery 1.0 section 4.1: a final slash goes.
            Source::OpenIdDiscovery => Some(format!(
                "{}/.well-known/openid-configuration",
                issuer.strip_suffix('/').unwrap_or(issuer)
            )),
            // RFC 8414 section 3.1: before the path.
            Source::OAuthMetadata => {
                let (scheme, rest) = issuer.split_once("://")?;
                let (host, path) = match rest.find('/') {
                    Some(at) => rest.split_at(at),
                    None => (rest, ""),
                };
                let path = path.strip_suffix('/').unwrap_or(path);
                Some(format!("{scheme}://{host}/.well-known/oauth-authorization-server{path}"))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_document_is() {
        for (issuer, openid, oauth) in [
            (
                "https://a.example",
                "https://a.example/.well-known/openid-configuration",
                "https://a.example/.well-known/oauth-authorization-server",
            ),
            (
                "https://a.example/",
                "https://a.example/.well-known/openid-configuration",
                "https://a.example/.well-known/oauth-authorization-server",
            ),
            (
                "https://a.example:8443/t/1",
                "https://a.example:8443/t/1/.well-known/openid-configuration",
                "https://a.example:8443/.well-known/oauth-authorization-server/t/1",
            ),
            (
                "https://a.example/t/",
                "https://a.example/t/.well-known/openid-configuration",
                "https://a.example/.well-known/oauth-authorization-server/t",
            ),
        ] {
            assert_eq!(Metadata::place(issuer, &Source::OpenIdDiscovery).as_deref(), Some(openid));
            assert_eq!(Metadata::place(issuer, &Source::OAuthMetadata).as_deref(), Some(oauth));
        }
    }

    #[test]
    fn a_document_is_of_its_issuer_to_the_letter() {
        let read =
            |json: &str| Metadata::read(json.as_bytes(), "https://a.example").map(|read| read.jwks_uri);
        let issuer = |found: &str| Err(MetadataFault::Issuer(found.to_owned()));
        for (json, expected) in [
            (
                r#"{"issuer":"https://a.example","jwks_uri":"https://a.example/k","x":[1]}"#,
                Ok(Some("https://a.example/k".to_owned())),
            ),
            (r#"{"issuer":"https://a.example"}"#, Ok(None)),
            (r#"{"issuer":"https://a.example/"}"#, issuer("https://a.example/")),
            (r#"{"issuer":"https://A.example"}"#, issuer("https://A.example")),
            (r#"{"issuer":"https://evil.example"}"#, issuer("https://evil.example")),
            ("{}", issuer("")),
            (r#"{"issuer":["https://a.example"]}"#, Err(MetadataFault::Member("issuer"))),
            (r#"{"issuer":"https://a.example","jwks_uri":5}"#, Err(MetadataFault::Member("jwks_uri"))),
            (r#"{"issuer":"https://a.example","issuer":"https://a.example"}"#, Err(MetadataFault::Json)),
            ("[]", Err(MetadataFault::Json)),
            ("<html>", Err(MetadataFault::Json)),
        ] {
            assert_eq!(read(json), expected, "{json}");
        }
    }
}
