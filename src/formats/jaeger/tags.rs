//! Tags: a key, a type and a value, which some stores write as a string whatever the type.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::field::{self, Faults, Scalar};
use crate::raw::Raw;

/// One tag of a span, a process or a log.
#[derive(Debug)]
pub(super) struct Tag<'a> {
    pub(super) key: Cow<'a, str>,
    pub(super) value: Scalar<'a>,
}

impl<'a> Tag<'a> {
    /// Calls `each` for every tag in the list that has a value.
    pub(super) fn each(
        field: &'static str,
        list: Option<Raw<'a>>,
        faults: &mut Faults,
        mut each: impl FnMut(Self),
    ) {
        let Some(list) = list else { return };
        faults.pieces(field, list.items(), |faults, raw| {
            let (mut key, mut kind, mut value) = (None, None, None);
            faults.pieces(field, raw.members(), |_, (name, raw)| match &*name {
                "key" => key = Some(raw),
                "type" => kind = Some(raw),
                "value" => value = Some(raw),
                _ => {}
            });
            let key = faults.text(field, key);
            let kind = faults.text(field, kind);
            if let Some(value) = value.and_then(|raw| faults.scalar(field, raw)) {
                each(Self { key, value: typed(&kind, value) });
            }
        });
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Scalar::Str(text) => Some(text),
            _ => None,
        }
    }
}

/// The value that the type says it is. One that does not fit its type stays as it was written.
fn typed<'a>(kind: &str, value: Scalar<'a>) -> Scalar<'a> {
    /// Standard alphabet; Go pads, others may not.
    const BASE64: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let retyped = match (kind, &value) {
        ("bool", Scalar::Str(text)) => text.parse().ok().map(Scalar::Bool),
        ("int64" | "float64", Scalar::Str(text)) => field::number(text),
        ("binary", Scalar::Str(text)) => BASE64.decode(text.as_bytes()).ok().map(Scalar::Bytes),
        _ => None,
    };
    match retyped.unwrap_or(value) {
        Scalar::Int(whole) if kind == "float64" => Scalar::Double(whole as f64),
        value => value,
    }
}
