//! Tokens that are not good in anybody's hands, or not more than once: bound to a key that signs a proof with each request (DPoP, RFC
//! 9449), or to a client's certificate (RFC 8705).

mod address;
mod dpop;
mod nonce;
mod once;
mod replay;
#[cfg(test)]
mod tests;

pub use dpop::{Dpop, DpopSettings};
pub use nonce::Nonces;
pub(crate) use once::Used;

use aws_lc_rs::constant_time::verify_slices_are_equal;

use crate::Reason;
use crate::claims::Expected;
use crate::clock::UnixTime;
use crate::outcome::{Refused, Undecided, Verified};
use crate::secret::{Scheme, Token};

/// Whether the sender of a token proved what the token asks for.
pub(crate) fn check(
    dpop: &Dpop,
    token: &Token,
    verified: &Verified,
    expected: &Expected<'_>,
    now: UnixTime,
) -> Result<Result<(), Refused>, Undecided> {
    let confirmation = verified.evidence.confirmation;
    if let Some(bound_to) = confirmation.and_then(|confirmation| confirmation.x5t_s256) {
        // Before the proof: one that is refused anyhow need not be remembered.
        match expected.certificate {
            Some(shown) if verify_slices_are_equal(&shown, &bound_to).is_ok() => {}
            Some(_) => return Ok(Err(unbound("bound to another certificate"))),
            None => return Ok(Err(unbound("bound to a certificate, and none was shown"))),
        }
    }
    let jkt = confirmation.and_then(|confirmation| confirmation.jkt);
    // RFC 9449 section 7.1, whatever else was sent.
    match (token.scheme(), jkt) {
        (Some(Scheme::Bearer), Some(_)) => return Ok(Err(unbound("bound to a key, and sent as `Bearer`"))),
        (Some(Scheme::Dpop), None) => return Ok(Err(unbound("not bound to a key, and sent as `DPoP`"))),
        _ => {}
    }
    match (jkt, &expected.proof) {
        (None, None) => Ok(Ok(())),
        (Some(_), None) => Ok(Err(unbound("bound to a key, and no proof was sent"))),
        // RFC 9449 section 7.1: who sends a proof counts on being bound to it.
        (None, Some(_)) => Ok(Err(unbound("not bound to a key, and a proof was sent"))),
        (Some(jkt), Some(proof)) => dpop.check(proof, token, &jkt, now),
    }
}

fn unbound(detail: &str) -> Refused {
    Refused::new(Reason::Binding, detail)
}
