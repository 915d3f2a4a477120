#![no_main]

use hopseal::ClientCertificate;
use libfuzzer_sys::fuzz_target;

/// Writes a value so that it is read back.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(header) = std::str::from_utf8(bytes) else { return };
    let Ok(elements) = ClientCertificate::parse(header) else { return };
    assert!((1..=16).contains(&elements.len()));
    for element in &elements {
        let mut fields: Vec<String> = Vec::new();
        fields.extend(element.by.iter().map(|by| format!("By={}", quoted(by))));
        fields.extend(element.sha256.map(|digest| {
            format!("Hash={}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        }));
        fields.extend(element.subject.iter().map(|subject| format!("Subject={}", quoted(subject))));
        fields.extend(element.uris.iter().map(|uri| format!("URI={}", quoted(uri))));
        fields.extend(element.dns.iter().map(|dns| format!("DNS={}", quoted(dns))));
        let written = fields.join(";");
        if !fields.is_empty() && written.len() <= 8192 {
            let again = ClientCertificate::parse(&written).expect("what we wrote");
            assert_eq!(again, std::slice::from_ref(element), "{written}");
        }
    }
});
