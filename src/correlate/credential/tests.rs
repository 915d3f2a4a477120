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
        let hint = KeyHint::of(&key);
        let hits = find(hint, &value);
        let masked = mask(&value, &hits);
        prop_assert_eq!(hits.is_empty(), masked == value || hits.is_empty());
        prop_assert!(hits.is_sorted_by_key(|hit| hit.start));
        for hit in &hits {
            prop_assert!(value.get(hit.start..hit.end).is_some_and(|token| !token.is_empty()));
        }
    }

    #[test]
    fn text_full_of_marks_is_looked_through(value in "(token|password|eyJ|=|:|'|\"|/|@|://|Bearer |[a-zA-Z0-9]|\\.|-|\u{e9}){0,60}") {
        let hits = find(KeyHint::Plain, &value);
        prop_assert!(hits.array_windows().all(|[a, b]| a.end <= b.start));
        for hit in &hits {
            prop_assert!(value.get(hit.start..hit.end).is_some_and(|token| !token.is_empty()));
        }
    }
}
