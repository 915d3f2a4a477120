//! `x-forwarded-client-cert`, as Envoy writes it.
//!
//! ```text
//! By=spiffe://a/proxy;Hash=64 hex digits;Subject="CN=x, O=\"y\"";URI=spiffe://a/cart;DNS=cart , By=...
//! ```
//!
//! Elements are separated by commas, one for each proxy on the way, the nearest last; their fields by semicolons. A value that
//! holds `,`, `;` or `=` is quoted.

use super::MAX_BYTES;
use crate::Reason;
use crate::outcome::Refused;

/// Most proxies on the way.
const MAX_ELEMENTS: usize = 16;
/// Most fields of one element.
const MAX_FIELDS: usize = 64;

/// What one proxy says of the certificate of its client. Nothing of it is believed yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientCertificate {
    /// The names (URI) of the certificate of the proxy itself.
    pub by: Vec<String>,
    /// SHA-256 of the client's certificate: what [`Confirmation::x5t_s256`](crate::Confirmation::x5t_s256) is compared with.
    pub sha256: Option<[u8; 32]>,
    /// Its subject, as a distinguished name.
    pub subject: Option<String>,
    /// Its names of the type URI.
    pub uris: Vec<String>,
    /// Its names of the type DNS.
    pub dns: Vec<String>,
}

impl ClientCertificate {
    /// Reads a header; several of that name are joined by commas in their order. The nearest proxy is the last.
    ///
    /// # Errors
    /// [`Refused`]: over 8 KiB or 16 elements; a field twice that names one thing; anything else than fields and quoted values.
    pub fn parse(header: &str) -> Result<Vec<Self>, Refused> {
        if header.len() > MAX_BYTES {
            return Err(Refused::new(Reason::TooLarge, format!("{} bytes, over {MAX_BYTES}", header.len())));
        }
        let mut rest = header;
        let mut elements = Vec::new();
        loop {
            if elements.len() == MAX_ELEMENTS {
                return Err(Refused::new(Reason::TooLarge, format!("over {MAX_ELEMENTS} elements")));
            }
            let (element, after) = Self::element(rest)?;
            elements.push(element);
            match after {
                Some(after) => rest = after,
                None => return Ok(elements),
            }
        }
    }

    /// One element, and what comes after its comma if there is one.
    fn element(text: &str) -> Result<(Self, Option<&str>), Refused> {
        let mut element = Self::default();
        let mut rest = text.trim_start_matches([' ', '\t']);
        for _ in 0..MAX_FIELDS {
            let (name, after) = rest.split_once('=').ok_or_else(|| malformed("a field without a value"))?;
            let (value, after) = value(after)?;
            element.put(name, value)?;
            let after = after.trim_start_matches([' ', '\t']);
            match after.split_at_checked(1) {
                None => return Ok((element, None)),
                Some((",", after)) => return Ok((element, Some(after))),
                Some((";", after)) => rest = after,
                Some(_) => return Err(malformed("something after a value")),
            }
        }
        Err(Refused::new(Reason::TooLarge, format!("over {MAX_FIELDS} fields")))
    }

    fn put(&mut self, name: &str, value: String) -> Result<(), Refused> {
        let twice = || Refused::new(Reason::Duplicate, "a field is there twice");
        match name.to_ascii_lowercase().as_str() {
            "by" => self.by.push(value),
            "uri" => self.uris.push(value),
            "dns" => self.dns.push(value),
            "hash" => {
                let digest = sha256(&value).ok_or_else(|| malformed("`Hash` is no SHA-256"))?;
                if self.sha256.replace(digest).is_some() {
                    return Err(twice());
                }
            }
            "subject" => {
                if self.subject.replace(value).is_some() {
                    return Err(twice());
                }
            }
            "cert" | "chain" => {} // the certificate itself: not needed, as the proxy is believed or is not
            _ => return Err(malformed("a field that there is not")),
        }
        Ok(())
    }
}

/// A value, quoted or not, and what comes after.
fn value(text: &str) -> Result<(String, &str), Refused> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find([',', ';']).unwrap_or(text.len());
        let (value, after) = text.split_at_checked(end).unwrap_or((text, ""));
        let value = value.trim_end_matches([' ', '\t']);
        if value.contains(['"', '=']) || value.contains(char::is_control) {
            return Err(malformed("a value that must be quoted"));
        }
        return Ok((value.to_owned(), after));
    };
    let mut value = String::new();
    loop {
        let at = rest.find(['"', '\\']).ok_or_else(|| malformed("a quote that does not end"))?;
        let (plain, after) = rest.split_at_checked(at).unwrap_or((rest, ""));
        value.push_str(plain);
        let mut letters = after.chars();
        if letters.next() == Some('"') {
            return if value.contains(char::is_control) {
                Err(malformed("control characters"))
            } else {
                Ok((value, letters.as_str()))
            };
        }
        value.push(letters.next().ok_or_else(|| malformed("a quote that does not end"))?);
        rest = letters.as_str();
    }
}

fn sha256(hex: &str) -> Option<[u8; 32]> {
    let digits: Option<Vec<u32>> = hex.chars().map(|digit| digit.to_digit(16)).collect();
    let pairs: Vec<u8> = digits?
        .chunks_exact(2)
        .filter_map(|pair| match pair {
            [high, low] => u8::try_from(high << 4 | low).ok(),
            _ => None,
        })
        .collect();
    (hex.len() == 64).then_some(pairs)?.try_into().ok()
}

fn malformed(what: &str) -> Refused {
    Refused::new(Reason::Malformed, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_envoy() {
        let hash = "ab".repeat(32);
        let one = format!(
            r#"By=spiffe://a/p;Hash={hash};Subject="CN=x, O=\"y\";z\\";URI=spiffe://a/c;DNS=a;DNS=b"#
        );
        let read = ClientCertificate::parse(&one).expect("one");
        let expected = ClientCertificate {
            by: vec!["spiffe://a/p".into()],
            sha256: Some([0xab; 32]),
            subject: Some(r#"CN=x, O="y";z\"#.into()),
            uris: vec!["spiffe://a/c".into()],
            dns: vec!["a".into(), "b".into()],
        };
        assert_eq!(read, std::slice::from_ref(&expected));
        let two = format!("By=;URI=spiffe://a/d;Cert=\"-----BEGIN%20\", {one}");
        let read = ClientCertificate::parse(&two).expect("two");
        assert_eq!((read.len(), read.last()), (2, Some(&expected)));
        assert_eq!(read[0].by, [""]);
    }

    #[test]
    fn headers_that_two_parsers_read_differently() {
        let hash = "ab".repeat(32);
        for (header, reason) in [
            (String::new(), Reason::Malformed),
            ("URI".into(), Reason::Malformed),
            ("URI=a,".into(), Reason::Malformed),
            ("URI=a;".into(), Reason::Malformed),
            (",URI=a".into(), Reason::Malformed),
            ("URI=\"a".into(), Reason::Malformed),
            ("URI=\"a\\".into(), Reason::Malformed),
            ("URI=\"a\"b".into(), Reason::Malformed),
            ("URI=a\"b\"".into(), Reason::Malformed),
            ("URI=a=b".into(), Reason::Malformed),
            ("URI=a\nb".into(), Reason::Malformed),
            ("URI=\"a\nb\"".into(), Reason::Malformed),
            (" =a".into(), Reason::Malformed),
            ("Evil=a".into(), Reason::Malformed),
            ("Hash=ab".into(), Reason::Malformed),
            (format!("Hash={}zz", "ab".repeat(31)), Reason::Malformed),
            (format!("Hash={hash};hash={hash}"), Reason::Duplicate),
            ("Subject=a;SUBJECT=b".into(), Reason::Duplicate),
            (vec!["URI=a"; 17].join(","), Reason::TooLarge),
            (vec!["URI=a"; 65].join(";"), Reason::TooLarge),
            (format!("URI={}", "a".repeat(8192)), Reason::TooLarge),
        ] {
            let refused = ClientCertificate::parse(&header).expect_err(&header);
            assert_eq!(refused.reason(), reason, "{header:.40}");
        }
    }
}
