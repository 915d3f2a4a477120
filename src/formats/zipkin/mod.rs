//! Zipkin JSON. An element is one span object.

pub(crate) mod v1;
pub(crate) mod v2;
