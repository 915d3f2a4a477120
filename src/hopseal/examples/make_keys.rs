//! The keys that a service which seals begins with, in files that nobody else may read; and, on standard output, the public half, for
//! what the trust domain publishes.
//!
//!     cargo run -p hopseal --features seal --example make_keys -- FOLDER orders
use std::io::Write as _;
use std::path::PathBuf;

use hopseal::seal::{SealingKeys, public_jwks};
use hopseal_identity::pseudonym::PseudonymKey;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(folder), Some(service)) = (arguments.next().map(PathBuf::from), arguments.next()) else {
        return Err("which folder, and the name of which service?".into());
    };
    let service = service.into_string().map_err(|_| "a name of letters and digits")?;
    // The id says which service and which of its keys. The next is added with `SealingKeys::add_to_file`, from a day on.
    let keys =
        SealingKeys::create_file(&folder.join(format!("{service}.keys.json")), &format!("{service}.1"))?;
    // One for all services of the trust domain: by it they call one person the same. It stays if it is there.
    let mut private = std::fs::File::options();
    private.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut private, 0o600);
    let pseudonyms = PseudonymKey::new_base64url().ok_or("no randomness")?;
    match private.open(folder.join("pseudonym.key")) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        file => file?.write_all(pseudonyms.as_bytes())?,
    }
    Ok(writeln!(std::io::stdout(), "{}", String::from_utf8_lossy(&public_jwks([&keys])))?)
}
