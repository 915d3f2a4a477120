//! The PASERK keys of a registry, by issuer.

use std::collections::BTreeMap;
use std::fmt;

use pasetors::keys::{AsymmetricPublicKey, SymmetricKey};
use pasetors::paserk::{FormatAsPaserk, Id};
use pasetors::version4::V4;

use crate::registry::{Registry, Source};

pub(super) type PublicKey = AsymmetricPublicKey<V4>;
pub(super) type LocalKey = SymmetricKey<V4>;

/// The keys of every issuer of PASETOs, each by its id.
#[derive(Default)]
pub(crate) struct PasetoKeys(BTreeMap<String, IssuerKeys>);

/// The keys of one. A key is for one purpose: its type.
#[derive(Default)]
pub(super) struct IssuerKeys {
    pub(super) public: Vec<(String, PublicKey)>,
    pub(super) local: Vec<(String, LocalKey)>,
}

impl fmt::Debug for PasetoKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.0.iter().map(|(issuer, keys)| {
            let public = keys.public.iter().map(|(id, _)| id.as_str());
            let all: Vec<&str> = public.chain(keys.local.iter().map(|(id, _)| id.as_str())).collect();
            (issuer, all)
        });
        f.debug_map().entries(ids).finish()
    }
}

impl PasetoKeys {
    /// Of a registry, which has seen to their form.
    pub(crate) fn of(registry: &Registry) -> Self {
        let mut issuers = BTreeMap::new();
        for issuer in registry.issuers() {
            let Source::Paserk(paserks) = issuer.source() else { continue };
            let mut keys = IssuerKeys::default();
            for paserk in paserks {
                if let Ok(key) = PublicKey::try_from(paserk.expose()) {
                    keys.public.push((text(&Id::from(&key)), key));
                } else if let Ok(key) = LocalKey::try_from(paserk.expose()) {
                    keys.local.push((text(&Id::from(&key)), key));
                }
            }
            issuers.insert(issuer.name().to_owned(), keys);
        }
        Self(issuers)
    }

    pub(super) fn of_issuer(&self, name: &str) -> Option<&IssuerKeys> {
        self.0.get(name)
    }

    /// The one issuer that has a secret key of that id, by its name in the registry.
    pub(super) fn owner(&self, kid: &str) -> Option<&str> {
        let mut owners = self.0.iter().filter(|(_, keys)| keys.local.iter().any(|(id, _)| id == kid));
        match (owners.next(), owners.next()) {
            (Some((name, _)), None) => Some(name),
            _ => None,
        }
    }
}

fn text(id: &Id) -> String {
    let mut text = String::new();
    // Writing to a `String` does not fail.
    let _ = id.fmt(&mut text);
    text
}
