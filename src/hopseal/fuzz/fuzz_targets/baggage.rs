#![no_main]

//! Headers, one a line, read and written as at each hop: the next hop reads what this one did, and no member appears.

use hopseal_identity::baggage::{
    Baggage, Carried, Encrypted, MAX_BYTES, MAX_MEMBERS, Writer, decode, encode,
};
use hopseal_identity::member::MAX_IDENTITY;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|headers: &str| {
    let read = Baggage::read(headers.lines());
    let identity = read.identity.as_ref().ok().and_then(Option::as_ref);
    if let Some(carried) = identity {
        of_parts(carried);
    }

    if let Some(encrypted) = &read.encrypted {
        assert_eq!(read.identity, Ok(None), "one or the other");
        let again = Encrypted::of_paseto(encrypted.kid(), &encrypted.paseto());
        assert_eq!(again.as_ref().map(Encrypted::as_str), Some(encrypted.as_str()));
    }

    let mut writer = match &read.encrypted {
        None => Writer::new(identity),
        Some(encrypted) => Writer::encrypted(encrypted),
    };
    let passed_on = read.others.iter().filter(|entry| writer.pass_on(entry)).count();
    let header = writer.finish();
    assert!(header.len() <= MAX_BYTES && header.split(',').count() <= MAX_MEMBERS);
    let again = Baggage::read([header.as_str()]);
    assert_eq!(again.others, read.others[..passed_on], "others come first to last, until there is no room");
    assert_eq!(again.identity.as_ref().map(Option::as_ref), Ok(identity));
    assert_eq!(again.encrypted, read.encrypted);
    assert_eq!(again.dropped, 0);

    for entry in &read.others {
        let mut encoded = String::new();
        encode(&decode(entry.value()), &mut encoded);
        assert_eq!(decode(&encoded), decode(entry.value()));
        let mut writer = Writer::new(None);
        if writer.add(entry.name(), &decode(entry.value()), entry.properties()) {
            let header = writer.finish();
            let again = Baggage::read([header.as_str()]);
            assert_eq!(again.others.len(), 1);
            assert_eq!(again.identity, Ok(None));
        }
    }
});

/// An identity can be taken apart and put together.
fn of_parts(carried: &Carried) {
    assert!(carried.as_str().len() <= MAX_IDENTITY);
    let same = Carried::new(&carried.members(), carried.seal(), carried.hop());
    assert_eq!(same.as_ref(), Ok(carried));
}
