//! Why a credential was refused: a closed set of words, one for everybody who writes or reads `hopseal.reason`.

use std::fmt;

/// The name of a reason, what a client is told, and whether a token was there to be judged at all.
macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $told:literal;)*) => {
        /// Why a credential was refused.
        ///
        /// The set is closed and its words are plain, so that they can be metric labels and span attributes
        /// ([`hopseal.reason`](crate::attribute::REASON)). What varies with the credential is none of them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[$doc])* $variant,)*
        }

        impl Reason {
            /// Every reason, in order of their names here.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word on spans, in labels and in logs.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// What a client may be told: a fixed sentence with nothing of the credential in it, in the characters
            /// of an `error_description` (RFC 6750 section 3).
            #[must_use]
            pub const fn told(self) -> &'static str {
                match self {
                    $(Self::$variant => $told,)*
                }
            }
        }
    };
}

reasons! {
    /// An algorithm that the issuer or the key is not trusted with, `none` among them (RFC 8725 section 3.1).
    Algorithm = "algorithm", "the algorithm is not accepted";
    /// Not meant for this service, or for nobody (RFC 7519 section 4.1.3).
    Audience = "audience", "the token is not meant for this service";
    /// It is bound to a key or a certificate, and that its sender holds it was not shown (RFC 9449, RFC 8705).
    Binding = "binding", "the token is bound to a key that was not shown to be held";
    /// A claim of the wrong type, or with a value that it must not have.
    Claim = "claim", "a claim is malformed";
    /// A header that must be understood and is not (`crit`, RFC 7515 section 4.1.11; `b64`, RFC 7797; `zip`).
    Critical = "critical", "the token demands an extension that is not supported";
    /// A member of a JSON object stands there twice (RFC 8725 section 2.4).
    Duplicate = "duplicate", "a member is repeated";
    /// Encrypted (RFC 7516), which is not accepted.
    Encrypted = "encrypted", "encrypted tokens are not accepted";
    /// Its time is over (`exp`, RFC 7519 section 4.1.4).
    Expired = "expired", "the token has expired";
    /// Not active, says its issuer, without saying why (RFC 7662 section 2.2): expired, revoked, or never issued.
    Inactive = "inactive", "the token is not active";
    /// From an issuer that the registry does not name for this kind of credential.
    Issuer = "issuer", "the issuer is not trusted";
    /// Valid for longer than the issuer is trusted with.
    Lifetime = "lifetime", "the token is valid for too long";
    /// Not in the form that it must have.
    Malformed = "malformed", "the token is malformed";
    /// A claim that must be there is not.
    MissingClaim = "missing_claim", "a claim is missing";
    /// Its proof of possession must hold a value that we hand out, and does not (RFC 9449 section 9).
    Nonce = "nonce", "the proof must hold the nonce that was sent";
    /// Not valid yet, or issued in the future (`nbf` and `iat`, RFC 7519 sections 4.1.5 and 4.1.6).
    Premature = "premature", "the token is not valid yet";
    /// Its proof of possession is not valid (RFC 9449 section 4.3).
    Proof = "proof", "the proof of possession is not valid";
    /// It may be used once and was used before: a proof (RFC 9449 section 11.1), or a token of which that is asked.
    Replayed = "replayed", "it was used before";
    /// Withdrawn before its time: itself, its session, its subject, or all of its issuer up to a moment.
    Revoked = "revoked", "the token was revoked";
    /// The signature or the authentication tag is not that of the key.
    Signature = "signature", "the signature is not valid";
    /// Its signature was not verified, and it was let pass. For others to say: the crate `hopseal` has no such setting.
    SignatureSkipped = "signature_skipped", "the signature was not verified";
    /// Over a limit of size, number or depth.
    TooLarge = "too_large", "the token is too large";
    /// A credential of another kind than is accepted here (RFC 8725 section 3.11).
    Type = "type", "the token is of another kind";
    /// No key of the issuer goes by that id.
    UnknownKey = "unknown_key", "the key is not known";
}

impl Reason {
    /// Reads the word back; `None` for any other.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == word)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_labels_and_read_back() {
        for reason in Reason::ALL {
            let word = reason.as_str();
            assert!(word.bytes().all(|letter| letter.is_ascii_lowercase() || letter == b'_'), "{word}");
            assert_eq!(Reason::parse(word), Some(*reason), "{word}");
        }
        assert_eq!(Reason::parse("Expired"), None);
    }

    #[test]
    fn what_is_told_fits_a_quoted_string_as_it_is() {
        for reason in Reason::ALL {
            let told = reason.told();
            // RFC 6750 section 3: %x20-21 / %x23-5B / %x5D-7E.
            assert!(
                told.bytes().all(|letter| matches!(letter, 0x20..=0x7e) && !b"\"\\".contains(&letter)),
                "{told}"
            );
        }
    }
}
