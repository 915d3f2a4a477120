//! `hopseal policy schema`: the JSON Schema of policy files, for editors.

use hopseal_correlate::policy::PolicyFile;

/// The schema (JSON Schema, draft 2020-12), pretty-printed.
#[must_use]
pub fn schema() -> String {
    let schema = schemars::schema_for!(PolicyFile);
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../../collector-config/policy.yaml");

    #[test]
    fn the_schema_beside_the_shipped_policy_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../collector-config/policy.schema.json");
        let is_current = std::fs::read_to_string(path).is_ok_and(|text| text == schema());
        assert!(is_current, "run `hopseal policy schema > collector-config/policy.schema.json`");
    }

    #[test]
    fn the_shipped_policy_holds_every_key_in_order_and_changes_nothing() {
        let schema: serde_json::Value = serde_json::from_str(&schema()).expect("JSON");
        let keys: std::collections::BTreeSet<&str> =
            schema["properties"].as_object().expect("keys").keys().map(String::as_str).collect();
        let shipped = SHIPPED.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
        let shipped: std::collections::BTreeSet<&str> =
            shipped.filter_map(|line| Some(line.split_once(':')?.0)).collect();
        assert_eq!(shipped, keys);
        let resolve = |text: &str| PolicyFile::parse(text).and_then(|file| file.resolve()).expect("a policy");
        assert_eq!(format!("{:?}", resolve(SHIPPED)), format!("{:?}", resolve("")));
    }

    #[test]
    fn the_shipped_examples_work() {
        let in_use: String = SHIPPED
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(example) if example.starts_with("  ") => format!("{example}\n"),
                Some(_) => "\n".to_owned(),
                None => format!("{}\n", line.trim_end_matches(" []").trim_end_matches(" {}")),
            })
            .collect();
        let file = PolicyFile::parse(&in_use).expect("examples");
        let description = ("shop.openapi.yaml".to_owned(), Ok("paths: {}".to_owned()));
        file.resolve_with(&[description].into()).expect("examples");
    }
}
