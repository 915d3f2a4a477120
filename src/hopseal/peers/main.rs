//! `hopseal` beside other libraries that validate JWTs or make spans. Ends with 1 where a limit of ours is missed.

mod cost;
mod requests;
mod service;
mod tokens;
mod wycheproof;

use std::process::ExitCode;

use tokio::runtime::Builder;

use crate::tokens::ALGORITHMS;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [serve, manner, algorithm] = arguments.as_slice()
        && serve == "serve"
    {
        let algorithm = ALGORITHMS.into_iter().find(|it| it == algorithm).unwrap();
        let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(service::serve(manner, algorithm));
        return ExitCode::SUCCESS;
    }
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let mut missed = runtime.block_on(requests::table());
    // Alone, for whoever works on the layer.
    if arguments != ["requests"] {
        missed.extend(runtime.block_on(cost::table()));
        match std::env::var_os("HOPSEAL_VECTORS") {
            Some(folder) => runtime.block_on(wycheproof::table(folder.as_ref())),
            None => eprintln!("SKIPPED Wycheproof: HOPSEAL_VECTORS does not name the folder of its vectors"),
        }
    }
    for limit in &missed {
        eprintln!("over the limit: {limit}");
    }
    if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
