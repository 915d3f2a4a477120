//! `wire.md` and `schema.yaml` against the code.

use std::collections::BTreeMap;

use hopseal_identity::member::MEMBERS;
use hopseal_identity::seal::SealFault;
use hopseal_identity::{Assurance, Kind, Method, Reason, attribute};
use serde::Deserialize;

const PAGE: &str = include_str!("../../wire.md");
const SCHEMA: &str = include_str!("../../schema.yaml");

#[test]
fn the_page_lists_every_member_as_it_is() {
    let rows: Vec<(String, usize, bool, bool)> = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("| `hopseal."))
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let name = format!("hopseal.{}", cells[0].trim_end_matches('`'));
            (name, cells[2].parse().expect("a length"), cells[3] == "yes", cells[4] == "yes")
        })
        .collect();
    let members: Vec<_> = MEMBERS
        .iter()
        .map(|member| {
            let sealed = attribute::SEALED_MEMBERS.contains(&member.name);
            (member.name.to_owned(), member.max, member.required, sealed)
        })
        .collect();
    assert_eq!(rows, members);
}

#[test]
fn the_page_names_every_fault_method_and_reason() {
    for fault in SealFault::ALL {
        assert!(PAGE.contains(&format!("`{}`", fault.as_str())), "{}", fault.as_str());
    }
    let (_, section) = PAGE.split_once("## How, and why not").expect("a section");
    let (section, _) = section.split_once("## ").expect("another");
    let reasons: Vec<&str> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(word, _)| word)
        .collect();
    assert_eq!(reasons, Reason::ALL.iter().map(|reason| reason.as_str()).collect::<Vec<_>>());
    for method in Method::ALL {
        assert!(section.contains(&format!("`{}`", method.as_str())), "{}", method.as_str());
    }
}

#[derive(Deserialize)]
struct Schema {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    attributes: Vec<Attribute>,
}

#[derive(Deserialize)]
struct Attribute {
    id: String,
    r#type: Type,
    brief: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Type {
    Plain(String),
    Closed { members: Vec<Word> },
}

#[derive(Deserialize)]
struct Word {
    value: String,
}

#[test]
fn the_schema_is_that_of_the_code() {
    let schema: Schema = serde_saphyr::from_str(SCHEMA).expect("schema");
    let attributes: Vec<Attribute> = schema.groups.into_iter().flat_map(|group| group.attributes).collect();
    let ids: Vec<&str> = attributes.iter().map(|attribute| attribute.id.as_str()).collect();
    assert_eq!(ids, attribute::ALL);
    let of_seals = SealFault::ALL.iter().map(|fault| fault.as_reason());
    let reasons = Reason::ALL.iter().map(|reason| reason.as_str()).chain(of_seals).collect();
    let mut closed: BTreeMap<&str, Vec<&str>> = BTreeMap::from([
        (attribute::ASSURANCE, Assurance::ALL.map(Assurance::as_str).to_vec()),
        (attribute::KIND, [Kind::User, Kind::Service, Kind::Agent].map(Kind::as_str).to_vec()),
        (attribute::METHOD, Method::ALL.iter().map(|method| method.as_str()).collect()),
        (attribute::REASON, reasons),
        (attribute::SEAL_ERROR, SealFault::ALL.iter().map(|fault| fault.as_str()).collect()),
    ]);
    for attribute in &attributes {
        assert!(!attribute.brief.contains(['[', ']']), "{}: a link is left", attribute.id);
        match &attribute.r#type {
            Type::Plain(plain) => {
                assert!(
                    ["string", "string[]", "int", "boolean"].contains(&plain.as_str()),
                    "{}",
                    attribute.id
                );
            }
            Type::Closed { members } => {
                let words: Vec<&str> = members.iter().map(|word| word.value.as_str()).collect();
                assert_eq!(closed.remove(attribute.id.as_str()), Some(words), "{}", attribute.id);
            }
        }
    }
    assert!(closed.is_empty(), "open in the schema: {closed:?}");
}
