#![no_main]

use hopseal::jose::Compact;
use hopseal::{Credential, Reason};
use hopseal_fuzz::World;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static WORLD: LazyLock<World> = LazyLock::new(World::new);

// Whole tokens as they come, and headers under a good signature.
fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(compact) = Compact::parse(text) {
            assert!(compact.kid().is_none_or(|kid| !kid.is_empty() && kid.len() <= 256));
            assert!(!format!("{compact:?}").contains(text));
        }
        WORLD.judge(text, Credential::AccessToken.into());
        let signed =
            World::sign(text, br#"{"iss":"dev","aud":"orders","sub":"a","exp":1800000600,"scope":"x"}"#);
        let validated = WORLD.judge(&signed, Credential::AccessToken.into());
        if let Some(verified) = validated.verified() {
            assert_eq!(verified.evidence().algorithm, Some("HS256"), "{text}");
        } else if let Some(refused) = validated.refused() {
            assert_ne!(refused.reason(), Reason::Signature, "our own: {text}");
        }
    }
});
