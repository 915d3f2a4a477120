//! Patterns for names: of services, clients, hosts, topics. Compiled once, matched without allocation.

use std::net::IpAddr;

use crate::record::Service;

/// A name in which `*` stands for any run of characters, an empty one included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob {
    first: Box<str>,
    /// What has to follow, each after a `*`; the last one ends the name.
    rest: Vec<Box<str>>,
}

impl Glob {
    pub(crate) fn new(pattern: &str) -> Self {
        let mut parts = pattern.split('*').map(Box::from);
        Self { first: parts.next().unwrap_or_default(), rest: parts.collect() }
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        let Some((last, middle)) = self.rest.split_last() else { return name == &*self.first };
        let Some(mut name) = name.strip_prefix(&*self.first) else { return false };
        for part in middle {
            let Some((_, after)) = name.split_once(&**part) else { return false };
            name = after;
        }
        name.ends_with(&**last)
    }
}

/// What stands in `name` between `before`, taken as short as can be, and `after`, taken as short as can be from the
/// end; `None` where nothing does.
pub(super) fn between<'n>(before: &Glob, after: &Glob, name: &'n str) -> Option<&'n str> {
    let ends = || name.char_indices().map(|(at, _)| at);
    let start = ends().find(|at| name.get(..*at).is_some_and(|head| before.matches(head)))?;
    let rest = name.get(start..)?;
    let tail = |at: &usize| rest.get(*at..).is_some_and(|tail| after.matches(tail));
    let end = std::iter::once(rest.len()).chain(rest.char_indices().rev().map(|(at, _)| at)).find(tail)?;
    rest.get(..end).filter(|found| !found.is_empty())
}

/// Any of several names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Names(Vec<Glob>);

impl Names {
    pub(crate) fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        Self(patterns.into_iter().map(Glob::new).collect())
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|glob| glob.matches(name))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A service, written `[namespace/]name[@environment]`, each part a [`Glob`]; a part left out is any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServicePattern {
    namespace: Option<Glob>,
    name: Glob,
    environment: Option<Glob>,
}

impl ServicePattern {
    pub(crate) fn new(pattern: &str) -> Self {
        let (rest, environment) = match pattern.rsplit_once('@') {
            Some((rest, environment)) => (rest, Some(Glob::new(environment))),
            None => (pattern, None),
        };
        let (namespace, name) = match rest.split_once('/') {
            Some((namespace, name)) => (Some(Glob::new(namespace)), name),
            None => (None, rest),
        };
        Self { namespace, name: Glob::new(name), environment }
    }

    pub(crate) fn matches(&self, service: Service<'_>) -> bool {
        let allows = |pattern: &Option<Glob>, text| pattern.as_ref().is_none_or(|glob| glob.matches(text));
        self.name.matches(service.name)
            && allows(&self.namespace, service.namespace)
            && allows(&self.environment, service.environment)
    }
}

/// Any of several services.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Services(Vec<ServicePattern>);

impl Services {
    pub(crate) fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        Self(patterns.into_iter().map(ServicePattern::new).collect())
    }

    pub(crate) fn matches(&self, service: Service<'_>) -> bool {
        self.0.iter().any(|pattern| pattern.matches(service))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Hosts: names with `*`, addresses, and networks written `10.0.0.0/8`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Hosts {
    names: Names,
    networks: Vec<(IpAddr, u32)>,
}

impl Hosts {
    /// `Err` holds the pattern that is none.
    pub(crate) fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, &'a str> {
        let (mut names, mut networks) = (Vec::new(), Vec::new());
        for pattern in patterns {
            match (pattern.split_once('/'), pattern.parse::<IpAddr>()) {
                (Some((address, bits)), _) => {
                    let network = address.parse::<IpAddr>().ok().zip(bits.parse::<u32>().ok());
                    let fits = |(address, bits): &(IpAddr, u32)| *bits <= width(*address);
                    networks.push(network.filter(fits).ok_or(pattern)?);
                }
                (None, Ok(address)) => networks.push((address, width(address))),
                (None, Err(_)) => names.push(Glob::new(&pattern.to_ascii_lowercase())),
            }
        }
        Ok(Self { names: Names(names), networks })
    }

    pub(crate) fn matches(&self, host: &str) -> bool {
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => {
                self.networks.iter().any(|(network, bits)| prefix(*network, *bits) == prefix(address, *bits))
            }
            Err(_) => self.names.matches(&host.trim_end_matches('.').to_ascii_lowercase()),
        }
    }
}

const fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The first `bits` of an address; addresses of the two families never agree.
fn prefix(address: IpAddr, bits: u32) -> (bool, u128) {
    let address = address.to_canonical();
    let (number, width) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    (address.is_ipv4(), number.checked_shr(width - bits.min(width)).unwrap_or(0))
}

/// Whether a host is inside by its very name: loopback, a private or link-local address, a single label, or a
/// suffix that is never delegated (RFC 6761, RFC 6762, RFC 9476 and ICANN's `.internal`) or is Kubernetes' own.
pub(crate) fn is_inside(host: &str) -> bool {
    const SUFFIXES: [&str; 8] =
        [".localhost", ".internal", ".local", ".lan", ".svc", ".cluster.local", ".test", ".home.arpa"];
    match host.trim_matches(['[', ']']).parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_private() || address.is_link_local(),
        Ok(IpAddr::V6(address)) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
        Err(_) => {
            let host = host.trim_end_matches('.').to_ascii_lowercase();
            !host.contains('.') || SUFFIXES.iter().any(|suffix| host.ends_with(suffix))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (pattern, name, expected) in [
            ("shop", "shop", true),
            ("shop", "shop2", false),
            ("*", "", true),
            ("pay-*", "pay-core", true),
            ("*-worker", "mail-worker", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxcyyb", false),
            ("ab*ba", "aba", false),
            ("*a*", "bab", true),
        ] {
            assert_eq!(Glob::new(pattern).matches(name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn what_stands_between() {
        for (before, after, name, expected) in [
            ("tenant_", "", "tenant_acme", Some("acme")),
            ("app_", "_*", "app_acme_eu_1", Some("acme_eu")),
            ("", ".orders", "acme.orders", Some("acme")),
            ("*/", "/*", "s3/acme/x", Some("acme")),
            ("tenant_", "", "tenant_", None),
            ("tenant_", "", "acme", None),
        ] {
            assert_eq!(between(&Glob::new(before), &Glob::new(after), name), expected, "{name}");
        }
    }

    #[test]
    fn services_by_the_parts_that_are_written() {
        let service = Service { name: "shop", namespace: "retail", environment: "prod" };
        for (pattern, expected) in [
            ("shop", true),
            ("sh*", true),
            ("retail/shop", true),
            ("bank/shop", false),
            ("shop@prod", true),
            ("shop@test", false),
            ("re*/s*@p*", true),
            ("*", true),
        ] {
            assert_eq!(ServicePattern::new(pattern).matches(service), expected, "{pattern}");
        }
    }

    #[test]
    fn hosts_by_name_and_network() {
        let hosts =
            Hosts::new(["*.partner.example", "10.0.0.0/8", "2001:db8::/32", "192.0.2.7"]).expect("all are");
        for (host, expected) in [
            ("api.Partner.example", true),
            ("api.partner.example.", true),
            ("partner.example", false),
            ("evilpartner.example", false),
            ("10.255.0.1", true),
            ("::ffff:10.0.0.1", true),
            ("11.0.0.1", false),
            ("[2001:db8::1]", true),
            ("2001:db9::1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
        ] {
            assert_eq!(hosts.matches(host), expected, "{host}");
        }
        assert_eq!(Hosts::new(["10.0.0.0/33"]), Err("10.0.0.0/33"));
        assert!(Hosts::new(["0.0.0.0/0"]).expect("a network").matches("198.51.100.1"));
    }

    #[test]
    fn inside_by_nature() {
        for (host, expected) in [
            ("orders", true),
            ("orders.shop.svc.cluster.local", true),
            ("172.16.3.4", true),
            ("127.0.0.1", true),
            ("fd00::1", true),
            ("api.example.com", false),
            ("notinternal", true),
            ("x.notinternal", false),
            ("8.8.8.8", false),
        ] {
            assert_eq!(is_inside(host), expected, "{host}");
        }
    }
}
