//! A policy from its file, with the OpenAPI descriptions that it names.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use hopseal_correlate::dialect::Dialects;
use hopseal_correlate::policy::{Policy, PolicyFile};

use super::CheckError;

/// What the rules are asked with: the policy of a file, or what holds without one, and the dialects it adds to.
/// OpenAPI descriptions are looked for beside the policy.
///
/// # Errors
/// [`CheckError::Open`] or [`CheckError::Policy`] when the policy cannot be read or used. A description that cannot be
/// read is an error of the policy, at the place that names it.
pub fn load_policy(path: Option<&Path>) -> Result<(Policy, Dialects), CheckError> {
    let policy = match path {
        Some(path) => read(path)?,
        None => Policy::default(),
    };
    let mut dialects = Dialects::built_in().map_err(CheckError::Dialects)?;
    dialects.extend(&policy.dialects).map_err(CheckError::Dialects)?;
    Ok((policy, dialects))
}

fn read(path: &Path) -> Result<Policy, CheckError> {
    let open = |source| CheckError::Open { what: "policy", path: path.to_owned(), source };
    let refuse = |source| CheckError::Policy { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(open)?;
    let file = PolicyFile::parse(&text).map_err(refuse)?;
    let beside = path.parent().unwrap_or(Path::new(""));
    let describe = |name: &str| std::fs::read_to_string(beside.join(name)).map_err(|error| why(&error));
    let descriptions: BTreeMap<_, _> =
        file.openapi_files().map(|name| (name.to_owned(), describe(name))).collect();
    file.resolve_with(&descriptions).map_err(refuse)
}

/// The reason in words that are the same on every system, where there is one.
fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file beside the policy".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn descriptions_stand_beside_the_policy() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("policy.yaml");
        std::fs::write(&path, "openapi: [{service: shop, file: shop.json}]").expect("written");
        let missing = load_policy(Some(&path)).expect_err("no description");
        assert_eq!(
            missing.source().expect("a source").to_string(),
            "line 1, column 33: `shop.json` cannot be used as an OpenAPI description: no such file beside the policy"
        );
        let description = r#"{"paths": {"/a": {"get": {"security": []}}}}"#;
        std::fs::write(dir.path().join("shop.json"), description).expect("written");
        let (policy, _) = load_policy(Some(&path)).expect("a policy");
        let shop = hopseal_correlate::record::Service { name: "shop", ..Default::default() };
        assert!(policy.public(shop, Some("GET"), "/a", 1).holds());
    }
}
