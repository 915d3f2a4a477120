//! When a credential is valid, and for whom: the same for every kind.

use crate::Reason;
use crate::claims::payload::missing;
use crate::clock::UnixTime;
use crate::jose::quoted;
use crate::outcome::Refused;
use crate::registry::Issuer;

/// The times of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) issued_at: Option<UnixTime>,
    pub(crate) not_before: Option<UnixTime>,
    pub(crate) expiry: UnixTime,
}

impl Terms {
    /// Of the claims `iat`, `nbf` and `exp` as `time` reads them.
    pub(crate) fn read(
        time: impl Fn(&'static str) -> Result<Option<UnixTime>, Refused>,
    ) -> Result<Self, Refused> {
        let expiry = time("exp")?.ok_or_else(|| missing("exp"))?;
        Ok(Self { issued_at: time("iat")?, not_before: time("nbf")?, expiry })
    }

    /// Holds them to a moment (RFC 7519 sections 4.1.4 to 4.1.6), allowing for clocks that differ, and to the longest life that
    /// the issuer is trusted with.
    pub(crate) fn check(self, issuer: &Issuer, now: UnixTime) -> Result<(), Refused> {
        let skew = issuer.skew();
        // Judged by itself before it is judged by now: what is wrong with a token does not change with time.
        let start = self.issued_at.max(self.not_before);
        if start.is_some_and(|start| start >= self.expiry) {
            return Err(Refused::new(Reason::Claim, "`exp` is not after `iat` and `nbf`"));
        }
        // Without `iat`, what is left of its life must not be longer than a whole one.
        let (begin, allowance) = self.issued_at.map_or((now, skew), |issued_at| (issued_at, 0));
        let longest = issuer.max_lifetime().saturating_add(allowance);
        if self.expiry.since(begin) > longest {
            return Err(Refused::new(
                Reason::Lifetime,
                format!("{} s, over {longest} s", self.expiry.since(begin)),
            ));
        }
        if self.issued_at.is_some_and(|issued_at| issued_at > now.plus(skew)) {
            return Err(Refused::new(Reason::Premature, "`iat` is ahead of our clock"));
        }
        if self.not_before.is_some_and(|not_before| not_before > now.plus(skew)) {
            return Err(Refused::new(Reason::Premature, "`nbf` is ahead of our clock"));
        }
        if now >= self.expiry.plus(skew) {
            return Err(Refused::new(Reason::Expired, format!("{} s ago", now.since(self.expiry))));
        }
        Ok(())
    }
}

/// The audience that is ours: the one asked for, or else the first that the registry names.
pub(crate) fn audience(audiences: &[&str], issuer: &Issuer, asked: Option<&str>) -> Result<String, Refused> {
    let ours = |audience: &&&str| {
        issuer.audiences().iter().any(|ours| ours == **audience)
            && asked.is_none_or(|asked| asked == **audience)
    };
    audiences.iter().find(ours).map(|audience| (*audience).to_owned()).ok_or_else(|| {
        let named: Vec<String> = audiences.iter().take(4).map(|audience| quoted(audience)).collect();
        Refused::new(Reason::Audience, format!("for `{}`", named.join("`, `")))
    })
}
