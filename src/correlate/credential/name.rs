//! What the name of a value tells: of an attribute, a parameter, a cookie, a column, a JSON member.

/// What a name says of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Named {
    /// The class of credential.
    pub(super) class: &'static str,
    pub(super) proof: Proof,
}

impl Named {
    /// Whether digits alone may be the credential.
    pub(super) const fn may_be_number(self) -> bool {
        match self.proof {
            Proof::Any | Proof::Token | Proof::Scheme => true,
            Proof::Random | Proof::Cookie => false,
        }
    }
}

/// What the value must be, besides being so named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// Anything but a placeholder.
    Any,
    /// Eight characters or more without a space.
    Token,
    /// Random: the name alone could mean something else.
    Random,
    /// A scheme and credentials (RFC 9110 section 11.4), or credentials alone.
    Scheme,
    /// Pairs of a `Cookie` or `Set-Cookie` header (RFC 6265).
    Cookie,
}

/// Endings of names, without `-`, `_` and case, by their last letter; the longest first.
const fn endings(last: u8) -> &'static [(&'static str, &'static str, Proof)] {
    use Proof::{Any, Cookie, Random, Scheme, Token};
    match last {
        b'd' => &[
            ("jsessionid", "session_cookie", Token),
            ("phpsessid", "session_cookie", Token),
            ("sessionid", "session_id", Random),
            ("sessid", "session_id", Random),
            ("sid", "session_cookie", Random),
            ("credential", "credential", Random),
            ("password", "password", Any),
            ("passwd", "password", Any),
            ("pwd", "password", Any),
        ],
        b'e' => &[
            ("passphrase", "password", Any),
            ("setcookie", "cookie", Cookie),
            ("cookie", "cookie", Cookie),
            ("samlresponse", "saml", Random),
            ("signature", "signature", Random),
        ],
        b'g' => &[("sig", "signature", Random)],
        b'n' => &[
            ("accesstoken", "access_token", Token),
            ("refreshtoken", "refresh_token", Token),
            ("idtoken", "id_token", Token),
            ("authtoken", "token", Token),
            ("bearertoken", "token", Token),
            ("apitoken", "api_key", Token),
            ("sessiontoken", "session_token", Token),
            ("securitytoken", "token", Token),
            ("vaulttoken", "token", Token),
            ("logintoken", "login_token", Random),
            ("token", "token", Random),
            ("clientassertion", "client_assertion", Token),
            ("authorization", "authorization", Scheme),
            ("session", "session_id", Random),
        ],
        b's' => &[("credentials", "credential", Random)],
        b't' => &[
            ("clientsecret", "client_secret", Any),
            ("secret", "secret", Any),
            ("jwt", "jwt", Random),
            ("ticket", "ticket", Random),
        ],
        b'y' => &[
            ("secretaccesskey", "secret", Any),
            ("secretkey", "secret", Any),
            ("privatekey", "private_key", Any),
            ("apikey", "api_key", Token),
            ("subscriptionkey", "api_key", Token),
            ("sharedaccesskey", "access_key", Token),
            ("accountkey", "access_key", Token),
            ("accesskey", "api_key", Random),
        ],
        _ => &[],
    }
}

/// Names that end like one above and are none: made public on purpose, or useless to another.
const HARMLESS: [&str; 11] = [
    "csrf",
    "xsrf",
    "antiforgery",
    "requestverification",
    "pagetoken",
    "nexttoken",
    "continuationtoken",
    "synctoken",
    "skiptoken",
    "idempotencytoken",
    "requesttoken",
];

/// Longest name looked at, without separators.
const MAX_NAME: usize = 48;

/// The last part of `name`, in small letters and without `-` and `_`, in `to`.
fn normal<'b>(name: &str, to: &'b mut [u8; MAX_NAME]) -> &'b str {
    let mut len = 0;
    let last = name.rsplit(['.', '/', ':']).next().unwrap_or("");
    let tail = last.as_bytes().iter().rev().filter(|byte| !matches!(byte, b'-' | b'_'));
    for (slot, byte) in to.iter_mut().rev().zip(tail) {
        *slot = byte.to_ascii_lowercase();
        len += 1;
    }
    to.get(MAX_NAME - len..).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or("")
}

/// What the name of a parameter, cookie, column or member tells.
pub(super) fn of_pair(name: &str) -> Option<Named> {
    let endings = endings(name.bytes().last()?.to_ascii_lowercase());
    if endings.is_empty() {
        return None;
    }
    let mut buffer = [0; MAX_NAME];
    let name = normal(name, &mut buffer);
    let (_, class, proof) = endings.iter().find(|(ending, ..)| {
        name.ends_with(ending) && (!matches!(*ending, "sig" | "sid") || name == *ending)
    })?;
    if HARMLESS.iter().any(|word| name.contains(word)) {
        return None;
    }
    Some(Named { class, proof: *proof })
}

/// What an attribute key tells. Session ids have an attribute of their own by convention, and so have the digests and
/// signatures of public things: under a key of theirs they are no finding.
pub(super) fn of_key(key: &str) -> Option<Named> {
    of_pair(key).filter(|named| !matches!(named.class, "session_id" | "signature" | "ticket"))
}

/// What a path segment or word tells of what comes after it.
pub(super) fn of_place(segment: &str) -> Option<&'static str> {
    const WORDS: [(&str, &str); 10] = [
        ("logintoken", "login_token"),
        ("accesstoken", "access_token"),
        ("token", "token"),
        ("secret", "secret"),
        ("password", "password_reset"),
        ("passwd", "password_reset"),
        ("apikey", "api_key"),
        ("session", "session_id"),
        ("magiclink", "login_token"),
        ("jwt", "token"),
    ];
    let mut buffer = [0; MAX_NAME];
    let segment = normal(segment, &mut buffer);
    if HARMLESS.iter().any(|word| segment.contains(word)) {
        return None;
    }
    WORDS.iter().find(|(word, _)| segment.contains(word)).map(|(_, class)| *class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_what_they_name() {
        for (key, class) in [
            ("http.request.header.authorization", Some("authorization")),
            ("http.request.header.x-api-key", Some("api_key")),
            ("http.request.header.cookie", Some("cookie")),
            ("http.response.header.set-cookie", Some("cookie")),
            ("process.environment_variable.DB_PASSWORD", Some("password")),
            ("client_secret", Some("client_secret")),
            ("accessToken", Some("access_token")),
            ("auth.token", Some("token")),
            ("session.id", None),
            ("session_id", None),
            ("spring.security.authorization.decision", None),
            ("aws.secretsmanager.secret.arn", None),
            ("k8s.secret.name", None),
            ("gen_ai.usage.input_tokens", None),
            ("gen_ai.token.type", None),
            ("hopseal.token_fingerprint", None),
            ("http.request.header.x-csrf-token", None),
            ("aws.dynamodb.next_token", None),
            ("public_key", None),
            ("http.method", None),
            ("enduser.id", None),
        ] {
            assert_eq!(of_key(key).map(|named| named.class), class, "{key}");
        }
    }
}
