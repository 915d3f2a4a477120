//! Who is meant by a name: the id itself, and its pseudonyms where the keys are at hand.

use hopseal_identity::pseudonym::Pseudonyms;

/// Ids that a person may stand under on spans. `issuers`: whose pseudonyms are looked for.
pub(crate) fn spellings(name: &str, issuers: &[String], keys: Option<&Pseudonyms>) -> Vec<String> {
    let mut ids = vec![name.to_owned()];
    for issuer in issuers {
        ids.extend(keys.into_iter().flat_map(|keys| keys.all(issuer, name)));
    }
    ids
}
