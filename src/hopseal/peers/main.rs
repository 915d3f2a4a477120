//! `hopseal` beside other libraries that validate JWTs. Ends with 1 where a limit of ours is missed.

mod cost;
mod tokens;
mod wycheproof;

use std::process::ExitCode;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let missed = runtime.block_on(cost::table());
    match std::env::var_os("HOPSEAL_VECTORS") {
        Some(folder) => runtime.block_on(wycheproof::table(folder.as_ref())),
        None => eprintln!("SKIPPED Wycheproof: HOPSEAL_VECTORS does not name the folder of its vectors"),
    }
    for limit in &missed {
        eprintln!("over the limit: {limit}");
    }
    if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
