//! Patterns for routes: which requests a declaration covers.

use super::pattern::Glob;

/// Methods that only read (RFC 9110 section 9.2.1).
pub(crate) const READS: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

/// Methods of HTTP: IANA's list, and what OpenTelemetry writes of any other.
const METHODS: [&str; 41] = [
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "OPTIONS",
    "ORDERPATCH",
    "PATCH",
    "POST",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "PUT",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "TRACE",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
    "_OTHER",
];

/// A route, written `[METHOD[,METHOD]] /path`.
///
/// A path segment may hold `*` or `{name}`, each for any run of characters within the segment; `**` as the last
/// segment stands for any number of segments. Without a method only reads are covered; `*` as the method covers
/// writes too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoutePattern {
    methods: Methods,
    segments: Vec<Glob>,
    open: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Methods {
    Reads,
    All,
    These(Vec<Box<str>>),
}

impl RoutePattern {
    /// `Err` says what is wrong and what to write.
    pub(crate) fn new(pattern: &str) -> Result<Self, &'static str> {
        let (methods, path) = match pattern.trim().split_once(char::is_whitespace) {
            None => (Methods::Reads, pattern.trim()),
            Some(("*", path)) => (Methods::All, path.trim()),
            Some((methods, path)) => {
                let upper = methods.bytes().all(|byte| byte.is_ascii_uppercase() || b",-_".contains(&byte));
                if !upper {
                    return Err("methods are upper case: write `GET,POST /path`");
                }
                if !methods.split(',').all(|method| METHODS.contains(&method)) {
                    return Err(
                        "there is no such method; write `GET,POST /path`, or `* /path` for every method",
                    );
                }
                (Methods::These(methods.split(',').map(Box::from).collect()), path.trim())
            }
        };
        let Some(path) = path.strip_prefix('/') else { return Err("a path begins with `/`") };
        let (path, open) = match path.strip_suffix("**") {
            Some(rest) if rest.is_empty() || rest.ends_with('/') => (rest, true),
            Some(_) => return Err("`**` is a segment of its own: write `/public/**`"),
            None => (path, false),
        };
        if path.contains("**") {
            return Err("`**` can only be the last segment");
        }
        let globs: Option<Vec<String>> = segments(path).map(segment).collect();
        let globs = globs.ok_or("a `{` without `}`")?;
        let literal = globs.join("/");
        if literal.contains(['?', '#']) {
            return Err("a route is a path alone: leave out the query");
        }
        if path.starts_with('/') || is_ambiguous(&literal) {
            return Err(
                "such a path could mean another, so nothing is covered by it: write it without `..`, `//`, \
                        `;` and escaped slashes",
            );
        }
        let segments = globs.iter().map(|glob| Glob::new(glob)).collect();
        Ok(Self { methods, segments, open })
    }

    /// Whether it covers a request. A method that is not known counts as a read; a path that could mean another
    /// once it is normalised (`..`, escaped slashes, empty segments) is covered by nothing.
    pub(crate) fn matches(&self, method: Option<&str>, path: &str) -> bool {
        let is_method = match &self.methods {
            Methods::All => true,
            Methods::Reads => method.is_none_or(|method| READS.contains(&method)),
            Methods::These(these) => method.is_some_and(|method| these.iter().any(|this| **this == *method)),
        };
        if !is_method || is_ambiguous(path) {
            return false;
        }
        let mut asked = segments(path.strip_prefix('/').unwrap_or(path));
        self.segments.iter().all(|segment| asked.next().is_some_and(|asked| segment.matches(asked)))
            && (self.open || asked.next().is_none())
    }
}

/// Segments of a path without its leading slash; a trailing slash makes no segment.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_suffix('/').unwrap_or(path).split('/').filter(move |_| !path.is_empty())
}

/// `{name}` within a segment stands for anything.
fn segment(text: &str) -> Option<String> {
    let (mut pattern, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('{') {
        pattern.push_str(before);
        pattern.push('*');
        rest = after.split_once('}')?.1;
    }
    pattern.push_str(rest);
    Some(pattern)
}

/// Whether two servers could read this path as two different ones.
pub(crate) fn is_ambiguous(path: &str) -> bool {
    let escaped = |code: &str| {
        let mut rest = path;
        std::iter::from_fn(move || {
            let (_, after) = rest.split_once('%')?;
            rest = after;
            after.get(..2)
        })
        .any(|found| found.eq_ignore_ascii_case(code))
    };
    path.contains(['\\', ';'])
        || path.contains("//")
        || path.split('/').any(|segment| matches!(segment, "." | ".."))
        || ["2e", "2f", "5c", "25", "00", "3b"].iter().any(|code| escaped(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (pattern, method, path, expected) in [
            ("/", Some("GET"), "/", true),
            ("/", Some("GET"), "/a", false),
            ("/a", Some("GET"), "/a/", true),
            ("/a", None, "/a", true),
            ("/a", Some("POST"), "/a", false),
            ("* /a", Some("POST"), "/a", true),
            ("POST /a", Some("POST"), "/a", true),
            ("POST,PUT /a", Some("PUT"), "/a", true),
            ("POST /a", None, "/a", false),
            ("/o/{id}", Some("GET"), "/o/17", true),
            ("/o/{id}", Some("GET"), "/o/{orderId}", true),
            ("/o/{id}", Some("GET"), "/o/17/items", false),
            ("/o/*.json", Some("GET"), "/o/17.json", true),
            ("/o/{id}.json", Some("GET"), "/o/17.xml", false),
            ("/p/**", Some("GET"), "/p", true),
            ("/p/**", Some("GET"), "/p/a/b", true),
            ("/p/**", Some("GET"), "/px", false),
            ("/**", Some("GET"), "/anything/at/all", true),
            ("/p/**", Some("GET"), "/p/../admin", false),
            ("/p/**", Some("GET"), "/p/%2e%2E/admin", false),
            ("/p/**", Some("GET"), "/p/..%2fadmin", false),
            ("/p/**", Some("GET"), "/p//admin", false),
            ("/p/**", Some("GET"), "/p/..;/admin", false),
            ("/p/**", Some("GET"), "/p/a%20b", true),
        ] {
            let compiled = RoutePattern::new(pattern).expect(pattern);
            assert_eq!(compiled.matches(method, path), expected, "{pattern}: {method:?} {path}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (pattern, wrong) in [
            ("public", "a path begins with `/`"),
            ("get /a", "methods are upper case: write `GET,POST /path`"),
            ("/a**", "`**` is a segment of its own: write `/public/**`"),
            ("/a/**/b", "`**` can only be the last segment"),
            ("/a/{id", "a `{` without `}`"),
            ("GTE /a", "there is no such method; write `GET,POST /path`, or `* /path` for every method"),
            ("GET,GOT /a", "there is no such method; write `GET,POST /path`, or `* /path` for every method"),
            ("/a?x=1", "a route is a path alone: leave out the query"),
        ] {
            assert_eq!(RoutePattern::new(pattern), Err(wrong), "{pattern}");
        }
    }

    #[test]
    fn what_can_never_match_is_refused() {
        for path in ["/a/../b", "//a", "/a//b", "/a;b", "/a%2fb", "/./a"] {
            assert!(RoutePattern::new(path).is_err(), "{path}");
        }
        for path in ["/{controller}/{id?}", "/a/{id:[0-9]+;x}", "VERSION-CONTROL /a", "_OTHER /a", "/a%20b"] {
            assert!(RoutePattern::new(path).is_ok(), "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_path_without_patterns_matches_itself_and_no_longer_one(path in "(/[a-z0-9]{1,5}){1,5}") {
            let pattern = RoutePattern::new(&path).expect("a path");
            let longer = format!("{path}/x");
            proptest::prop_assert!(pattern.matches(Some("GET"), &path));
            proptest::prop_assert!(!pattern.matches(Some("GET"), &longer));
            proptest::prop_assert!(!pattern.matches(Some("DELETE"), &path));
        }
    }
}
