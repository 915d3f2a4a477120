//! What an enemy does to the headers of a request or a message.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use hopseal_identity::baggage::{Baggage, Writer};
use hopseal_identity::seal::{Binding, SealingKey};

use super::trust;

pub(crate) type Headers = HashMap<String, String>;

/// What is done to headers, knowing what went over the same wire in another run.
pub(crate) type Edit = fn(&mut Headers, &Headers);

/// Something that an enemy does.
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    pub(crate) edit: Edit,
    /// With what went over the wire twenty minutes ago, and not now.
    pub(crate) old: bool,
}

/// All that he does.
pub(crate) const FAULTS: [Fault; 11] = [
    Fault { name: "forged", edit: forge, old: false },
    Fault { name: "edited", edit, old: false },
    Fault { name: "without its seal", edit: unseal, old: false },
    Fault { name: "moved to another trace", edit: move_trace, old: false },
    Fault { name: "transplanted", edit: transplant, old: false },
    Fault { name: "replayed after its time", edit: replay, old: true },
    Fault { name: "stripped", edit: strip, old: false },
    Fault { name: "oversized", edit: oversize, old: false },
    Fault { name: "duplicated", edit: duplicate, old: false },
    Fault { name: "smuggled", edit: smuggle, old: false },
    Fault { name: "smuggled in a property", edit: smuggle_property, old: false },
];

/// A fault on a wire.
#[derive(Clone)]
pub(crate) struct Attack {
    edit: Edit,
    other: Headers,
    passed: Arc<Mutex<Headers>>,
}

impl Attack {
    pub(crate) fn none() -> Self {
        Self::new(|_, _| {}, &Headers::new())
    }

    pub(crate) fn new(edit: Edit, other: &Headers) -> Self {
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
fn forge(headers: &mut Headers, _: &Headers) {
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

fn edit(headers: &mut Headers, _: &Headers) {
    let member = |it: &str| match it.starts_with("hopseal.tenant=") {
        true => "hopseal.tenant=evil".to_owned(),
        false => it.to_owned(),
    };
    let edited: Vec<String> = baggage(headers).split(',').map(member).collect();
    *baggage(headers) = edited.join(",");
}

fn unseal(headers: &mut Headers, _: &Headers) {
    let kept: Vec<String> = baggage(headers)
        .split(',')
        .filter(|it| !it.starts_with("hopseal.seal="))
        .map(str::to_owned)
        .collect();
    *baggage(headers) = kept.join(",");
}

/// The same identity in another trace.
fn move_trace(headers: &mut Headers, other: &Headers) {
    headers.retain(|name, _| name == "baggage");
    let trace = other.iter().filter(|(name, _)| *name != "baggage");
    headers.extend(trace.map(|(name, value)| (name.clone(), value.clone())));
}

/// Another's identity in this trace.
fn transplant(headers: &mut Headers, other: &Headers) {
    headers.insert("baggage".to_owned(), other["baggage"].clone());
}

/// All that was sent before, once more.
fn replay(headers: &mut Headers, other: &Headers) {
    headers.clone_from(other);
}

fn strip(headers: &mut Headers, _: &Headers) {
    headers.remove("baggage");
}

/// More than ours read.
fn oversize(headers: &mut Headers, _: &Headers) {
    pad(headers, 70 * 1024);
}

/// More than SDKs take, or many servers. Those that do take it take it however it arrives, which of much more is not said.
pub(crate) fn oversize_for_others(headers: &mut Headers, _: &Headers) {
    pad(headers, 20 * 1024);
}

fn pad(headers: &mut Headers, bytes: usize) {
    let padded = format!("pad={},{}", "x".repeat(bytes), baggage(headers));
    *baggage(headers) = padded;
}

fn duplicate(headers: &mut Headers, _: &Headers) {
    baggage(headers).push_str(",hopseal.sub=p1.mallory");
}

/// In another spelling, which some carriers decode.
fn smuggle(headers: &mut Headers, _: &Headers) {
    baggage(headers).push_str(",Hopseal%2Etenant=evil");
}

/// In a property of a member of others, which some carriers decode and write out bare.
fn smuggle_property(headers: &mut Headers, _: &Headers) {
    let hidden = format!("theme=dark;p=x%2Chopseal.tenant=evil,{}", baggage(headers));
    *baggage(headers) = hidden;
}
