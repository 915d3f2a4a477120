//! The propagator of baggage.

use std::sync::Arc;

use hopseal_identity::CrossingCount;
use hopseal_identity::attribute::{HOP_AFTER, LEAK_STOPPED};
use hopseal_identity::baggage::{Baggage, Carried, Encrypted, Entry, decode};
use hopseal_identity::seal::SealFault;
use opentelemetry::baggage::{Baggage as OtelBaggage, BaggageExt as _};
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue};

use super::identity::{HopIdentity, Travelling};
use crate::clock::{Clock, SystemClock};
#[cfg(feature = "confidential")]
use crate::confidential::ConfidentialKeys;
use crate::seal::SealChecker;

const HEADER: &str = "baggage";
/// The same, as the API wants it.
static FIELDS: std::sync::LazyLock<[String; 1]> = std::sync::LazyLock::new(|| [HEADER.to_owned()]);

/// Whether an identity may leave by what is called in this context. Put it there as a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Egress {
    /// The destination is one of ours.
    Allowed,
    /// It is not: members of others go, the identity stays.
    Denied,
}

/// Writes and reads the `baggage` header, in place of the SDK's `BaggagePropagator`.
///
/// The identity of the context ([`HopIdentity`]) goes first and whole, its crossing counter moved on; never one that came as
/// baggage of the application. Members of others pass on as they came, as far as the application has not changed them in the
/// context's baggage, and are dropped whole past 64 members or 8192 bytes. Properties are never decoded.
///
/// It stands after the propagator of the trace context, whose trace a seal is bound to:
///
/// ```
/// use hopseal::otel::{Egress, Propagator};
/// use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};
/// use opentelemetry_sdk::propagation::TraceContextPropagator;
/// let propagator = TextMapCompositePropagator::new(vec![
///     Box::new(TraceContextPropagator::new()),
///     Box::new(Propagator::new("spiffe://example.org/orders").egress(Egress::Allowed)),
/// ]);
/// assert!(propagator.fields().any(|field| field == "baggage"));
/// ```
#[derive(Debug, Clone)]
pub struct Propagator {
    workload: String,
    clock: Arc<dyn Clock>,
    checker: Option<Arc<SealChecker>>,
    egress: Egress,
    untrusted: bool,
    dropped: Vec<String>,
    /// Each identity leaves with a seal of this moment, if its credential is at hand.
    fresh: bool,
    #[cfg(feature = "confidential")]
    keys: Option<Arc<ConfidentialKeys>>,
}

/// Members of others as they came, with commas between them.
struct Passing(Box<str>);

impl Propagator {
    /// A propagator for a workload, by its SPIFFE ID or `service.name`. No identity leaves unless the context
    /// [says so](Egress); an identity that comes is an assertion.
    #[must_use]
    pub fn new(workload: impl Into<String>) -> Self {
        Self {
            workload: workload.into(),
            clock: Arc::new(SystemClock),
            checker: None,
            egress: Egress::Denied,
            untrusted: false,
            dropped: Vec::new(),
            fresh: false,
            #[cfg(feature = "confidential")]
            keys: None,
        }
    }

    /// What holds where the context says nothing of [`Egress`].
    #[must_use]
    pub const fn egress(mut self, egress: Egress) -> Self {
        self.egress = egress;
        self
    }

    /// Checks the seal of an identity that comes, in the trace it comes with.
    #[must_use]
    pub fn checking(mut self, checker: Arc<SealChecker>) -> Self {
        self.checker = Some(checker);
        self
    }

    /// Lets identities travel such that nobody in between can read them, and reads those that come so. What comes readable is
    /// taken too.
    #[cfg(feature = "confidential")]
    #[must_use]
    pub fn confidential(mut self, keys: Arc<ConfidentialKeys>) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Takes time from another clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// For the edge: no identity is taken from outside, nor members of others by these names, in any case (`user.id`).
    #[must_use]
    pub fn untrusted(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.untrusted = true;
        self.dropped = names.into_iter().map(Into::into).collect();
        self
    }

    /// For messages, which wait: a seal of which half is over would be worth little when one is read.
    #[cfg(feature = "messaging")]
    pub(crate) const fn fresh(mut self) -> Self {
        self.fresh = true;
        self
    }

    fn arrived(&self, cx: &Context, baggage: &mut Baggage<'_>) -> Option<HopIdentity> {
        let identity = std::mem::replace(&mut baggage.identity, Ok(None));
        let encrypted = baggage.encrypted.take();
        if self.untrusted {
            baggage.others.retain(|entry| {
                let name = decode(entry.name());
                !self.dropped.iter().any(|dropped| name.eq_ignore_ascii_case(dropped))
            });
            return None;
        }
        let trace_id = cx.span().span_context().trace_id().to_bytes();
        let identity = match encrypted {
            None => identity,
            Some(encrypted) => match self.decrypted(&encrypted, trace_id) {
                Ok(carried) => Ok(Some(carried)),
                Err(fault) => return Some(HopIdentity::encrypted(encrypted, fault)),
            },
        };
        match identity {
            Ok(None) => None,
            Err(fault) => Some(HopIdentity::unreadable(fault)),
            Ok(Some(carried)) => Some(match &self.checker {
                None => HopIdentity::asserted(carried),
                Some(checker) => HopIdentity::checked(carried, checker, trace_id, self.clock.now()),
            }),
        }
    }

    /// What is in an identity that came unreadable.
    #[cfg(feature = "confidential")]
    fn decrypted(&self, encrypted: &Encrypted, trace_id: [u8; 16]) -> Result<Carried, SealFault> {
        self.keys.as_ref().ok_or(SealFault::UnknownKey)?.decrypt(encrypted, trace_id)
    }

    #[cfg(not(feature = "confidential"))]
    #[expect(clippy::unused_self, reason = "without keys nobody can tell")]
    fn decrypted(&self, _: &Encrypted, _: [u8; 16]) -> Result<Carried, SealFault> {
        Err(SealFault::UnknownKey)
    }

    /// An identity as it is to travel; `None` where it cannot be made unreadable, and so must not.
    #[cfg(feature = "confidential")]
    fn encrypted(&self, travelling: Travelling, trace_id: [u8; 16]) -> Option<Travelling> {
        match (&self.keys, &travelling) {
            (Some(keys), Travelling::Readable(carried)) => {
                keys.encrypt(carried, trace_id).map(Travelling::Encrypted)
            }
            _ => Some(travelling),
        }
    }

    /// The identity that leaves, with its counter moved on; told on the exit span, which is that of the context.
    fn leaving(&self, cx: &Context) -> Leaving {
        let Some(identity) = HopIdentity::of(cx) else { return Leaving::Nobody };
        let span = cx.span();
        let exit = span.span_context();
        if !exit.is_valid() {
            return Leaving::Nobody;
        }
        let (trace_id, now) = (exit.trace_id().to_bytes(), self.clock.now());
        if cx.get::<Egress>().copied().unwrap_or(self.egress) == Egress::Denied {
            // No seal is made for what stays here.
            return if identity.may_leave(trace_id, now) { Leaving::HeldBack } else { Leaving::Nobody };
        }
        let travelling = identity.leaving(trace_id, now, self.fresh);
        #[cfg(feature = "confidential")]
        let travelling = travelling.and_then(|travelling| self.encrypted(travelling, trace_id));
        let Some(travelling) = travelling else { return Leaving::Nobody };
        let before = identity.arrived_hop().unwrap_or(CrossingCount::START);
        let hop = before.next(&self.workload, exit.span_id().to_bytes());
        if span.is_recording() {
            span.set_attribute(KeyValue::new(HOP_AFTER, hop.to_string()));
        }
        Leaving::Leaves(travelling.with_hop(hop))
    }

    /// Writes the header; what became of the identity, of which only the counter is told on the span.
    pub(crate) fn inject(&self, cx: &Context, injector: &mut dyn Injector) -> Leaving {
        let leaving = self.leaving(cx);
        let (baggage, passing) = (cx.baggage(), cx.get::<Passing>());
        if leaving.travelling().is_none() && baggage.is_empty() {
            return leaving;
        }
        let mut writer = Travelling::write(leaving.travelling());
        let kept = passing.map_or_else(Vec::new, |passing| untouched(passing, baggage));
        for entry in &kept {
            writer.pass_on(entry);
        }
        let is_new = |name: &str| !kept.iter().any(|entry| entry.name() == name);
        let mut added: Vec<_> = baggage.iter().filter(|(name, _)| is_new(name.as_str())).collect();
        added.sort_unstable_by_key(|(name, _)| *name); // the SDK's have no order
        for (name, (value, properties)) in added {
            writer.add(name.as_str(), value.as_str(), properties.as_str());
        }
        let header = writer.finish();
        if !header.is_empty() {
            injector.set(HEADER, header);
        }
        leaving
    }
}

/// What becomes of the identity of a context with a call.
pub(crate) enum Leaving {
    /// There is none.
    Nobody,
    /// It may not go there.
    HeldBack,
    Leaves(Travelling),
}

impl Leaving {
    pub(crate) const fn travelling(&self) -> Option<&Travelling> {
        match self {
            Self::Leaves(travelling) => Some(travelling),
            Self::Nobody | Self::HeldBack => None,
        }
    }
}

/// The members that came and are what the application sees, so that they pass on as they came. Of members of one name, the
/// application sees the last.
fn untouched<'p>(passing: &'p Passing, baggage: &OtelBaggage) -> Vec<Entry<'p>> {
    let mut came: Vec<Entry<'p>> = passing.0.split(',').filter_map(Entry::read).collect();
    let mut touched: Vec<&str> = Vec::new();
    for (place, entry) in came.iter().enumerate() {
        let is_last = !came.iter().skip(place + 1).any(|other| other.name() == entry.name());
        let is_as_seen = || {
            baggage.get_with_metadata(entry.name()).is_some_and(|(value, properties)| {
                decode(entry.value()) == value.as_str() && entry.properties() == properties.as_str()
            })
        };
        if is_last && !is_as_seen() {
            touched.push(entry.name());
        }
    }
    came.retain(|entry| !touched.contains(&entry.name()));
    came
}

impl TextMapPropagator for Propagator {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        let span = cx.span();
        if matches!(self.inject(cx, injector), Leaving::HeldBack) && span.is_recording() {
            span.set_attribute(KeyValue::new(LEAK_STOPPED, true));
        }
    }

    /// Reads every `baggage` header, as far as the extractor hands them on (`get_all`). What came replaces what the context
    /// held: an identity is never inherited by a request that brought none.
    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        let headers = extractor.get_all(HEADER).unwrap_or_default();
        if headers.is_empty() {
            return match cx.get::<HopIdentity>() {
                None => cx.clone(),
                Some(_) => cx.with_value(HopIdentity::unknown()),
            };
        }
        let mut read = Baggage::read(headers);
        let identity = self.arrived(cx, &mut read);
        let mut others = OtelBaggage::new();
        let mut passing = String::new();
        for entry in &read.others {
            // Within the limits of the SDK too: what it counts is never more than what came.
            others.insert_with_metadata(
                entry.name().to_owned(),
                decode(entry.value()).into_owned(),
                entry.properties(),
            );
            passing.push_str(if passing.is_empty() { "" } else { "," });
            passing.push_str(entry.as_str());
        }
        let identity = identity.or_else(|| cx.get::<HopIdentity>().map(|_| HopIdentity::unknown()));
        let cx = match others.is_empty() && cx.baggage().is_empty() {
            true => cx.clone(),
            false => cx.with_baggage(others).with_value(Passing(passing.into())),
        };
        match identity {
            None => cx,
            Some(identity) => cx.with_value(identity),
        }
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(FIELDS.as_slice())
    }
}
