//! Zipkin: JSON of both versions, and protobuf. A span there belongs to the host that reports it, so each brings its own resource.

pub mod v1;
pub mod v2;

use std::borrow::Cow;

use hopseal_correlate::sink::{Sink, Value};

use crate::field::{Fault, Faults, Scalar};
use crate::raw::Raw;

/// What follows was reported by `endpoint`. Its address tells the instances of a service apart, which may all
/// report under one span id: each that takes a message from a topic is the server of that one send.
fn resource<S: Sink + ?Sized>(endpoint: &Endpoint<'_>, sink: &mut S) {
    sink.resource();
    if !endpoint.service.is_empty() {
        sink.resource_attribute("service.name", Value::Str(&endpoint.service));
    }
    let instance = match (endpoint.ip.is_empty(), endpoint.port) {
        (true, _) => return,
        (false, None) => endpoint.ip.clone(),
        (false, Some(port)) if endpoint.ip.contains(':') => format!("[{}]:{port}", endpoint.ip).into(),
        (false, Some(port)) => format!("{}:{port}", endpoint.ip).into(),
    };
    sink.resource_attribute("service.instance.id", Value::Str(&instance));
}

/// The other end of the open span, under the names of the OpenTelemetry conventions for
/// [network attributes](https://opentelemetry.io/docs/specs/semconv/registry/attributes/network/).
fn peer<S: Sink + ?Sized>(peer: &Endpoint<'_>, sink: &mut S) {
    if !peer.service.is_empty() {
        sink.attribute("peer.service", Value::Str(&peer.service));
    }
    if !peer.ip.is_empty() {
        sink.attribute("network.peer.address", Value::Str(&peer.ip));
    }
    if let Some(port) = peer.port {
        sink.attribute("network.peer.port", Value::Int(port.into()));
    }
}

/// One host as Zipkin knows it (`Endpoint` in <https://zipkin.io/zipkin-api/zipkin2-api.yaml>).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Endpoint<'a> {
    service: Cow<'a, str>,
    ip: Cow<'a, str>,
    port: Option<u16>,
}

impl<'a> Endpoint<'a> {
    fn read(field: &'static str, raw: Option<Raw<'a>>, faults: &mut Faults) -> Self {
        let mut endpoint = Self::default();
        let Some(raw) = raw else { return endpoint };
        let (mut ipv4, mut ipv6) = (Cow::default(), Cow::default());
        faults.pieces(field, raw.members(), |faults, (key, value)| match &*key {
            "serviceName" => endpoint.service = faults.text("serviceName", Some(value)),
            "ipv4" => ipv4 = faults.text("ipv4", Some(value)),
            "ipv6" => ipv6 = faults.text("ipv6", Some(value)),
            "port" => endpoint.port = port(value, faults),
            _ => {}
        });
        endpoint.ip = if ipv4.is_empty() { ipv6 } else { ipv4 };
        endpoint
    }

    /// Takes on `other` if nothing is known yet.
    fn fill(&mut self, other: &Self) {
        if *self == Self::default() {
            self.clone_from(other);
        }
    }

    /// Whether both name one service, or without names one address.
    fn is(&self, other: &Self) -> bool {
        if self.service.is_empty() && other.service.is_empty() {
            self == other
        } else {
            self.service == other.service
        }
    }
}

/// A port; 0 and `null` are none.
fn port(raw: Raw<'_>, faults: &mut Faults) -> Option<u16> {
    let port = match faults.scalar("port", raw)? {
        Scalar::Int(port) => u16::try_from(port).ok(),
        Scalar::Str(port) => port.parse().ok(),
        _ => None,
    };
    if port.is_none() {
        faults.note(Fault { field: "port", what: "is no port", at: raw.at });
    }
    port.filter(|port| *port != 0)
}

/// Zipkin's rule: the tag `error` marks a failed span, whatever it says but "false".
fn is_error(key: &str, value: &Scalar<'_>) -> bool {
    key == "error" && !matches!(value, Scalar::Bool(false)) && *value != Scalar::Str("false".into())
}
