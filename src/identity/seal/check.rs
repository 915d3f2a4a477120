//! Checking a seal again, with public keys alone.

use base64::Engine as _;

use super::key_set::Key;
use super::{
    BASE64URL, Binding, Header, KeySet, MAX_HEADER, Members, SealFault, decode, is_length_of, signing_input,
    split,
};
use crate::attribute::{EXP, IAT, ISS, KIND, SUB};
use crate::member;

/// Longest life of a seal, in seconds: past it one has ended whatever its `exp` says.
pub const MAX_LIFETIME: u64 = 300;

/// Members that every seal covers.
pub(super) const REQUIRED: [&str; 5] = [SUB, KIND, ISS, IAT, EXP];

/// What a check says. "No" is an answer, not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The members are those that were sealed, in this trace, by that key.
    Valid {
        /// The key.
        kid: String,
    },
    /// They are not, or the seal is no seal of this moment.
    Broken(SealFault),
    /// It is made with a shared secret that the key set knows of, for this trace and moment as far as it says. Public keys can
    /// say no more of it, and whoever could might have made it.
    Symmetric,
}

/// When a seal is judged. Both in seconds; a seal is judged at the start of the hop that relied on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// The moment, since the Unix epoch.
    pub at: u64,
    /// How far the clocks of the sealer and of the hop may be apart.
    pub leeway: u64,
}

/// Checks `seal` over `members`.
///
/// Never fails: everything it needs is at hand. A fault names the first reason in this order: the seal is no seal
/// (`malformed`, `algorithm`), was made for another `trace`, by an `unknown_key`, by a key of another `algorithm`, a required
/// member is not there (`incomplete`), the `signature` does not cover these members, its times are none (`malformed`),
/// `premature`, `expired`.
#[must_use]
pub fn check(
    keys: &KeySet,
    binding: &Binding<'_>,
    members: &Members<'_>,
    seal: &str,
    clock: Clock,
) -> Verdict {
    checked(keys, binding, members, seal, clock).unwrap_or_else(Verdict::Broken)
}

fn checked(
    keys: &KeySet,
    binding: &Binding<'_>,
    members: &Members<'_>,
    seal: &str,
    clock: Clock,
) -> Result<Verdict, SealFault> {
    let (protected, text) = split(seal).ok_or(SealFault::Malformed)?;
    let signature = BASE64URL.decode(text).map_err(|_| SealFault::Malformed)?;
    let mut room = [0; MAX_HEADER];
    let header = decode(protected, &mut room).and_then(Header::read).ok_or(SealFault::Malformed)?;
    if !is_length_of(header.alg, text) {
        return Err(SealFault::Malformed);
    }
    if !matches!(header.alg, "EdDSA" | "HS256") {
        return Err(SealFault::Algorithm);
    }
    if header.trace_prefix != binding.trace_prefix() {
        return Err(SealFault::Trace);
    }
    let public = match (header.alg, keys.find(header.kid).ok_or(SealFault::UnknownKey)?) {
        ("EdDSA", Key::Public(public)) => Some(public),
        ("HS256", Key::Shared) => None,
        // Whoever relabels a seal must not be rid of its signature.
        _ => return Err(SealFault::Algorithm),
    };
    if REQUIRED.iter().any(|name| members.get(name).is_none()) {
        return Err(SealFault::Incomplete);
    }
    if let Some(public) = public {
        let input = signing_input(protected, binding, members);
        public.verify_sig(input.as_bytes(), &signature).map_err(|_| SealFault::Signature)?;
    }
    in_time(members, clock)?;
    Ok(match public {
        Some(_) => Verdict::Valid { kid: header.kid.to_owned() },
        None => Verdict::Symmetric,
    })
}

/// Whether it is the time of a seal over these members: all that has to be looked at again of one whose signature was checked before.
///
/// # Errors
/// [`SealFault::Malformed`] without plain times, [`SealFault::Premature`], [`SealFault::Expired`].
pub fn in_time(members: &Members<'_>, clock: Clock) -> Result<(), SealFault> {
    let (iat, exp) = times(members).filter(|(iat, exp)| iat < exp).ok_or(SealFault::Malformed)?;
    if iat > clock.at.saturating_add(clock.leeway) {
        return Err(SealFault::Premature);
    }
    let end = exp.min(iat.saturating_add(MAX_LIFETIME));
    if clock.at > end.saturating_add(clock.leeway) {
        return Err(SealFault::Expired);
    }
    Ok(())
}

/// When the members say that the seal was made and ends; `None` unless both are plain decimal seconds.
pub(super) fn times(members: &Members<'_>) -> Option<(u64, u64)> {
    let seconds = |name| member::seconds(members.get(name)?);
    Some((seconds(IAT)?, seconds(EXP)?))
}
