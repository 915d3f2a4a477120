//! How an identity was established: a closed set of words.

macro_rules! methods {
    ($($(#[$doc:meta])* $variant:ident = $word:literal;)*) => {
        /// How the identity of a hop was established: a kind of credential, or who vouches in its place
        /// ([`hopseal.method`](crate::attribute::METHOD)).
        ///
        /// ```
        /// use hopseal_identity::Method;
        /// assert_eq!(Method::parse("jwt_svid"), Some(Method::JwtSvid));
        /// assert_eq!(Method::parse("jwt"), None);
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Method {
            $($(#[$doc])* $variant,)*
        }

        impl Method {
            /// Every method, in order of their names here.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word on spans and in every output.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }
    };
}

methods! {
    /// An OAuth access token as a JWT (RFC 9068, or plain).
    AccessToken = "access_token";
    /// An ID token (OpenID Connect Core 1.0 section 2).
    IdToken = "id_token";
    /// A JWT-SVID (SPIFFE).
    JwtSvid = "jwt_svid";
    /// An opaque token that its issuer was asked about (RFC 7662).
    Opaque = "opaque";
    /// A PASETO.
    Paseto = "paseto";
    /// A proxy that the service trusts validated it.
    Proxy = "proxy";
    /// A seal in baggage.
    Seal = "seal";
    /// A transaction token (draft-ietf-oauth-transaction-tokens).
    TxnToken = "txn_token";
    /// An X.509-SVID (SPIFFE): the certificate of the peer.
    X509Svid = "x509_svid";
}

impl Method {
    /// Reads the word back; `None` for any other.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|method| method.as_str() == word)
    }
}
