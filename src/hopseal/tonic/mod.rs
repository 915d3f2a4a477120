//! For services of gRPC with `tonic`: who calls, and guards, from a [`Request`].
//!
//! The [`IdentityLayer`](crate::tower::IdentityLayer) itself is a layer of `tonic::transport::Server`: it answers requests of gRPC with
//! a status of gRPC, and the challenge (RFC 6750) in the metadata `www-authenticate`.
//!
//! ```
//! use hopseal::tonic::RequestExt as _;
//! use tonic::{Request, Response, Status};
//! async fn charge(request: Request<u64>) -> Result<Response<String>, Status> {
//!     let caller = request.require_scopes(["payments:charge"])?; // UNAUTHENTICATED or PERMISSION_DENIED
//!     Ok(Response::new(format!("charged {}", caller.principal().id)))
//! }
//! # assert_eq!(tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(charge(Request::new(1)))
//! #     .unwrap_err().code(), tonic::Code::Unauthenticated);
//! ```
//!
//! For all methods of a service at once there are interceptors, [`requiring`] and [`requiring_proof`].

#[cfg(test)]
mod tests;

use std::sync::Arc;

use ::tonic::metadata::MetadataMap;
use ::tonic::{Code, Request, Status};

use crate::otel::HopIdentity;
use crate::outcome::Verified;
use crate::tower::{Manner, Turned, proven, with_scopes};

/// Who calls, of a request that came through an [`IdentityLayer`](crate::tower::IdentityLayer).
pub trait RequestExt {
    /// Whoever it is, and how sure that is. `None` for nobody, and where there is no layer.
    fn identity(&self) -> Option<&HopIdentity>;

    /// The caller, by a credential that was validated here.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, with the challenge in its metadata.
    fn verified(&self) -> Result<&Arc<Verified>, Status> {
        const NONE: [&str; 0] = [];
        self.require_scopes(NONE)
    }

    /// Whoever it is, proven: by a credential that was validated here, or by a valid seal on what came.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, also for an identity that is only asserted.
    fn proven(&self) -> Result<&HopIdentity, Status> {
        proven(self.identity()).map_err(|turned| status(&turned))
    }

    /// The same as [`verified`](Self::verified), if the credential has all of these scopes.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, or `PERMISSION_DENIED` if only scopes are lacking (`insufficient_scope`, RFC 6750 section 3.1).
    fn require_scopes(
        &self,
        scopes: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<&Arc<Verified>, Status> {
        with_scopes(self.identity(), scopes).map_err(|turned| status(&turned))
    }
}

impl<T> RequestExt for Request<T> {
    fn identity(&self) -> Option<&HopIdentity> {
        self.extensions().get()
    }
}

/// An interceptor that lets in whoever has a credential that was validated here, with all of these scopes; others get what
/// [`RequestExt::require_scopes`] says.
///
/// ```
/// # use tonic::{Request, service::interceptor::InterceptedService};
/// # struct Orders;
/// let orders = InterceptedService::new(Orders, hopseal::tonic::requiring(["orders:read"])); // or `OrdersServer::with_interceptor`
/// # drop(orders);
/// # assert!(hopseal::tonic::requiring(["orders:read"])(Request::new(())).is_err());
/// ```
pub fn requiring(
    scopes: impl IntoIterator<Item = impl Into<String>>,
) -> impl Fn(Request<()>) -> Result<Request<()>, Status> + Clone {
    let scopes: Arc<[String]> = scopes.into_iter().map(Into::into).collect();
    move |request| {
        request.require_scopes(&*scopes)?;
        Ok(request)
    }
}

/// An interceptor that lets in whoever is proven; others get what [`RequestExt::proven`] says.
///
/// # Errors
/// `UNAUTHENTICATED`.
pub fn requiring_proof(request: Request<()>) -> Result<Request<()>, Status> {
    request.proven()?;
    Ok(request)
}

fn status(turned: &Turned) -> Status {
    let mut metadata = MetadataMap::new();
    let challenge = turned.challenge(Manner::default());
    if let Some(value) = challenge.and_then(|challenge| challenge.to_string().parse().ok()) {
        metadata.insert("www-authenticate", value);
    }
    Status::with_metadata(Code::from(i32::from(turned.code())), turned.told(), metadata)
}
