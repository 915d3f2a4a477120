//! Credentials that show what they are by their form.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Ground, Hits};

/// A key whose issuer gave it a prefix.
struct Prefixed {
    prefix: &'static str,
    /// Characters after the prefix, at least.
    min: usize,
    class: &'static str,
}

const fn prefixed(prefix: &'static str, min: usize, class: &'static str) -> Prefixed {
    Prefixed { prefix, min, class }
}

/// From the issuers' documentation and secret-scanning partner lists; `_test_` keys are examples.
const PREFIXES: &[Prefixed] = &[
    prefixed("AKIA", 16, "aws_access_key"),
    prefixed("ASIA", 16, "aws_access_key"),
    prefixed("ghp_", 36, "github_token"),
    prefixed("gho_", 36, "github_token"),
    prefixed("ghu_", 36, "github_token"),
    prefixed("ghs_", 36, "github_token"),
    prefixed("ghr_", 36, "github_token"),
    prefixed("github_pat_", 40, "github_token"),
    prefixed("glpat-", 20, "gitlab_token"),
    prefixed("gldt-", 20, "gitlab_token"),
    prefixed("glrt-", 20, "gitlab_token"),
    prefixed("xoxb-", 20, "slack_token"),
    prefixed("xoxp-", 20, "slack_token"),
    prefixed("xoxa-", 20, "slack_token"),
    prefixed("xoxr-", 20, "slack_token"),
    prefixed("xoxs-", 20, "slack_token"),
    prefixed("xapp-", 20, "slack_token"),
    prefixed("sk_live_", 16, "stripe_key"),
    prefixed("rk_live_", 16, "stripe_key"),
    prefixed("sk_test_", 16, "stripe_key"),
    prefixed("rk_test_", 16, "stripe_key"),
    prefixed("whsec_", 24, "stripe_key"),
    prefixed("AIza", 35, "google_api_key"),
    prefixed("GOCSPX-", 24, "google_client_secret"),
    prefixed("npm_", 36, "npm_token"),
    prefixed("pypi-AgE", 40, "pypi_token"),
    prefixed("dckr_pat_", 20, "docker_token"),
    prefixed("dop_v1_", 60, "digitalocean_token"),
    prefixed("shpat_", 32, "shopify_token"),
    prefixed("hf_", 34, "huggingface_token"),
    prefixed("sk-ant-", 32, "anthropic_key"),
    prefixed("sk-proj-", 32, "openai_key"),
    prefixed("sk-svcacct-", 32, "openai_key"),
];

/// Parts of tokens that stand in documentation: the AWS manuals, jwt.io, RFC 7515 and RFC 7519.
const EXAMPLES: [&str; 4] = [
    "EXAMPLE",
    "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
    "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    "TJVA95OrM7E2cBab30RMHrHDcEfxjoYZgeFONFh7HgQ",
];

fn is_example(token: &str) -> bool {
    token.contains("_test_") || EXAMPLES.iter().any(|part| token.contains(part))
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Notes every credential in `word`, a run of letters, digits, `-`, `_` and `.` that begins at `start`; whether there
/// was one.
pub(super) fn of_word(hits: &mut Hits<'_>, word: &str, start: usize) -> bool {
    // Every shape has a letter beyond these; ids are the words that come most.
    if word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
        return false;
    }
    let before = hits.found.len();
    jwts(hits, word, start);
    paseto(hits, word, start);
    keys(hits, word, start);
    hits.found.len() > before
}

fn jwts(hits: &mut Hits<'_>, word: &str, start: usize) {
    let mut at = 0;
    while let Some(found) = find_ignoring_case(word, "eyj", at) {
        let token = word.get(found..).unwrap_or("");
        at = found + 3;
        if let Some((class, ground)) = jwt(token) {
            hits.push(class, start + found, start + word.len(), ground);
            return;
        }
    }
}

fn find_ignoring_case(text: &str, part: &str, from: usize) -> Option<usize> {
    let (rest, part) = (text.as_bytes().get(from..)?, part.as_bytes());
    let first = part.first()?;
    let begins = memchr::memchr2_iter(first.to_ascii_lowercase(), first.to_ascii_uppercase(), rest);
    let is_part =
        |at: &usize| rest.get(*at..*at + part.len()).is_some_and(|found| found.eq_ignore_ascii_case(part));
    begins.into_iter().find(is_part).map(|at| from + at)
}

/// A JWS or JWE in compact form (RFC 7515 section 3.1, RFC 7516 section 3.1), whole or cut short.
fn jwt(token: &str) -> Option<(&'static str, Ground)> {
    let mut parts = token.split('.');
    let (header, payload) = (parts.next()?, parts.next()?);
    let (signature, fourth, fifth) = (parts.next(), parts.next(), parts.next());
    if header.len() < 10 {
        return None;
    }
    if !is_header(header) {
        // Made lower case, as some span names are: the payload betrays itself in the same way.
        let cut = payload.len() >= 10 && payload.get(..3)?.eq_ignore_ascii_case("eyj");
        return cut.then_some(("jwt", Ground::Cut));
    }
    if fourth.is_some_and(|part| !part.is_empty()) && fifth.is_some() {
        return Some(("jwe", Ground::Form));
    }
    // A signature over content sent elsewhere authenticates nobody.
    if payload.len() < 4 {
        return None;
    }
    let ground = match signature {
        Some(signature) if signature.len() >= 16 && is_example(token) => Ground::Example,
        Some(signature) if signature.len() >= 16 => Ground::Form,
        _ => Ground::Cut,
    };
    Some(("jwt", ground))
}

/// Whether it decodes to a JSON object with an algorithm.
fn is_header(header: &str) -> bool {
    let Ok(json) = URL_SAFE_NO_PAD.decode(header) else { return false };
    json.starts_with(b"{") && memchr::memmem::find(&json, b"\"alg\"").is_some()
}

/// PASETO (<https://github.com/paseto-standard/paseto-spec>): `v4.local.payload`, perhaps with a footer.
fn paseto(hits: &mut Hits<'_>, word: &str, start: usize) {
    for purpose in [".local.", ".public."] {
        let mut from = 0;
        while let Some(at) = find_ignoring_case(word, purpose, from) {
            from = at + purpose.len();
            let Some(begin) = at.checked_sub(2) else { continue };
            let version = word.as_bytes().get(begin..at);
            let payload = word.get(from..).unwrap_or("").split('.').next().unwrap_or("");
            if matches!(version, Some([b'v' | b'V', b'1'..=b'4'])) && payload.len() >= 32 {
                hits.push("paseto", start + begin, start + word.len(), Ground::Form);
            }
        }
    }
}

/// Keys by prefix, at the start of the word or after a separator.
fn keys(hits: &mut Hits<'_>, word: &str, start: usize) {
    let mut boundary = true;
    for (at, byte) in word.bytes().enumerate() {
        let begins = std::mem::replace(&mut boundary, !byte.is_ascii_alphanumeric());
        if !begins || !matches!(byte, b'A' | b'G' | b'a'..=b'z') {
            continue;
        }
        let Some(rest) = word.get(at..) else { continue };
        let is_prefix = |known: &&Prefixed| {
            known.prefix.as_bytes().first() == Some(&byte) && rest.starts_with(known.prefix)
        };
        let Some(known) = PREFIXES.iter().find(is_prefix) else { continue };
        let len = rest.bytes().position(|byte| !is_base64url(byte)).unwrap_or(rest.len());
        let token = rest.get(..len).unwrap_or("");
        let random = token.get(known.prefix.len()..).unwrap_or("");
        if random.len() < known.min
            || !random.bytes().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
        {
            continue;
        }
        let ground = if is_example(token) { Ground::Example } else { Ground::Form };
        hits.push(known.class, start + at, start + at + len, ground);
    }
}

/// Private keys in PEM (RFC 7468 section 10), whole or cut short. Public keys and certificates are none.
pub(super) fn private_keys(hits: &mut Hits<'_>) {
    let mut from = 0;
    while let Some(begin) =
        hits.value.get(from..).and_then(|rest| rest.find("-----BEGIN ")).map(|at| from + at)
    {
        let rest = hits.value.get(begin..).unwrap_or("");
        let label = rest.get("-----BEGIN ".len()..).and_then(|rest| rest.split("-----").next()).unwrap_or("");
        from = begin + "-----BEGIN ".len();
        if label.len() > 40 || !label.ends_with("PRIVATE KEY") {
            continue;
        }
        let end = rest.find("-----END ").and_then(|at| {
            let close = rest.get(at + "-----END ".len()..)?.find("-----")?;
            Some(begin + at + "-----END ".len() + close + "-----".len())
        });
        let end = end.unwrap_or(hits.value.len());
        hits.push("private_key", begin, end, Ground::Form);
        from = end;
    }
}

/// When a JWT's validity ends (`exp`, RFC 7519 section 4.1.4), in seconds since the Unix epoch, if it can be read.
pub(super) fn expiry(token: &str) -> Option<u64> {
    let payload = token.split('.').nth(1)?;
    let json = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let at = memchr::memmem::find(&json, b"\"exp\"")?;
    let rest = std::str::from_utf8(json.get(at + 5..)?).ok()?.trim_start().strip_prefix(':')?.trim_start();
    let digits = rest.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..digits)?.parse().ok()
}
