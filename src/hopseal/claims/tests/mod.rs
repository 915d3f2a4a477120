//! The attacks on claims that are known, by name, and what good tokens say.

mod attacks;
mod kinds;
mod rows;
mod vectors;

use super::{Expected, Jwt};
use crate::keys::{FixedKeys, KeySource as _};
use crate::testing::{Mint, NOW, registry};
use crate::{Credential, Reason, Refused, Token, UnixTime, Verified};

/// What comes of a token, at a moment.
pub(crate) fn judge_at(token: &Token, expected: Expected<'_>, now: UnixTime) -> Result<Verified, Refused> {
    let registry = registry();
    let keys = FixedKeys::of(&registry).expect("keys");
    let jwt = Jwt::parse(token)?;
    let issuer = jwt.issuer(&registry, expected.credential)?;
    let keys = keys.keys(issuer, jwt.kid());
    let keys = crate::testing::ready(keys).expect("keys of every issuer");
    jwt.verify(issuer, &keys, &expected, now)
}

fn judge(mint: &Mint, credential: Credential) -> Result<Verified, Refused> {
    judge_at(&mint.token(), credential.into(), NOW)
}

fn good(mint: &Mint, credential: Credential) -> Verified {
    judge(mint, credential).unwrap_or_else(|refused| panic!("{refused}: {}", mint.claims_json()))
}

/// Tokens that are signed as they should be, and why they are refused all the same.
fn check(credential: Credential, table: &[(&str, Mint, Option<Reason>)]) {
    for (name, mint, reason) in table {
        let refused = judge(mint, credential).err();
        assert_eq!(refused.as_ref().map(Refused::reason), *reason, "{name}: {refused:?}");
    }
}
