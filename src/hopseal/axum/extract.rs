//! Arguments of handlers.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use ::axum::extract::{FromRequestParts, OptionalFromRequestParts};
use ::axum::response::{IntoResponse, Response};
use http::request::Parts;

use crate::otel::HopIdentity;
use crate::tower::{Manner, Turned, proven, with_scopes};

/// A handler that is not reached: 401, or 403 with `insufficient_scope` (RFC 6750 section 3).
#[derive(Debug)]
pub struct Rejection(Turned);

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.0.answer(Manner::default())
    }
}

/// The caller, by a credential that was validated here. As `Option<Verified>` it turns nobody away.
#[derive(Debug, Clone)]
pub struct Verified(pub Arc<crate::Verified>);

impl Deref for Verified {
    type Target = crate::Verified;

    fn deref(&self) -> &crate::Verified {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for Verified {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        const NONE: [&str; 0] = [];
        with_scopes(parts.extensions.get(), NONE).cloned().map(Self).map_err(Rejection)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Verified {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        let identity = parts.extensions.get::<HopIdentity>();
        Ok(identity.and_then(HopIdentity::verified_here).cloned().map(Self))
    }
}

/// Scopes that a handler asks for, all of them, under a name of their own.
pub trait Scopes {
    /// The scopes.
    const SCOPES: &'static [&'static str];
}

/// The caller, by a credential that was validated here and has all of these scopes.
pub struct Scoped<W>(pub Verified, PhantomData<fn() -> W>);

impl<W> std::fmt::Debug for Scoped<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Scoped").field(&self.0).finish()
    }
}

impl<W> Deref for Scoped<W> {
    type Target = crate::Verified;

    fn deref(&self) -> &crate::Verified {
        &self.0
    }
}

impl<S: Sync, W: Scopes> FromRequestParts<S> for Scoped<W> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let found = with_scopes(parts.extensions.get(), W::SCOPES).cloned();
        found.map(|verified| Self(Verified(verified), PhantomData)).map_err(Rejection)
    }
}

/// Whoever it is, proven: by a credential that was validated here, or by a valid seal on what came. A handler behind others of the
/// same trust domain asks for this; who is named with nothing behind it is turned away, as with [`Verified`].
#[derive(Debug, Clone)]
pub struct Proven(pub HopIdentity);

impl Deref for Proven {
    type Target = HopIdentity;

    fn deref(&self) -> &HopIdentity {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for Proven {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        proven(parts.extensions.get()).cloned().map(Self).map_err(Rejection)
    }
}

/// Whoever it is, and how sure that is: also an identity that came sealed, or none.
impl<S: Sync> FromRequestParts<S> for HopIdentity {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let found = parts.extensions.get::<Self>().cloned();
        Ok(found.or_else(Self::current).unwrap_or_else(Self::unknown))
    }
}
