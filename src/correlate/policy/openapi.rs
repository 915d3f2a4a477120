//! What an OpenAPI description says is public.
//!
//! Of OpenAPI 3 (<https://spec.openapis.org/oas/v3.1.0#security-requirement-object>) and Swagger 2.0 only what is
//! needed to tell that: paths, servers, `security`. An operation is public when the requirement that applies to it is
//! an empty list, or holds an empty alternative. Where no requirement is written at all, nobody has said that it is
//! public. What is said of `GET` holds for `HEAD` too, which asks for less of the same (RFC 9110 section 9.3.2), unless
//! `head` is described.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

/// A description.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Description {
    #[serde(default)]
    servers: Vec<Server>,
    base_path: Option<String>,
    security: Option<Security>,
    paths: BTreeMap<String, PathItem>,
}

#[derive(Debug, Deserialize)]
struct Server {
    #[serde(default)]
    url: String,
    #[serde(default)]
    variables: BTreeMap<String, Variable>,
}

#[derive(Debug, Deserialize)]
struct Variable {
    default: String,
}

/// Alternatives, each a set of schemes that are needed together.
type Security = Vec<BTreeMap<String, IgnoredAny>>;

#[derive(Debug, Deserialize)]
struct PathItem {
    servers: Option<Vec<Server>>,
    get: Option<Operation>,
    head: Option<Operation>,
    options: Option<Operation>,
    post: Option<Operation>,
    put: Option<Operation>,
    patch: Option<Operation>,
    delete: Option<Operation>,
    trace: Option<Operation>,
}

#[derive(Debug, Deserialize)]
struct Operation {
    servers: Option<Vec<Server>>,
    security: Option<Security>,
}

impl PathItem {
    fn operations(&self) -> impl Iterator<Item = (&'static str, &Operation)> {
        let all = [
            ("GET", &self.get),
            ("HEAD", &self.head),
            ("OPTIONS", &self.options),
            ("POST", &self.post),
            ("PUT", &self.put),
            ("PATCH", &self.patch),
            ("DELETE", &self.delete),
            ("TRACE", &self.trace),
        ];
        all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
    }
}

/// The public routes of a description, as a policy writes them: `GET /v1/products/{id}`.
///
/// # Errors
/// What is wrong with the description, with its line and column.
pub(super) fn public_routes(text: &str) -> Result<Vec<String>, String> {
    let description: Description = serde_saphyr::from_str(text).map_err(|error| {
        let error = super::error::PolicyError::from(error);
        error.to_string()
    })?;
    let mut routes = Vec::new();
    for (path, item) in &description.paths {
        for (method, operation) in item.operations() {
            let security = operation.security.as_ref().or(description.security.as_ref());
            if !security.is_some_and(|needed| needed.is_empty() || needed.iter().any(BTreeMap::is_empty)) {
                continue;
            }
            let servers =
                operation.servers.as_ref().or(item.servers.as_ref()).unwrap_or(&description.servers);
            for base in bases(servers, description.base_path.as_deref()) {
                routes.push(format!("{method} {base}{path}"));
                if method == "GET" && item.head.is_none() {
                    routes.push(format!("HEAD {base}{path}"));
                }
            }
        }
    }
    routes.sort();
    routes.dedup();
    Ok(routes)
}

/// The paths under which servers answer, each without a slash at its end.
fn bases(servers: &[Server], base_path: Option<&str>) -> Vec<String> {
    if servers.is_empty() {
        return vec![base_path.unwrap_or("").trim_end_matches('/').to_owned()];
    }
    servers.iter().map(|server| base(server).trim_end_matches('/').to_owned()).collect()
}

/// The path of a server's URL, its variables at their defaults.
fn base(server: &Server) -> String {
    let mut url = server.url.clone();
    for (name, variable) in &server.variables {
        url = url.replace(&format!("{{{name}}}"), &variable.default);
    }
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("").to_owned(),
        None => url,
    };
    if path.is_empty() || path.starts_with('/') { path } else { format!("/{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_said_to_be_public() {
        let text = "
openapi: 3.1.0
info: {title: shop, version: '1'}
servers:
  - url: https://{region}.shop.example/{base}
    variables: {region: {default: eu}, base: {default: v1/}}
security: [{oauth: [read]}]
paths:
  /products/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get: {security: [], responses: {}}
    delete: {responses: {}}
  /offers:
    get: {security: [{oauth: []}, {}]}
    head: {security: [{oauth: []}]}
    post: {security: [{oauth: [write]}]}
  /status:
    servers: [{url: /}]
    get: {security: []}
";
        assert_eq!(
            public_routes(text).expect("a description"),
            [
                "GET /status",
                "GET /v1/offers",
                "GET /v1/products/{id}",
                "HEAD /status",
                "HEAD /v1/products/{id}",
            ]
        );
    }

    #[test]
    fn swagger_2_and_json() {
        let text = r#"{"swagger": "2.0", "basePath": "/api/", "security": [],
            "paths": {"/a": {"get": {}, "post": {"security": [{"key": []}]}}}}"#;
        assert_eq!(public_routes(text).expect("a description"), ["GET /api/a", "HEAD /api/a"]);
    }

    #[test]
    fn silence_is_no_permission() {
        assert_eq!(public_routes("paths: {/a: {get: {}}}").expect("a description"), [""; 0]);
    }

    #[test]
    fn what_is_no_description_is_said() {
        assert_eq!(
            public_routes("[]").expect_err("a list"),
            "line 1, column 1: expected keys with values: `key: value`"
        );
        assert_eq!(
            public_routes("openapi: 3.1.0").expect_err("no paths"),
            "line 1, column 1: missing field `paths`"
        );
    }
}
