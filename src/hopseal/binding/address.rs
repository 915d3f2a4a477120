//! The address of a request as it is compared (RFC 9449 section 4.3, 9; RFC 3986 sections 6.2.2 and 6.2.3).

/// Longest address.
const MAX_BYTES: usize = 8 * 1024;

/// An address without query and fragment, normal: scheme and host in lower case, no default port, no dot segments, `/` for no
/// path, percent-escapes in capitals and none for what needs none. `None` for anything but `http` and `https` with a host.
pub(super) fn normal(address: &str) -> Option<String> {
    if address.len() > MAX_BYTES || !address.bytes().all(|letter| letter.is_ascii_graphic()) {
        return None;
    }
    let (scheme, rest) = address.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "http" => "80",
        "https" => "443",
        _ => return None,
    };
    let rest = rest.split(['?', '#']).next()?;
    let (authority, path) =
        rest.find('/').map_or((rest, ""), |at| rest.split_at_checked(at).unwrap_or((rest, "")));
    let authority = authority.to_ascii_lowercase();
    // An IPv6 address holds colons of its own.
    let (host, port) =
        match authority.rfind(':').filter(|at| authority.rfind(']').is_none_or(|end| end < *at)) {
            Some(at) => (authority.get(..at)?, authority.get(at + 1..)?),
            None => (authority.as_str(), ""),
        };
    if host.is_empty() || host.contains(['@', '\\']) || !port.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let port = if port.is_empty() || port == default_port { String::new() } else { format!(":{port}") };
    Some(format!("{scheme}://{host}{port}{}", without_dots(&unescaped(path)?)))
}

/// Percent-escapes in capitals, and letters, digits and `-._~` unescaped.
fn unescaped(path: &str) -> Option<String> {
    let mut parts = path.split('%');
    let mut normal = parts.next()?.to_owned();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let byte = digits
            .bytes()
            .all(|digit| digit.is_ascii_hexdigit())
            .then(|| u8::from_str_radix(digits, 16))?
            .ok()?;
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            normal.push(char::from(byte));
        } else {
            normal.push('%');
            normal.push_str(&digits.to_ascii_uppercase());
        }
        normal.push_str(rest);
    }
    Some(normal)
}

/// RFC 3986 section 5.2.4, for a path that begins with `/` or is empty.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let segments = path.strip_prefix('/').unwrap_or(path).split('/');
    let mut folder = false;
    for segment in segments {
        folder = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    let end = if folder && !kept.is_empty() { "/" } else { "" };
    format!("/{}{end}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_the_same_and_that_are_none() {
        for (address, expected) in [
            ("https://a.example/b?c=d#e", Some("https://a.example/b")),
            ("HTTPS://A.Example:443", Some("https://a.example/")),
            ("http://a.example:80/", Some("http://a.example/")),
            ("http://a.example:443/", Some("http://a.example:443/")),
            ("https://a.example:8443/B", Some("https://a.example:8443/B")),
            ("https://a.example:/b", Some("https://a.example/b")),
            ("https://[::1]:443/b", Some("https://[::1]/b")),
            ("https://[::1]/b", Some("https://[::1]/b")),
            ("https://a.example/%7eb%2fc%3a", Some("https://a.example/~b%2Fc%3A")),
            ("https://a.example/a/./b/../c", Some("https://a.example/a/c")),
            ("https://a.example/a/b/..", Some("https://a.example/a/")),
            ("https://a.example/../..", Some("https://a.example/")),
            ("https://a.example/%2e%2e/b", Some("https://a.example/b")),
            ("https://a.example//b/", Some("https://a.example//b/")),
            ("https://a.example?b", Some("https://a.example/")),
            ("https://user@a.example/", None),
            ("https://a.example\\@evil/", None),
            ("https:///b", None),
            ("https://a.example:8x/", None),
            ("https://a.example/%", None),
            ("https://a.example/%4", None),
            ("https://a.example/%+1", None),
            ("https://a.example/\u{e9}", None),
            ("https://a.example/ b", None),
            ("ftp://a.example/", None),
            ("a.example/b", None),
            ("", None),
        ] {
            assert_eq!(normal(address).as_deref(), expected, "{address}");
        }
        for address in ["https://a.example/a/b/../%7e", "http://A:80/x//y"] {
            let once = normal(address).expect("an address");
            assert_eq!(normal(&once), Some(once), "normal is normal");
        }
    }
}
