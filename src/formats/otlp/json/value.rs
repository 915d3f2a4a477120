//! `KeyValue` and `AnyValue` in JSON.

use hopseal_correlate::sink::{Sink, Value};

use super::reader::{Fault, Reader, Reason, Text};
use super::{Pass, Whose, scalar};
use crate::otlp::DEPTH;

const TOO_DEEP: Reason = "attribute: lists and maps are nested too deep";
const SEVERAL: Reason = "attribute: more than one value, the first is taken";
const NOT_OF_ITS_TYPE: Reason = "attribute: the value is not what its type says";
/// Longest attribute that a sink is asked about, in bytes.
const LONGEST: usize = 256;
const NO_KEY: Reason = "attribute: no key";

impl<S: Sink + ?Sized> Pass<'_, S> {
    /// Hands on a list of `KeyValue`. A bad one is refused and costs nothing else.
    #[inline]
    pub(super) fn attributes(&mut self, whose: Whose, reader: &mut Reader<'_>) -> Result<(), Fault> {
        self.each(reader, |pass, reader| pass.key_value(whose, reader))
    }

    #[inline]
    fn key_value(&mut self, whose: Whose, reader: &mut Reader<'_>) -> Result<(), Fault> {
        if whose != Whose::Span {
            return self.new_key_value(whose, reader);
        }
        // An object that ends here is remembered as a whole, so bytes that are the same are one too.
        if let Some(ahead) = reader.up_to(b"}}", LONGEST)
            && self.sink.recall(ahead)
        {
            reader.step_over(ahead);
            return Ok(());
        }
        let start = *reader;
        self.new_key_value(whose, reader)?;
        self.sink.remember(start.between(reader));
        Ok(())
    }

    fn new_key_value(&mut self, whose: Whose, reader: &mut Reader<'_>) -> Result<(), Fault> {
        // What nearly every attribute is, as nearly everyone writes it.
        if let Some([key, text]) = reader.exactly([r#"{"key":""#, r#"","value":{"stringValue":""#], "\"}}") {
            self.hand_on(whose, key, Value::Str(text));
            return Ok(());
        }
        let start = *reader;
        let mut key: Option<Text<'_>> = None;
        let mut late = None;
        reader.object(|reader, member| match (member, key) {
            ("key", _) => {
                key = Some(reader.string()?);
                Ok(())
            }
            ("value", Some(key)) => self.any(whose, &key.decode(), reader, DEPTH),
            ("value", None) => {
                late = Some(*reader);
                reader.skip()
            }
            _ => reader.skip(),
        })?;
        if let Some(mut value) = late {
            let key = key.ok_or_else(|| start.fault(NO_KEY))?;
            self.any(whose, &key.decode(), &mut value, DEPTH)?;
        }
        Ok(())
    }

    /// Hands on an `AnyValue`. One that holds nothing is no call.
    fn any(&mut self, whose: Whose, key: &str, reader: &mut Reader<'_>, depth: u32) -> Result<(), Fault> {
        let mut seen = false;
        reader.object(|reader, member| {
            let Some(variant) = Variant::of(member) else { return reader.skip() };
            if reader.null() {
                return Ok(());
            }
            if std::mem::replace(&mut seen, true) {
                return Err(reader.fault(SEVERAL));
            }
            self.one(whose, key, variant, reader, depth)
        })
    }

    #[inline]
    fn one(
        &mut self,
        whose: Whose,
        key: &str,
        variant: Variant,
        reader: &mut Reader<'_>,
        depth: u32,
    ) -> Result<(), Fault> {
        let start = *reader;
        let fault = || start.fault(NOT_OF_ITS_TYPE);
        match variant {
            Variant::String => self.hand_on(whose, key, Value::Str(&reader.string()?.decode())),
            Variant::Int => {
                let number = scalar::signed(reader.number()?).ok_or_else(fault)?;
                self.hand_on(whose, key, Value::Int(number));
            }
            Variant::Double => {
                let number = scalar::double(reader.number()?).ok_or_else(fault)?;
                self.hand_on(whose, key, Value::Double(number));
            }
            Variant::Bool => {
                let truth = reader.truth()?;
                self.hand_on(whose, key, Value::Bool(truth));
            }
            Variant::Bytes => {
                let bytes = scalar::base64(&reader.string()?.decode()).ok_or_else(fault)?;
                self.hand_on(whose, key, Value::Bytes(&bytes));
            }
            Variant::Array | Variant::Map => {
                let depth = depth.checked_sub(1).ok_or_else(|| start.fault(TOO_DEEP))?;
                return reader.object(|reader, member| match (member, variant) {
                    ("values", Variant::Array) => reader.list(|reader| self.any(whose, key, reader, depth)),
                    ("values", _) => reader.list(|reader| self.entry(whose, key, reader, depth)),
                    _ => reader.skip(),
                });
            }
        }
        Ok(())
    }

    /// Hands on an entry of a map.
    fn entry(&mut self, whose: Whose, key: &str, reader: &mut Reader<'_>, depth: u32) -> Result<(), Fault> {
        let (mut inner, mut value) = (Text::default(), None);
        reader.object(|reader, member| {
            match member {
                "key" => {
                    inner = reader.string()?;
                    return Ok(());
                }
                "value" => value = Some(*reader),
                _ => {}
            }
            reader.skip()
        })?;
        let inner = inner.decode();
        let key = if self.sink.names_secret(&inner) { &inner } else { key };
        value.map_or(Ok(()), |mut value| self.any(whose, key, &mut value, depth))
    }

    #[inline]
    fn hand_on(&mut self, whose: Whose, key: &str, value: Value<'_>) {
        match whose {
            Whose::Resource => self.sink.resource_attribute(key, value),
            Whose::Scope => self.sink.scope_attribute(key, value),
            Whose::Span => self.sink.attribute(key, value),
            Whose::Event => self.sink.event_attribute(key, value),
            Whose::Link => self.sink.link_attribute(key, value),
        }
    }
}

/// Which of its members an `AnyValue` has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variant {
    String,
    Int,
    Double,
    Bool,
    Bytes,
    Array,
    Map,
}

impl Variant {
    #[inline]
    fn of(member: &str) -> Option<Self> {
        Some(match member {
            "stringValue" | "string_value" => Self::String,
            "intValue" | "int_value" => Self::Int,
            "doubleValue" | "double_value" => Self::Double,
            "boolValue" | "bool_value" => Self::Bool,
            "bytesValue" | "bytes_value" => Self::Bytes,
            "arrayValue" | "array_value" => Self::Array,
            "kvlistValue" | "kvlist_value" => Self::Map,
            _ => return None,
        })
    }
}
