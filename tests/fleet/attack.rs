//! What an enemy does to the headers of a request or a message.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use hopseal_identity::baggage::{Baggage, Writer};
use hopseal_identity::seal::{Binding, SealingKey};

use super::trust;

pub(crate) type Headers = HashMap<String, String>;

/// What is done, knowing what went over the same wire in other runs.
#[derive(Clone)]
pub(crate) struct Attack {
    edit: fn(&mut Headers, &Headers),
    other: Headers,
    passed: Arc<Mutex<Headers>>,
}

impl Attack {
    pub(crate) fn none() -> Self {
        Self::new(|_, _| {}, &Headers::new())
    }

    pub(crate) fn new(edit: fn(&mut Headers, &Headers), other: &Headers) -> Self {
        Self { edit, other: other.clone(), passed: Arc::default() }
    }

    pub(crate) fn apply(&self, headers: &mut Headers) {
        self.passed.lock().unwrap().clone_from(headers);
        (self.edit)(headers, &self.other);
    }

    /// What came by, as it was.
    pub(crate) fn passed(&self) -> Headers {
        self.passed.lock().unwrap().clone()
    }
}

fn baggage(headers: &mut Headers) -> &mut String {
    headers.entry("baggage".to_owned()).or_default()
}

/// A seal by a key of the enemy's own.
pub(crate) fn forge(headers: &mut Headers, _: &Headers) {
    let text = baggage(headers).clone();
    let carried = Baggage::read([text.as_str()]).identity.unwrap().unwrap();
    let trace = headers.get("traceparent").map(|it| it.split('-').nth(1).unwrap());
    let trace = u128::from_str_radix(trace.unwrap_or_else(|| &headers["x-b3-traceid"]), 16).unwrap();
    let binding = Binding::new(trust::TRUST_DOMAIN, trace.to_be_bytes()).unwrap();
    let key = SealingKey::from_jwk(trust::private_jwk("evil.1", 0).as_bytes()).unwrap();
    let seal = key.seal(&binding, &carried.members()).unwrap();
    let carried =
        hopseal_identity::baggage::Carried::new(&carried.members(), Some(&seal), carried.hop()).unwrap();
    *baggage(headers) = Writer::new(Some(&carried)).finish();
}

pub(crate) fn edit(headers: &mut Headers, _: &Headers) {
    let member = |it: &str| match it.starts_with("hopseal.tenant=") {
        true => "hopseal.tenant=evil".to_owned(),
        false => it.to_owned(),
    };
    let edited: Vec<String> = baggage(headers).split(',').map(member).collect();
    *baggage(headers) = edited.join(",");
}

pub(crate) fn unseal(headers: &mut Headers, _: &Headers) {
    let kept: Vec<String> = baggage(headers)
        .split(',')
        .filter(|it| !it.starts_with("hopseal.seal="))
        .map(str::to_owned)
        .collect();
    *baggage(headers) = kept.join(",");
}

/// The same identity in another trace.
pub(crate) fn move_trace(headers: &mut Headers, other: &Headers) {
    headers.retain(|name, _| name == "baggage");
    let trace = other.iter().filter(|(name, _)| *name != "baggage");
    headers.extend(trace.map(|(name, value)| (name.clone(), value.clone())));
}

/// Another's identity in this trace.
pub(crate) fn transplant(headers: &mut Headers, other: &Headers) {
    headers.insert("baggage".to_owned(), other["baggage"].clone());
}

/// All that was sent before, once more.
pub(crate) fn replay(headers: &mut Headers, other: &Headers) {
    headers.clone_from(other);
}

pub(crate) fn strip(headers: &mut Headers, _: &Headers) {
    headers.remove("baggage");
}

pub(crate) fn oversize(headers: &mut Headers, _: &Headers) {
    let pad = format!("pad={},{}", "x".repeat(70 * 1024), baggage(headers));
    *baggage(headers) = pad;
}

pub(crate) fn duplicate(headers: &mut Headers, _: &Headers) {
    baggage(headers).push_str(",hopseal.sub=p1.mallory");
}

/// In another spelling, which some carriers decode.
pub(crate) fn smuggle(headers: &mut Headers, _: &Headers) {
    baggage(headers).push_str(",Hopseal%2Etenant=evil");
}

/// In a property of a member of others, which some carriers decode and write out bare.
pub(crate) fn smuggle_property(headers: &mut Headers, _: &Headers) {
    let hidden = format!("theme=dark;p=x%2Chopseal.tenant=evil,{}", baggage(headers));
    *baggage(headers) = hidden;
}
