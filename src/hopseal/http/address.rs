//! Where requests may go.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

/// How far a request may reach, by who named the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Named by the registry, whose author answers for it: `https` to any machine but this one and those of link-local
    /// addresses, where clouds keep the credentials of their machines.
    Named,
    /// Named by the registry, with `loopback_http`: this machine too, and by plain `http`.
    Loopback,
    /// Named by a document that came over the network, on another host than the document's: `https` to public addresses.
    Public,
}

impl Reach {
    /// Whether a machine of this address may be asked.
    #[must_use]
    pub fn allows(self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.allows_v4(address),
            IpAddr::V6(address) => match embedded(address) {
                Some(inner) => self.allows_v4(inner),
                None => self.allows_v6(address),
            },
        }
    }

    fn allows_v4(self, address: Ipv4Addr) -> bool {
        let [a, b, c, _] = address.octets();
        if address.is_loopback() {
            return self == Self::Loopback;
        }
        // 0.0.0.0/8 is this machine too on some systems; from 224.0.0.0 on, nobody in particular is asked.
        if a == 0 || a >= 224 || address.is_link_local() {
            return false;
        }
        let internal = address.is_private()
            || (a == 100 && (64..128).contains(&b)) // RFC 6598, behind carriers; a cloud's metadata at 100.100.100.200
            || (a == 192 && b == 0 && (c == 0 || c == 2)) // RFC 6890, RFC 5737
            || (a == 198 && (b == 18 || b == 19)) // RFC 2544
            || (a == 198 && b == 51 && c == 100) // RFC 5737
            || (a == 203 && b == 0 && c == 113);
        !internal || self != Self::Public
    }

    fn allows_v6(self, address: Ipv6Addr) -> bool {
        if address.is_loopback() {
            return self == Self::Loopback;
        }
        // fd00:ec2::254 is a cloud's metadata among unique local addresses.
        let metadata = address == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
        if address.is_unspecified() || address.is_multicast() || address.is_unicast_link_local() || metadata {
            return false;
        }
        let [first, second, ..] = address.segments();
        // RFC 4291: what is public is in 2000::/3; of that, 2001:db8::/32 is for documents (RFC 3849).
        let public = first & 0xe000 == 0x2000 && !(first == 0x2001 && second == 0xdb8);
        public || self != Self::Public
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped or compatible (RFC 4291), NAT64 (RFC 6052, RFC 8215), 6to4
/// (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0xffff) | (0x64, 0xff9b, 0, 0, 0, 0) => of(g, h),
        (0, 0, 0, 0, 0, 0) if g != 0 => of(g, h),
        (0x64, 0xff9b, 1, ..) => of(g, h),
        (0x2002, ..) => of(b, c),
        _ => None,
    }
}

/// An address that a request may go to, as far as its text tells.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    url: Url,
    reach: Reach,
}

/// Without the query, which may hold what is not for logs.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.url.origin().ascii_serialization(), self.url.path())
    }
}

/// Why a request may not go there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressFault {
    /// No absolute address of a host, or one with a name and password in it, or with a fragment.
    #[error("no usable address")]
    Shape,
    /// Plain `http`, and not to this machine by its address and with leave.
    #[error("plain `http`")]
    Insecure,
    /// A machine that may not be asked. A document that came over the network may only name public ones, or its own host;
    /// others have to stand in the registry.
    #[error("a machine that may not be asked")]
    Machine,
    /// A Workload API, which is asked with the feature `workload-api` alone.
    #[error("a Workload API, which takes the feature `workload-api`")]
    WorkloadApi,
}

impl Address {
    /// Takes an address, and holds its text to `reach`.
    ///
    /// # Errors
    /// [`AddressFault`].
    pub fn parse(text: &str, reach: Reach) -> Result<Self, AddressFault> {
        let url = Url::parse(text).map_err(|_| AddressFault::Shape)?;
        let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        let host = url.host_str().filter(|host| !host.is_empty() && plain).ok_or(AddressFault::Shape)?;
        let literal = literal(host);
        match url.scheme() {
            "https" => {}
            // By address: a name could be made to mean another machine.
            "http" if reach == Reach::Loopback && literal.is_some_and(|ip| ip.is_loopback()) => {}
            "http" => return Err(AddressFault::Insecure),
            _ => return Err(AddressFault::Shape),
        }
        // A client that is given an address looks up no name, so it is checked here.
        if literal.is_some_and(|ip| !reach.allows(ip)) {
            return Err(AddressFault::Machine);
        }
        Ok(Self { url, reach })
    }

    /// Takes an address that a document from `self` names: on the same host it may reach as far, and no further elsewhere
    /// than to public machines.
    ///
    /// # Errors
    /// Like [`Address::parse`].
    pub fn named_by(&self, text: &str) -> Result<Self, AddressFault> {
        let near = Url::parse(text).is_ok_and(|url| url.host_str() == self.url.host_str());
        Self::parse(text, if near { self.reach } else { Reach::Public })
    }

    /// How far it may reach.
    #[must_use]
    pub const fn reach(&self) -> Reach {
        self.reach
    }

    /// The address as it is asked.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    pub(super) fn url(&self) -> Url {
        self.url.clone()
    }
}

/// A host that is an IP address.
fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_that_may_be_asked() {
        use Reach::{Loopback, Named, Public};
        for (address, named, loopback, public) in [
            ("93.184.216.34", true, true, true),
            ("2606:2800:220:1::1", true, true, true),
            // This machine.
            ("127.0.0.1", false, true, false),
            ("127.9.9.9", false, true, false),
            ("::1", false, true, false),
            ("::ffff:127.0.0.1", false, true, false),
            ("64:ff9b::7f00:1", false, true, false),
            ("2002:7f00:1::", false, true, false),
            ("::7f00:1", false, true, false),
            ("0.0.0.0", false, false, false),
            ("0.1.2.3", false, false, false),
            ("::", false, false, false),
            // Internal networks: for whoever writes the registry.
            ("10.1.2.3", true, true, false),
            ("172.31.0.1", true, true, false),
            ("192.168.0.1", true, true, false),
            ("100.100.100.200", true, true, false),
            ("::ffff:10.0.0.1", true, true, false),
            ("64:ff9b:1::a00:1", true, true, false),
            ("fd12::1", true, true, false),
            ("198.18.0.1", true, true, false),
            ("192.0.2.1", true, true, false),
            ("2001:db8::1", true, true, false),
            // Where clouds keep credentials; nobody in particular.
            ("169.254.169.254", false, false, false),
            ("::ffff:169.254.169.254", false, false, false),
            ("64:ff9b::a9fe:a9fe", false, false, false),
            ("fd00:ec2::254", false, false, false),
            ("fe80::1", false, false, false),
            ("224.0.0.1", false, false, false),
            ("255.255.255.255", false, false, false),
            ("ff02::1", false, false, false),
        ] {
            let ip: IpAddr = address.parse().expect("an address");
            let found = (Named.allows(ip), Loopback.allows(ip), Public.allows(ip));
            assert_eq!(found, (named, loopback, public), "{address}");
        }
    }

    #[test]
    fn addresses_by_their_text() {
        use AddressFault::{Insecure, Machine, Shape};
        for (text, reach, fault) in [
            ("https://id.example.com/jwks?x=1", Reach::Named, None),
            ("https://id.example.com/jwks", Reach::Public, None),
            ("http://127.0.0.1:8080/jwks", Reach::Loopback, None),
            ("http://[::1]:8080/jwks", Reach::Loopback, None),
            ("http://127.0.0.1:8080/jwks", Reach::Named, Some(Insecure)),
            ("http://localhost:8080/jwks", Reach::Loopback, Some(Insecure)),
            ("http://id.example.com/jwks", Reach::Loopback, Some(Insecure)),
            ("https://127.0.0.1/jwks", Reach::Named, Some(Machine)),
            // Other ways to write 127.0.0.1 and 169.254.169.254.
            ("https://0x7f.1/jwks", Reach::Named, Some(Machine)),
            ("https://2130706433/jwks", Reach::Named, Some(Machine)),
            ("https://2852039166/jwks", Reach::Named, Some(Machine)),
            ("https://[::ffff:a9fe:a9fe]/jwks", Reach::Named, Some(Machine)),
            ("https://10.0.0.1/jwks", Reach::Named, None),
            ("https://10.0.0.1/jwks", Reach::Public, Some(Machine)),
            ("https://a:b@id.example.com/jwks", Reach::Named, Some(Shape)),
            ("https://id.example.com/jwks#a", Reach::Named, Some(Shape)),
            ("ftp://id.example.com/jwks", Reach::Named, Some(Shape)),
            ("file:///etc/passwd", Reach::Named, Some(Shape)),
            ("/jwks", Reach::Named, Some(Shape)),
            ("", Reach::Named, Some(Shape)),
        ] {
            assert_eq!(Address::parse(text, reach).err(), fault, "{text}");
        }
    }

    #[test]
    fn a_document_names_its_own_host_or_public_ones() {
        let internal = Address::parse("https://10.0.0.1/a", Reach::Named).expect("an address");
        for (text, fault) in [
            ("https://10.0.0.1/jwks", None),
            ("https://10.0.0.1:8443/jwks", None),
            ("https://10.0.0.2/jwks", Some(AddressFault::Machine)),
            ("https://www.example.com/jwks", None),
            ("http://10.0.0.1/jwks", Some(AddressFault::Insecure)),
        ] {
            assert_eq!(internal.named_by(text).err(), fault, "{text}");
        }
        let local = Address::parse("http://127.0.0.1:1/a", Reach::Loopback).expect("an address");
        assert_eq!(local.named_by("http://127.0.0.1:2/jwks").err(), None);
        assert_eq!(local.named_by("http://127.0.0.2:2/jwks").err(), Some(AddressFault::Insecure));
    }
}
