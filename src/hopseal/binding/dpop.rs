//! Proofs of possession with each request (RFC 9449).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use sha2::{Digest as _, Sha256};

use super::address::normal;
use super::nonce::Nonces;
use super::replay::Replays;
use super::unbound;
use crate::Reason;
use crate::algorithm::Algorithm;
use crate::claims::{Payload, Proof, missing, wrong};
use crate::clock::UnixTime;
use crate::jose::{Compact, decode, quoted, verify_by_own_key};
use crate::outcome::{Refused, Undecided};
use crate::secret::Token;

/// What a proof is held to.
#[derive(Debug)]
#[non_exhaustive]
pub struct DpopSettings {
    /// The algorithms that are accepted. Default ES256, ES384, EdDSA, PS256 and RS256. Symmetric ones never are.
    pub algorithms: Vec<Algorithm>,
    /// How old a proof may be, in seconds. Default 60.
    pub max_age: u64,
    /// How many seconds the clock of a client may be ahead of ours. Default 10.
    pub skew: u64,
    /// How many proofs are remembered, so that none is accepted twice. Default a million, which takes about 64 MB. Where more than
    /// these come within twice the time that a proof is good for, there is no answer to the rest.
    pub remembered: usize,
    /// Nonces that proofs must hold (RFC 9449 section 9). None by default.
    pub nonces: Option<Nonces>,
}

impl Default for DpopSettings {
    fn default() -> Self {
        use Algorithm::{EdDsa, Es256, Es384, Ps256, Rs256};
        Self {
            algorithms: vec![Es256, Es384, EdDsa, Ps256, Rs256],
            max_age: 60,
            skew: 10,
            remembered: 1_000_000,
            nonces: None,
        }
    }
}

/// Checks DPoP proofs, and remembers them.
#[derive(Debug)]
pub struct Dpop {
    settings: DpopSettings,
    replays: Replays,
}

impl Default for Dpop {
    fn default() -> Self {
        Self::new(DpopSettings::default())
    }
}

impl Dpop {
    /// By these settings.
    #[must_use]
    pub fn new(settings: DpopSettings) -> Self {
        let replays = Replays::new(settings.remembered, settings.max_age, settings.skew);
        Self { settings, replays }
    }

    /// What proofs are held to.
    #[must_use]
    pub const fn settings(&self) -> &DpopSettings {
        &self.settings
    }

    /// The names of the algorithms that are accepted, for a [`Challenge`](crate::Challenge).
    #[must_use]
    pub fn algorithms(&self) -> Vec<&'static str> {
        self.settings.algorithms.iter().map(|algorithm| algorithm.as_str()).collect()
    }

    /// RFC 9449 section 4.3, in its order but for what is cheap and comes first.
    pub(super) fn check(
        &self,
        proof: &Proof<'_>,
        token: &Token,
        bound_to: &[u8; 32],
        now: UnixTime,
    ) -> Result<Result<(), Refused>, Undecided> {
        let (id, issued_at) = match self.read(proof, token, bound_to, now) {
            Ok(read) => read,
            Err(refused) => return Ok(Err(refused)),
        };
        // Last, so that only good proofs take room.
        match self.replays.first(id, issued_at, now) {
            Some(true) => Ok(Ok(())),
            Some(false) => Ok(Err(Refused::new(Reason::Replayed, "a proof that was used before"))),
            None => Err(Undecided::NoRoom),
        }
    }

    /// The id of a proof that is good but for having been used before, and when it was made.
    fn read(
        &self,
        proof: &Proof<'_>,
        token: &Token,
        bound_to: &[u8; 32],
        now: UnixTime,
    ) -> Result<([u8; 16], UnixTime), Refused> {
        let compact = Compact::parse(proof.token.expose()).map_err(of_proof)?;
        if compact.typ() != Some("dpop+jwt") {
            return Err(refused("proof of another type"));
        }
        let (payload, jkt) = verify_by_own_key(&compact, &self.settings.algorithms).map_err(of_proof)?;
        if verify_slices_are_equal(&jkt, bound_to).is_err() {
            return Err(unbound("proof by another key"));
        }
        let payload = Payload::read(payload).map_err(of_proof)?;
        self.claims(&payload, proof, token, &jkt, now).map_err(of_proof)
    }

    fn claims(
        &self,
        payload: &Payload,
        proof: &Proof<'_>,
        token: &Token,
        jkt: &[u8; 32],
        now: UnixTime,
    ) -> Result<([u8; 16], UnixTime), Refused> {
        let jti = payload.name("jti")?;
        // Methods are case-sensitive (RFC 9110 section 9.1).
        if payload.name("htm")? != proof.method {
            return Err(wrong("htm", "is not the method of the request"));
        }
        let htu = payload.name("htu")?;
        match (normal(htu), normal(proof.uri)) {
            (Some(said), Some(ours)) if said == ours => {}
            (_, None) => return Err(refused("the address of the request is none")),
            _ => return Err(wrong("htu", &format!("`{}` is not the address of the request", quoted(htu)))),
        }
        let issued_at = payload.seconds("iat")?.ok_or_else(|| missing("iat"))?;
        if issued_at > now.plus(self.settings.skew) {
            return Err(wrong("iat", "is ahead of our clock"));
        }
        if now.since(issued_at) > self.settings.max_age {
            return Err(wrong("iat", "is too long ago"));
        }
        let digest: [u8; 32] = Sha256::digest(token.expose().as_bytes()).into();
        let ath = decode(payload.name("ath")?).unwrap_or_default();
        if verify_slices_are_equal(&ath, &digest).is_err() {
            return Err(wrong("ath", "is not of the token"));
        }
        if let Some(nonces) = &self.settings.nonces {
            let fresh = payload.text("nonce")?.is_some_and(|nonce| nonces.check(nonce, now));
            if !fresh {
                return Err(Refused::new(Reason::Nonce, "none of ours, or too old"));
            }
        }
        let id = Sha256::new().chain_update(jkt).chain_update(jti).finalize();
        let mut short = [0; 16];
        short.iter_mut().zip(id).for_each(|(to, from)| *to = from);
        Ok((short, issued_at))
    }
}

fn refused(detail: &str) -> Refused {
    Refused::new(Reason::Proof, detail)
}

/// What is wrong with a proof is not what is wrong with the token.
fn of_proof(fault: Refused) -> Refused {
    match fault.reason() {
        Reason::Nonce | Reason::Proof | Reason::Binding => fault,
        reason => Refused::new(Reason::Proof, format!("{reason}: {}", fault.detail())),
    }
}
