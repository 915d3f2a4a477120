//! Destinations, and rules for them.

use super::*;

#[test]
fn destinations_are_read_or_refused() {
    for (address, expected) in [
        ("https://A.example/b?c#d", Ok("https://a.example:443")),
        ("http://a.example", Ok("http://a.example:80")),
        ("https://a.example:8443", Ok("https://a.example:8443")),
        ("https://[::1]:9/", Ok("https://[::1]:9")),
        ("https://a.example./", Ok("https://a.example:443")),
        ("https://a.example@evil.example/", Err(DestinationFault)),
        ("https://user:pass@a.example/", Err(DestinationFault)),
        ("ftp://a.example/", Err(DestinationFault)),
        ("a.example", Err(DestinationFault)),
        ("/path", Err(DestinationFault)),
        ("", Err(DestinationFault)),
    ] {
        let found = Destination::parse(address).map(|there| there.to_string());
        assert_eq!(found.as_deref().map_err(|fault| *fault), expected, "{address}");
    }
}

#[test]
fn rules_that_cannot_be_used() {
    let fault = |rule: Rule| EgressRules::new([rule]).err();
    let destination = |text: &str| Some(RuleError::Destination(text.to_owned()));
    let plain = |text: &str| Some(RuleError::Plain(text.to_owned()));
    for text in [
        "",
        "payments",
        "https://",
        "https://*.com",
        "https://*.10.0.0.1",
        "https://a.*.example",
        "https://*",
    ] {
        assert_eq!(fault(Rule::to(text)), destination(text));
    }
    for text in
        ["http://a.example", "http://10.0.0.1:80", "http://*.localhost.example", "http://127.0.0.1.example"]
    {
        assert_eq!(fault(Rule::to(text)), plain(text));
        assert_eq!(fault(Rule::to(text).in_mesh()), None);
    }
    for text in ["http://127.0.0.1:80", "http://[::1]:80", "http://localhost", "https://a.example"] {
        assert_eq!(fault(Rule::to(text)), None, "{text}");
    }
}

#[test]
fn names_under_a_name() {
    let rules = EgressRules::new([Rule::to("https://*.shop.example:8443")]).expect("rules");
    for (address, named) in [
        ("https://a.shop.example:8443", true),
        ("https://a.b.SHOP.example:8443", true),
        ("https://shop.example:8443", false),
        ("https://ashop.example:8443", false),
        ("https://.shop.example:8443", false),
        ("https://a.shop.example", false),
        ("http://a.shop.example:8443", false),
        ("https://a.shop.example.evil.example:8443", false),
    ] {
        let there = Destination::parse(address).ok();
        assert_eq!(rules.for_destination(there.as_ref()).is_some(), named, "{address}");
    }
    assert!(rules.for_destination(None).is_none());
}
