//! Judging a credential, with and without an answer that is remembered.

use std::sync::Arc;

use super::{Trust, opaque};
#[cfg(feature = "cache")]
use crate::cache::{Answer, Answers, Boarding};
use crate::claims::{Expected, Jwt};
use crate::clock::Clock;
use crate::keys::KeySource;
use crate::outcome::{Refused, Undecided, Verified};
#[cfg(feature = "paseto")]
use crate::paseto::Paseto;
use crate::principal::Credential;
use crate::secret::Token;

/// What the verifier says. Of a good token, that and no more: whether it was revoked, and whether its holder holds what it is
/// bound to, is still to be seen.
pub(super) struct Judged {
    pub(super) result: Result<Arc<Verified>, Refused>,
    /// Whether it was said before.
    pub(super) remembered: bool,
    /// Where there is something to remember.
    #[cfg(feature = "cache")]
    answer: Option<Answer>,
}

impl From<Result<Arc<Verified>, Refused>> for Judged {
    fn from(result: Result<Arc<Verified>, Refused>) -> Self {
        Self {
            result,
            remembered: false,
            #[cfg(feature = "cache")]
            answer: None,
        }
    }
}

impl From<Refused> for Judged {
    fn from(refused: Refused) -> Self {
        Err(refused).into()
    }
}

/// Judges a credential, remembering nothing.
pub(super) async fn judge<K: KeySource>(
    trust: &Trust<K>,
    token: &Token,
    expected: &Expected<'_>,
    clock: &dyn Clock,
) -> Result<Judged, Undecided> {
    if expected.credential == Credential::Opaque {
        return opaque::judge(trust, token, expected).await;
    }
    #[cfg(feature = "paseto")]
    if expected.credential == Credential::Paseto {
        return Ok(judge_paseto(trust, token, expected, clock));
    }
    let found = Jwt::parse(token).and_then(|jwt| {
        let issuer = jwt.issuer(&trust.registry, expected.credential)?;
        Ok((jwt, issuer))
    });
    let (jwt, issuer) = match found {
        Ok(found) => found,
        Err(refused) => return Ok(refused.into()),
    };
    let keys = trust.keys.keys(issuer, jwt.kid()).await?;
    // Not before the keys are there: that may have taken a while.
    let now = clock.now();
    let result = jwt.verify(issuer, &keys, expected, now).map(Arc::new);
    Ok(Judged {
        #[cfg(feature = "cache")]
        answer: Some(Answer {
            generation: trust.generation,
            issuer: issuer.name().into(),
            kid: jwt.kid().map(Into::into),
            keyed_by: Some((keys.epoch, keys.set.len())),
            at: now,
            result: result.clone(),
        }),
        remembered: false,
        result,
    })
}

#[cfg(feature = "paseto")]
fn judge_paseto<K>(trust: &Trust<K>, token: &Token, expected: &Expected<'_>, clock: &dyn Clock) -> Judged {
    let found = Paseto::parse(token).and_then(|paseto| {
        let issuer = paseto.issuer(&trust.registry, &trust.paseto)?;
        Ok((paseto, issuer))
    });
    let (paseto, issuer) = match found {
        Ok(found) => found,
        Err(refused) => return refused.into(),
    };
    let now = clock.now();
    let result = paseto.verify(issuer, &trust.paseto, expected, now).map(Arc::new);
    Judged {
        #[cfg(feature = "cache")]
        answer: Some(Answer {
            generation: trust.generation,
            issuer: issuer.name().into(),
            kid: None,
            keyed_by: None,
            at: now,
            result: result.clone(),
        }),
        remembered: false,
        result,
    }
}

/// Judges a credential by an answer that is remembered, if it still holds.
#[cfg(feature = "cache")]
pub(super) async fn recall<K: KeySource>(
    answers: &Answers,
    trust: &Trust<K>,
    token: &Token,
    expected: &Expected<'_>,
    clock: &dyn Clock,
) -> Result<Judged, Undecided> {
    // The one is refused for less than a look-up costs; of the other, who asks remembers the answer, for a shorter time.
    if token.expose().len() > crate::jose::MAX_BYTES || expected.credential == Credential::Opaque {
        return Box::pin(judge(trust, token, expected, clock)).await;
    }
    let key = answers.key(token, expected);
    let mut waited = false;
    let landing = loop {
        if let Some(answer) = answers.get(&key, trust.generation, clock.now())
            && holds(trust, &answer, clock).await?
        {
            answers.count(Some(&answer));
            return Ok(Judged { result: answer.result, remembered: true, answer: None });
        }
        if waited {
            // Nothing that can be remembered came of it: no reason to judge one after the other.
            break None;
        }
        match answers.flights.board(key) {
            Boarding::First(landing) => break Some(landing),
            Boarding::Later(landed) => landed.await,
        }
        waited = true;
    };
    answers.count(None);
    // What is remembered needs no room for all that asking may take.
    let judged = Box::pin(judge(trust, token, expected, clock)).await?;
    if let Some(answer) = judged.answer.clone() {
        answers.put(key, answer);
    }
    drop(landing);
    Ok(judged)
}

/// Whether an answer is still what judging anew would give.
#[cfg(feature = "cache")]
async fn holds<K: KeySource>(
    trust: &Trust<K>,
    answer: &Answer,
    clock: &dyn Clock,
) -> Result<bool, Undecided> {
    let Some(issuer) = trust.registry.issuer(&answer.issuer) else { return Ok(false) };
    if let Some(keyed_by) = answer.keyed_by {
        let keys = trust.keys.keys(issuer, answer.kid.as_deref()).await?;
        if keyed_by != (keys.epoch, keys.set.len()) {
            return Ok(false);
        }
    }
    // Its time cannot begin anew, as the clock did not go back; it can end. A wrong signature stays wrong.
    let end = |verified: &Verified| verified.principal.expiry.plus(issuer.skew());
    Ok(answer.result.as_ref().map_or(true, |verified| clock.now() < end(verified)))
}
