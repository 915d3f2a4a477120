//! What is found and what is not, as a table; what masking promises, as properties.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;

fn jwt(claims: &str) -> String {
    let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
    format!(
        "{}.{}.{}",
        part(r#"{"alg":"RS256","kid":"1"}"#),
        part(claims),
        part("a signature of sorts, long")
    )
}

/// Class and ground of every credential in the value of `key`.
fn seen(key: &str, value: &str) -> Vec<String> {
    let hint = KeyHint::of(key);
    find(hint, value).iter().map(|hit| format!("{} {:?}", hit.class, hit.ground)).collect()
}

#[test]
fn credentials() {
    let token = jwt(r#"{"sub":"alice"}"#);
    let cut: String = token.chars().take(70).collect();
    let uuid = "2aaa7d4d-faf0-4dea-bdbe-568df6c1f92d";
    let basic = format!("Basic {}", STANDARD.encode("alice:correct horse"));
    let aws = format!("AKIA{}", "IOSFODNN7XAMPLES");
    for (key, value, expected) in [
        ("log.message", format!("got {token}, fine"), "jwt Form"),
        ("url.full", format!("https://h/cb#id_token={token}&state=1"), "jwt Form"),
        ("http.request.header.authorization", format!("Bearer {token}"), "jwt Form"),
        ("http.request.header.authorization", "Bearer opaque-0123".to_owned(), "bearer Name"),
        ("http.request.header.authorization", basic.clone(), "basic Name"),
        ("http.request.header.x-api-key", "k-123456".to_owned(), "api_key Name"),
        ("log.message", format!("sent {basic} to h"), "basic Name"),
        ("log.message", "Authorization: Bearer 9f86d081884c7d659a2feaa0c55ad015".to_owned(), "bearer Name"),
        ("log.message", cut, "jwt Cut"),
        ("x", token.to_ascii_lowercase(), "jwt Cut"),
        ("x", format!("v4.local.{}", "aB3_".repeat(20)), "paseto Form"),
        ("x", format!("v2.public.{}.footer", "aB3_".repeat(20)), "paseto Form"),
        ("x", format!("using {aws} now"), "aws_access_key Form"),
        ("x", "AKIAIOSFODNN7EXAMPLE".to_owned(), "aws_access_key Example"),
        ("x", format!("ghp_{}", "a1B2".repeat(9)), "github_token Form"),
        ("x", format!("github_pat_{}", "a1B2".repeat(12)), "github_token Form"),
        ("x", format!("glpat-{}", "a1B2".repeat(5)), "gitlab_token Form"),
        ("x", format!("xoxb-{}", "12345-".repeat(5)), "slack_token Form"),
        ("x", format!("sk_live_{}", "a1B2".repeat(6)), "stripe_key Form"),
        ("x", format!("sk_test_{}", "a1B2".repeat(6)), "stripe_key Example"),
        ("url.full", format!("https://maps/x?key=AIza{}", "a1B2_".repeat(7)), "google_api_key Form"),
        ("x", format!("npm_{}", "a1B2".repeat(9)), "npm_token Form"),
        ("x", format!("pypi-AgEIcHlwaS5vcmc{}", "a1B2".repeat(12)), "pypi_token Form"),
        (
            "x",
            "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAtestkey\n-----END RSA PRIVATE KEY-----"
                .to_owned(),
            "private_key Form",
        ),
        ("db.connection_string", "postgres://app:hunter2@db:5432/x".to_owned(), "password Name"),
        ("url.full", "https://h/a?access_token=opaque01".to_owned(), "access_token Name"),
        ("url.full", format!("https://h/a?token={uuid}"), "token Place"),
        ("url.query", "grant=1&password=hunter2&x=y".to_owned(), "password Name"),
        ("url.full", "https://s/b?sv=1&sig=aB3dE6gH9%2Bk1M4oP7rS0".to_owned(), "signature Place"),
        ("http.request.body", r#"{"user":"al","password":"hunter2"}"#.to_owned(), "password Name"),
        ("http.request.body", r#"{\"client_secret\": \"hunter2\"}"#.to_owned(), "client_secret Name"),
        (
            "http.request.body",
            "code=aB3dE6gH9k1M4oP7rS0tU&client_secret=hunter2".to_owned(),
            "authorization_code Place, client_secret Name",
        ),
        ("db.query.text", "ALTER USER al IDENTIFIED BY 'hunter2'".to_owned(), "password Name"),
        ("db.query.text", "CREATE ROLE al LOGIN PASSWORD 'hunter2'".to_owned(), "password Name"),
        ("db.query.text", "UPDATE u SET password = 'hunter2' WHERE id = 1".to_owned(), "password Name"),
        ("db.query.text", format!("SELECT 1 FROM t WHERE token = '{uuid}'"), "token Place"),
        (
            "http.request.header.cookie",
            "theme=dark; JSESSIONID=0123ABCD0123".to_owned(),
            "session_cookie Name",
        ),
        ("http.response.header.set-cookie", format!("sid={uuid}; HttpOnly"), "session_cookie Place"),
        ("url.path", "/shop;jsessionid=0123ABCD0123ABCD".to_owned(), "session_cookie Name"),
        ("url.path", format!("/verifyLoginToken/{uuid}"), "login_token Place"),
        ("span name", "http:/verifylogintoken/2aaa7d4d-faf0-4dea-bdbe-568".to_owned(), "login_token Place"),
        ("url.path", format!("/reset-password/{uuid}"), "password_reset Place"),
        ("auth.token", uuid.to_owned(), "token Place"),
        ("x", format!("hvs.{}", "aB3d".repeat(8)), "vault_token Form"),
        ("x", format!("key SG.{}.{}", "aB3dE6".repeat(4), "k1M4".repeat(11)), "sendgrid_key Form"),
        (
            "x",
            "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=aB3dE6gH9k1M4oP7rS0tUaB3dE6gH9k1M4oP7rS0tU==;x=y".to_owned(),
            "access_key Name",
        ),
        ("app.password", "hunter2".to_owned(), "password Name"),
        ("http.request.header.baggage", format!("a=b,access_token={uuid},c=d"), "access_token Name"),
        ("hopseal.seal", token.clone(), "jwt Form"),
        ("two", format!("{token} and ghp_{}", "a1B2".repeat(9)), "jwt Form, github_token Form"),
    ] {
        assert_eq!(seen(key, &value).join(", "), expected, "{key}: {value}");
    }
}

#[test]
fn no_credentials() {
    // {"alg":"EdDSA","kid":"k1","tid":"0af7651916cd43dd","typ":"hopseal"}
    let header = "eyJhbGciOiJFZERTQSIsImtpZCI6ImsxIiwidGlkIjoiMGFmNzY1MTkxNmNkNDNkZCIsInR5cCI6ImhvcHNlYWwifQ";
    let seal = format!("{header}..{}", "A".repeat(86));
    let uuid = "2aaa7d4d-faf0-4dea-bdbe-568df6c1f92d";
    for (key, value) in [
        ("hopseal.seal", seal.as_str()),
        ("hopseal.token_fingerprint", "9f86d081884c7d659a2feaa0c55ad015"),
        ("session.id", uuid),
        ("url.path", "/orders/2aaa7d4d-faf0-4dea-bdbe-568df6c1f92d"),
        ("url.path", "/verifyLoginToken/{token}"),
        ("url.path", "/verifyLoginToken/:token"),
        ("url.path", "/static/token/app.3f2a9c81d4e5b6a7.js"),
        ("http.request.header.authorization", "****"),
        ("http.request.header.authorization", "Bearer REDACTED"),
        ("http.request.header.authorization", "Bearer"),
        ("http.request.header.authorization", "[Filtered]"),
        ("http.request.header.authorization", "Bearer eyJh...[812]"),
        ("http.request.header.x-csrf-token", uuid),
        ("http.request.header.cookie", "csrftoken=aB3dE6gH9k1M4oP7rS0tU; theme=dark"),
        ("http.request.header.traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("http.request.header.etag", "\"33a64df551425fcc55e4d42a148795d9f25f89d4\""),
        ("url.full", "https://h/a?page_token=aB3dE6gH9k1M4oP7rS0tU"),
        ("url.full", "https://h/a?id=2aaa7d4d-faf0-4dea-bdbe-568df6c1f92d"),
        ("url.full", "https://h/a?password=****&token=REDACTED"),
        ("db.connection_string", "postgres://app@db:5432/x"),
        ("db.connection_string", "postgres://app:****@db:5432/x"),
        ("db.query.text", "UPDATE u SET password = ? WHERE id = $1"),
        ("db.query.text", "SELECT * FROM u WHERE password = :password AND a.token = b.token"),
        ("db.query.text", "SELECT password FROM u WHERE name = 'al'"),
        ("log.message", "Bearer token missing; Bearer authentication required"),
        ("log.message", "password: must contain at least one digit"),
        ("WWW-Authenticate", "Bearer realm=\"orders\", error=\"invalid_token\""),
        (
            "x",
            "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA\n-----END PUBLIC KEY-----",
        ),
        (
            "x",
            "-----BEGIN CERTIFICATE-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA\n-----END CERTIFICATE-----",
        ),
        (
            "container.image.repo_digests",
            "example@sha256:afcc7f1ac1b49db317a7196c902e61c6c3c4607d63599ee1a82d702d249a0ccb",
        ),
        ("vcs.ref.head.revision", "9d59409acf479dfa0df1aa568182e43e43df8bbe"),
        ("k8s.pod.name", "checkoutservice-7d9f8c5b6d-x2x9z"),
        ("k8s.pod.uid", "275ecb36-5aa8-4c2a-9c47-d8bb681b9aff"),
        ("service.instance.id", "627cc493-f310-47de-96bd-71410b7dec09"),
        (
            "aws.secretsmanager.secret.arn",
            "arn:aws:secretsmanager:us-east-1:123456789012:secret:SecretName-6RandomCharacters",
        ),
        (
            "aws.log.stream.arns",
            "arn:aws:logs:us-west-1:123456789012:log-group:/aws/my/group:log-stream:logs/main/10838bed-421f-43ef-870a-f43feacbbb5b",
        ),
        ("gen_ai.response.id", "chatcmpl-123"),
        ("tls.client.hash.sha256", "0687F666A054EF17A08E2F2162EAB4CBC0D265E1D7875BE74BF3C712CA92DAF0"),
        ("tls.client.ja3", "d4e5b18d6b55c71272893221c96ba240"),
        ("messaging.message.id", "452a7c7c7c7048c2f887f61572b18fc2"),
        ("user_agent.original", "CERN-LineMode/2.15 libwww/2.17b3"),
        (
            "user_agent.original",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 14_7_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/14.1.2 Mobile/15E148 Safari/604.1",
        ),
        (
            "exception.stacktrace",
            "at com.example.TokenFactoryBean1.createTokenForUser2(TokenFactoryBean1.java:123)",
        ),
        ("enduser.scope", "read:message, write:files"),
        ("process.command_line", "java -jar app.jar --spring.profiles.active=production1"),
        ("code.function.name", "GuzzleHttp\\Client::transferTokenRequestWithRetry2"),
    ] {
        assert_eq!(seen(key, value), Vec::<String>::new(), "{key}: {value}");
    }
}

/// Marks that anyone can write beside a credential excuse nothing.
#[test]
fn a_mark_beside_a_credential_hides_nothing() {
    let token = jwt(r#"{"sub":"alice"}"#);
    let key = format!("ghp_{}", "a1B2".repeat(9));
    let (hex, uuid) = ("9f86d081884c7d659a2feaa0c55ad015", "2aaa7d4d-faf0-4dea-bdbe-568df6c1f92d");
    for (key, before, secret, after) in [
        ("x", "", token.as_str(), ""),
        ("x", "", key.as_str(), ""),
        ("x", "https://h/?password=", "hunter2horse", ""),
        ("x", "https://h/?token=", uuid, ""),
        ("x", "/verifyLoginToken/", uuid, ""),
        ("x", "amqp://u:", "hunter2horse", "@h/"),
        ("x", "sent Bearer ", hex, ""),
        ("x", "PASSWORD '", "hunter2horse", "'"),
        ("http.request.header.authorization", "Bearer ", hex, ""),
        ("http.request.header.x-api-key", "", hex, ""),
        ("app.password", "", "hunter2horse", ""),
        ("auth.token", "", uuid, ""),
    ] {
        for mark in
            ["...[", "...[7]", "***", "...", "[Filtered]", "-redacted", "...[7]x", "}", "%", "EXAMPLE"]
        {
            let value = format!("{before}{secret}{mark}{after}");
            let masked = mask(&value, &find(KeyHint::of(key), &value));
            assert!(!masked.contains(secret), "{key}: {value} is shown as {masked}");
        }
        let value = format!("{before}...[7]{secret}{after}");
        let masked = mask(&value, &find(KeyHint::of(key), &value));
        // A path segment or word that begins with the mark is none of those looked for.
        let is_word = before.ends_with("/") || before.ends_with("Bearer ") && key == "x";
        assert!(is_word || !masked.contains(secret), "{key}: {value} is shown as {masked}");
    }
}

#[test]
fn an_example_is_one_as_a_whole() {
    let token = jwt(r#"{"sub":"EXAMPLE"}"#);
    for (value, expected) in [
        (token.clone(), "jwt Form"),
        (format!("{token}-EXAMPLE"), "jwt Form"),
        (format!("{token}.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"), "jwt Form"),
        (
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c".to_owned(),
            "jwt Example",
        ),
        (format!("ghp_{}_test_", "a1B2".repeat(9)), "github_token Form"),
        ("AKIAIOSFODNN7EXAMPLEX".to_owned(), "aws_access_key Form"),
    ] {
        assert_eq!(seen("x", &value).join(", "), expected, "{value}");
    }
}

/// Bytes read for each byte of a value, at most, whatever the value. Most values take two.
const READS: usize = 100;

/// What makes a search go back over what it has read, if it does that at all.
const TRAPS: [&str; 30] = [
    "client_secret=",
    "token=",
    "token=x",
    "token=<",
    "token=[",
    "token=...[7]",
    "token=\"",
    "token='",
    "token=\"token='",
    "code=",
    "authorization: Bearer ",
    "authorization=",
    "Bearer a1B2",
    "Basic a1B2",
    "AIza-",
    "AIza-A1.",
    "npm_",
    "ghp_",
    "eyJ",
    "eyJhbGci",
    "eyJhbGci.",
    "eyJhbGciOiJSUzI1NiJ9..",
    ".local.",
    "v4.local.",
    "-----BEGIN ",
    "-----BEGIN PRIVATE KEY-----",
    "://",
    "://a:b@",
    "/token/a1B2c3D4e5F6g7H8",
    "abcdefgh",
];

fn is_linear(value: &str) {
    for key in ["x", "authorization", "password", "token", "cookie"] {
        let hint = KeyHint::of(key);
        let read = work::of(|| drop(find(hint, value)));
        let start: String = value.chars().take(60).collect();
        assert!(read <= READS * (value.len() + 100), "{key}: {start}: {read} of {}", value.len());
    }
}

#[test]
fn the_time_taken_is_linear() {
    for trap in TRAPS {
        for end in ["", "A1."] {
            is_linear(&format!("{}{end}", trap.repeat((1 << 14) / trap.len())));
        }
    }
}

/// The caps on what one look reads are no caps on credentials.
#[test]
fn a_long_credential_is_found_and_masked_whole() {
    let random = |len: usize| "a1B2c3D4-e5F6_g7H8i9J0".repeat(len).chars().take(len).collect::<String>();
    let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
    let certificates = format!(r#"{{"x5c":["{}"],"alg":"RS256"}}"#, random(6 << 10));
    for len in [6 << 10, 70 << 10] {
        let long_claims = jwt(&format!(r#"{{"sub":"{}"}}"#, "s".repeat(len)));
        let long_header = format!("{}.{}.{}", part(&certificates), part(r#"{"sub":"a"}"#), random(86));
        let basic = STANDARD.encode(format!("{}:{}", "u".repeat(len), "pw"));
        for (key, before, secret, after) in [
            ("x", "", long_claims, " and more"),
            ("x", "", long_header, ""),
            ("x", "eyJ-eyJ_", jwt(&format!(r#"{{"sub":"{}"}}"#, random(len))), ""),
            ("x", "", format!("glpat-{}", random(len)), ""),
            ("x", "v4.local.", random(len), ""),
            ("x", "Bearer ", random(len), ""),
            ("x", "Basic ", basic, ""),
            ("x", "/token/", random(len), "/x"),
            ("x", "https://h/?token=", random(len), "&x=y"),
            ("x", "https://h/?password=", random(len), "&x=y"),
            ("x", "{\"password\": \"", random(len), "\"}"),
            ("x", "amqp://u:", random(len), "@h/"),
            ("auth.token", "", random(len), ""),
            ("authorization", "Bearer ", random(len), ""),
        ] {
            let value = format!("{before}{secret}{after}");
            let masked = mask(&value, &find(KeyHint::of(key), &value));
            assert!(masked.len() < 100, "{key}: {before} {}", secret.len());
        }
    }
}

#[test]
fn more_hits_than_are_noted_leave_nothing() {
    let key = format!("ghp_{} ", "a1B2".repeat(9));
    let value = format!("a ?password=hunter2horse {} b", key.repeat(2 * MAX_HITS));
    let masked = mask(&value, &find(KeyHint::Plain, &value));
    assert!(!masked.contains("hunter2") && !masked.contains("a1B2"), "{masked}");
}

#[test]
fn a_leak_is_read_back_whatever_it_holds() {
    for (key, text) in [
        ("client_secret", format!("\0zz{}", "a".repeat(30))),
        ("client_secret", format!("\0\0\0\0{}", "a".repeat(30))),
        ("a\0b.client_secret", format!("zz\n\0{}", "a".repeat(30))),
    ] {
        let hits = find(KeyHint::of(key), &text);
        let masked = shown(&text, &hits[0]);
        let leak = Leak::new(&hits[0], &text, key, &masked, Origin::Span);
        let mut written = String::new();
        leak.write(|parts| written = parts.concat());
        assert_eq!(Leak::read(&written), Some(leak), "{text:?}");
        assert_eq!(leak.masked.chars().count(), "zzzz...[33]".len());
    }
}

#[test]
fn numbers_are_looked_at_where_the_key_says_so() {
    let leaky = format!("a.{}", jwt(r#"{"sub":"alice"}"#));
    for (key, value, concerns, found) in [
        ("db.password", "8675309", true, "password Name"),
        ("db.password", "true", true, ""),
        ("db.password", "0", true, ""),
        ("client_secret", "123456", true, "client_secret Name"),
        ("http.request.header.x-api-key", "1234567890", true, "api_key Name"),
        ("http.request.header.authorization", "1234567890", true, "authorization Name"),
        (leaky.as_str(), "1", true, ""),
        ("auth.token", "1234567890123456", false, ""),
        ("http.request.header.cookie", "1", false, ""),
        ("session.id", "1", false, ""),
        ("http.response.status_code", "200", false, ""),
        ("hopseal.seal", "1", false, ""),
    ] {
        assert_eq!(KeyHint::of(key).concerns_numbers(), concerns, "{key}");
        assert_eq!(seen(key, value).join(", "), found, "{key}");
    }
}

#[test]
fn shown_is_little() {
    for (key, value, expected) in [
        ("password", "hunter2", "...[7]".to_owned()),
        (
            "url.path",
            "/verifyLoginToken/2aaa7d4d-faf0-4dea-bdbe-568df6c1f92d/x",
            "/verifyLoginToken/2aaa...[36]/x".to_owned(),
        ),
        ("db", "postgres://app:hunter2@db/x", "postgres://app:...[7]@db/x".to_owned()),
    ] {
        let hits = find(KeyHint::of(key), value);
        assert_eq!(mask(value, &hits), expected);
    }
}

#[test]
fn an_expiry_is_read_where_there_is_one() {
    for (claims, expected) in [
        (r#"{"sub":"a","exp":1767225600}"#, Some(1_767_225_600)),
        (r#"{"exp" : 1767225600.5,"sub":"a"}"#, Some(1_767_225_600)),
        (r#"{"sub":"a"}"#, None),
        (r#"{"exp":"soon"}"#, None),
    ] {
        assert_eq!(shape::expiry(&jwt(claims)), expected, "{claims}");
    }
}

/// Credentials of every class, with the text that they stand in.
fn credential() -> impl Strategy<Value = (String, String, String)> {
    let of = |before: &'static str, random: &'static str, after: &'static str| {
        random.prop_map(move |secret: String| (before.to_owned(), secret, after.to_owned()))
    };
    prop_oneof![
        "[a-z]{1,20}".prop_map(|sub| (String::new(), jwt(&format!(r#"{{"sub":"{sub}"}}"#)), String::new())),
        of("", "v[1-4]\\.(local|public)\\.[A-Za-z0-9_-]{40,80}", ""),
        of("", "(AKIA|ASIA)[A-Z2-7]{15}[0-9]", ""),
        of("", "gh[pousr]_[A-Za-z0-9]{35}[0-9]", ""),
        of("", "glpat-[A-Za-z0-9]{19}[0-9]", ""),
        of("", "sk_live_[A-Za-z0-9]{23}[0-9]", ""),
        of("", "AIza[A-Za-z0-9_-]{34}[0-9]", ""),
        of("https://h/?access_token=", "[A-Za-z0-9]{20,40}", "&x=y"),
        of("https://h/?password=", "[A-Za-z0-9!]{12,40}", "&x=y"),
        of("amqp://u:", "[A-Za-z0-9!]{12,40}", "@h/"),
        of("/verifyLoginToken/", "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", "/x"),
        of("IDENTIFIED BY '", "[A-Za-z0-9 ]{12,30}", "'"),
        of("{\"password\": \"", "[A-Za-z0-9 ]{12,30}", "\"}"),
    ]
}

fn holds_much_of(text: &str, secret: &str) -> bool {
    secret.as_bytes().windows(12).any(|part| text.as_bytes().windows(12).any(|shown| shown == part))
}

proptest! {
    #[test]
    fn nothing_of_twelve_characters_remains((before, secret, after) in credential(), left in "[ -~]{0,20}", right in "[ -~]{0,20}") {
        // Made-up secrets can be words for having none, or be made of the text around them.
        prop_assume!(!random::is_placeholder(&secret));
        let value = format!("{left} {before}{secret}{after} {right}");
        let masked = mask(&value, &find(KeyHint::Plain, &value));
        prop_assert!(!holds_much_of(&masked, &secret), "{value}\n{masked}");
        let whole = mask(&secret, &find(KeyHint::of("password"), &secret));
        prop_assert!(!holds_much_of(&whole, &secret), "{whole}");
    }

    #[test]
    fn masking_twice_changes_nothing((before, secret, after) in credential(), left in "[ -~]{0,20}", right in "[ -~]{0,20}") {
        let value = format!("{left} {before}{secret}{after} {right}");
        for key in ["x", "authorization", "password", "cookie"] {
            let hint = KeyHint::of(key);
            let once = mask(&value, &find(hint, &value));
            prop_assert_eq!(mask(&once, &find(hint, &once)), once.clone(), "{}", value);
        }
    }

    #[test]
    fn any_text_is_looked_through(value in "\\PC{0,200}", key in "\\PC{0,60}") {
        is_sound(KeyHint::of(&key), &value);
    }

    #[test]
    fn text_full_of_marks_is_looked_through(
        value in "(token|password|eyJ|=|:|'|\"|/|@|://|Bearer |[a-zA-Z0-9]|\\.|-|\u{e9}|\\PC|\\.\\.\\.\\[7\\]|\0|\n){0,60}",
        key in key(),
    ) {
        is_sound(KeyHint::of(key), &value);
    }

    #[test]
    fn what_was_masked_holds_nothing_more(parts in proptest::collection::vec(part(), 0..12), key in key()) {
        is_sound(KeyHint::of(key), &parts.concat());
    }

    #[test]
    fn traps_take_linear_time(parts in proptest::collection::vec(part(), 1..4), times in 1_usize..60) {
        is_linear(&parts.concat().repeat(times));
    }

    #[test]
    fn every_header_is_seen(before in "[ -!#-\\[\\]-~]{0,40}", after in "[ -~]{0,40}", junk in "(eyJ|[a-z]){0,9}") {
        let json = format!(r#"{{"typ":"{before}","alg":"{after}"}}"#);
        let value = format!("{junk}{}.e30xyz.{}", URL_SAFE_NO_PAD.encode(&json), "a1".repeat(30));
        let hits = find(KeyHint::Plain, &value);
        prop_assert!(hits.first().is_some_and(|hit| hit.class == "jwt" && hit.end == value.len()), "{}", value);
    }
}

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "x",
        "password",
        "authorization",
        "cookie",
        "x-api-key",
        "auth.token",
        "hopseal.seal",
        "a.ghp_a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2",
    ])
}

/// Credentials, marks, and what parts them.
fn part() -> impl Strategy<Value = String> {
    let marks = vec![
        "...[7]",
        "eyJh...[36]",
        "...[",
        "***",
        "[Filtered]",
        "REDACTED",
        "<",
        ">",
        "[",
        "]",
        "{",
        "}",
        "(",
        "&",
        "=",
        ":",
        "/",
        "@",
        "'",
        "\"",
        "\\",
        " ",
        ",",
        ".",
        "-",
        "_",
        "%",
        "$",
        "#",
        "\n",
        "\0",
        "\u{e9}",
        "x",
        "password=",
        "token",
        "Bearer ",
        "Basic ",
        "://u:",
        "authorization: ",
        "-----END ",
        "eyJ",
        "IDENTIFIED BY '",
        "aB3dE6gH9k1M4oP7rS0tU",
        "hunter2horse",
    ];
    prop_oneof![
        3 => prop::sample::select(marks).prop_map(str::to_owned),
        1 => prop::sample::select(TRAPS.to_vec()).prop_map(str::to_owned),
        1 => credential().prop_map(|(before, secret, after)| format!("{before}{secret}{after}")),
        1 => credential().prop_map(|(_, secret, _)| secret),
    ]
}

/// Hits are in order, do not overlap, begin and end between characters, and masking leaves nothing to be found.
fn is_sound(hint: KeyHint, value: &str) {
    let hits = find(hint, value);
    assert!(hits.array_windows().all(|[a, b]| a.end <= b.start), "{value:?}: {hits:?}");
    for hit in &hits {
        assert!(value.get(hit.start..hit.end).is_some_and(|token| !token.is_empty()), "{value:?}: {hit:?}");
    }
    let masked = mask(value, &hits);
    assert_eq!(find(hint, &masked), [], "{value:?} is shown as {masked:?}");
}

#[test]
fn masking_is_done_in_one_go() {
    for (key, value) in [
        ("x", "password=-----BEGIN PRIVATE KEY----------BEGIN PRIVATE KEY-----".to_owned()),
        ("password", "-----BEGIN PRIVATE KEY----------BEGIN PRIVATE KEY-----".to_owned()),
        ("x", format!("Bearer aB3dE6gH9k1M4oP7rS0tU-{}ghp_{}9", "A".repeat(80), "a".repeat(36))),
        ("x", "password=hunter2horse...[7]hunter2horse".to_owned()),
        ("x", "password=...[7]hunter2horse]".to_owned()),
    ] {
        is_sound(KeyHint::of(key), &value);
    }
}
