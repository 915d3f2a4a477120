//! Credentials that show what they are by their form.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Ground, Hits, work};

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

/// The same, of prefixes and keys that hold dots: they are looked for where a word begins. Vault's documentation of tokens;
/// SendGrid's keys are two parts.
const DOTTED: &[Prefixed] = &[
    prefixed("hvs.", 24, "vault_token"),
    prefixed("hvb.", 24, "vault_token"),
    prefixed("SG.", 60, "sendgrid_key"),
];

/// Signatures of tokens that stand in documentation: jwt.io, RFC 7515 and RFC 7519.
const EXAMPLES: [&str; 3] = [
    "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
    "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    "TJVA95OrM7E2cBab30RMHrHDcEfxjoYZgeFONFh7HgQ",
];

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
    dotted(hits, word, start);
    hits.found.len() > before
}

fn dotted(hits: &mut Hits<'_>, word: &str, start: usize) {
    let is_strong = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
    let known = DOTTED.iter().find_map(|known| Some((known, word.strip_prefix(known.prefix)?)));
    if let Some((known, rest)) = known
        && rest.len() >= known.min
        && rest.bytes().any(is_strong)
    {
        hits.push(known.class, start, start + word.len(), Ground::Form);
    }
}

/// Notes the first JWT of `word`, which reaches to the word's end.
fn jwts(hits: &mut Hits<'_>, word: &str, start: usize) {
    work::count(word.len());
    let mut from = 0;
    // Dots part the word; each part is looked at once as a header, and four times at most as what comes after one.
    while let Some(found) = find_ignoring_case(word, "eyj", from) {
        let rest = word.get(found..).unwrap_or("");
        let Some((part, after)) = rest.split_once('.') else { return };
        if let Some((at, class, ground)) = jwt(part, after) {
            hits.push(class, start + found + at, start + word.len(), ground);
            return;
        }
        from = found + part.len();
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

/// A JWS or JWE in compact form (RFC 7515 section 3.1, RFC 7516 section 3.1), whole or cut short: its header is in
/// `part`, which begins with `eyj`, and the rest in `after`. Tells where it begins.
fn jwt(part: &str, after: &str) -> Option<(usize, &'static str, Ground)> {
    work::count(part.len());
    if part.len() < 10 {
        return None;
    }
    let mut parts = after.split('.').inspect(|part| work::count(part.len()));
    let payload = parts.next()?;
    let Some(at) = header(part) else {
        // Made lower case, as some span names are: the payload betrays itself in the same way.
        let cut = payload.len() >= 10 && payload.get(..3)?.eq_ignore_ascii_case("eyj");
        return cut.then_some((0, "jwt", Ground::Cut));
    };
    let (signature, fourth, fifth) = (parts.next(), parts.next(), parts.next());
    if fourth.is_some_and(|part| !part.is_empty()) && fifth.is_some() {
        return Some((at, "jwe", Ground::Form));
    }
    // A signature over content sent elsewhere authenticates nobody.
    if payload.len() < 4 {
        return None;
    }
    let ground = match signature {
        Some(signature) if EXAMPLES.contains(&signature) => Ground::Example,
        Some(signature) if signature.len() >= 16 => Ground::Form,
        _ => Ground::Cut,
    };
    Some((at, "jwt", ground))
}

/// Where in `part` a text begins that decodes from base64url to a JSON object with an algorithm.
///
/// Base64url makes four characters of three bytes, so `"alg"` has one of three looks, by its place among the three
/// bytes. To look for these takes one reading for all places where the object can begin; to decode takes one for each.
fn header(part: &str) -> Option<usize> {
    /// What is the same whatever stands around `"alg"`, and its place among the four characters.
    const ALG: [(&str, usize); 3] = [("ImFsZy", 0), ("JhbGci", 2), ("iYWxnI", 3)];
    // By where four characters begin: the last `"alg"`.
    let mut last = [None; 4];
    for (look, place) in ALG {
        work::count(part.len());
        for at in memchr::memmem::find_iter(part.as_bytes(), look) {
            if let Some(last) = last.get_mut((at + 4 - place) % 4) {
                *last = (*last).max(Some(at));
            }
        }
    }
    let is_header = |at: &usize| {
        let has_alg = last.get(at % 4).is_some_and(|alg| *alg > Some(*at));
        has_alg && part.len() - at >= 10 && (part.len() - at) % 4 != 1
    };
    memchr::memmem::find_iter(part.as_bytes(), "eyJ").find(is_header)
}

/// PASETO (<https://github.com/paseto-standard/paseto-spec>): `v4.local.payload`, perhaps with a footer.
fn paseto(hits: &mut Hits<'_>, word: &str, start: usize) {
    for purpose in [".local.", ".public."] {
        work::count(word.len());
        let mut from = 0;
        while let Some(at) = find_ignoring_case(word, purpose, from) {
            from = at + purpose.len();
            let Some(begin) = at.checked_sub(2) else { continue };
            let version = word.as_bytes().get(begin..at);
            let payload = word.get(from..).unwrap_or("").split('.').next().unwrap_or("");
            work::count(payload.len());
            if matches!(version, Some([b'v' | b'V', b'1'..=b'4'])) && payload.len() >= 32 {
                hits.push("paseto", start + begin, start + word.len(), Ground::Form);
                break;
            }
        }
    }
}

/// Keys by prefix, at the start of the word or after a separator.
fn keys(hits: &mut Hits<'_>, word: &str, start: usize) {
    work::count(word.len());
    let is_strong = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
    let mut from = 0;
    for run in word.split('.') {
        let (run_start, bytes) = (from, run.as_bytes());
        from += run.len() + 1;
        let last_strong = bytes.iter().rposition(|byte| is_strong(*byte));
        let mut boundary = true;
        for (at, byte) in bytes.iter().enumerate() {
            let begins = std::mem::replace(&mut boundary, !byte.is_ascii_alphanumeric());
            if !begins || !matches!(byte, b'A' | b'G' | b'a'..=b'z') {
                continue;
            }
            let Some(token) = run.get(at..) else { continue };
            let is_prefix = |known: &&Prefixed| {
                known.prefix.as_bytes().first() == Some(byte) && token.starts_with(known.prefix)
            };
            let Some(known) = PREFIXES.iter().find(is_prefix) else { continue };
            let random = at + known.prefix.len();
            if run.len() - random < known.min || last_strong.is_none_or(|last| last < random) {
                continue;
            }
            let is_example = known.prefix.contains("_test_")
                || (known.class == "aws_access_key" && token.len() == 20 && token.ends_with("EXAMPLE"));
            let ground = if is_example { Ground::Example } else { Ground::Form };
            hits.push(known.class, start + run_start + at, start + run_start + run.len(), ground);
            // What else begins in the run is masked with it.
            break;
        }
    }
}

/// Private keys in PEM (RFC 7468 section 10), whole or cut short. Public keys and certificates are none.
pub(super) fn private_keys(hits: &mut Hits<'_>) {
    // Each of the searches below begins where the one before ended.
    work::count(hits.value.len());
    let mut from = 0;
    while let Some(begin) =
        hits.value.get(from..).and_then(|rest| rest.find("-----BEGIN ")).map(|at| from + at)
    {
        let rest = hits.value.get(begin..).unwrap_or("");
        let label = rest.get("-----BEGIN ".len()..).and_then(|rest| rest.split("-----").next()).unwrap_or("");
        from = begin + "-----BEGIN ".len();
        work::count(label.len());
        if label.len() > 40 || !label.ends_with("PRIVATE KEY") {
            continue;
        }
        let end = rest.find("-----END ").and_then(|at| {
            let close = rest.get(at + "-----END ".len()..)?.find("-----")?;
            Some(begin + at + "-----END ".len() + close + "-----".len())
        });
        let end = end.unwrap_or(hits.value.len());
        work::count(end - begin);
        hits.push("private_key", begin, end, Ground::Form);
        from = end;
    }
}

/// Longest claims that are decoded, in bytes of base64url; nobody sends more to be read.
const MAX_CLAIMS: usize = 1 << 16;

/// When a JWT's validity ends (`exp`, RFC 7519 section 4.1.4), in seconds since the Unix epoch, if it can be read.
pub(super) fn expiry(token: &str) -> Option<u64> {
    let payload = token.split('.').nth(1).filter(|payload| payload.len() <= MAX_CLAIMS)?;
    let json = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let at = memchr::memmem::find(&json, b"\"exp\"")?;
    let rest = std::str::from_utf8(json.get(at + 5..)?).ok()?.trim_start().strip_prefix(':')?.trim_start();
    let digits = rest.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..digits)?.parse().ok()
}
