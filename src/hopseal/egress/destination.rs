//! Where a request goes.

use std::fmt;
use std::net::IpAddr;

use http::Uri;

/// Scheme, host and port of where a request goes.
///
/// ```
/// use hopseal::egress::Destination;
/// let there = Destination::parse("https://Payments.example.com/charge?x=1")?;
/// assert_eq!(there.to_string(), "https://payments.example.com:443");
/// # Ok::<(), hopseal::egress::DestinationFault>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    pub(super) secure: bool,
    /// In lower case, without the brackets of an IPv6 address and without a dot at the end.
    pub(super) host: String,
    pub(super) port: u16,
}

/// Not an address of `http` or `https` with a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no address of `http` or `https`")]
pub struct DestinationFault;

impl Destination {
    /// Of an address; what comes after host and port does not count.
    ///
    /// # Errors
    /// [`DestinationFault`].
    pub fn parse(address: &str) -> Result<Self, DestinationFault> {
        address.parse().ok().as_ref().and_then(Self::of).ok_or(DestinationFault)
    }

    /// Of the address of a request, if it says where it goes.
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        let secure = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        // What stands before an `@` is no host, and mistaken for one by some.
        if uri.authority()?.as_str().contains('@') {
            return None;
        }
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        (!host.is_empty()).then(|| Self { secure, host: host.to_ascii_lowercase(), port })
    }

    /// Whether it is this machine.
    pub(super) fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}
