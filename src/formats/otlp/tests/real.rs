//! A real trace, exported by OpenTelemetry's SDKs in both encodings.

use super::{read_json, read_protobuf};

/// Where the real traces are, if this clone has them.
fn traces() -> Option<std::path::PathBuf> {
    let folder = std::env::var_os("HOPSEAL_TRACES");
    if folder.is_none() {
        println!("skipped: HOPSEAL_TRACES does not name a folder of traces");
    }
    folder.map(Into::into)
}

#[test]
fn both_encodings_of_one_trace_are_the_same_calls() {
    let Some(folder) = traces() else { return };
    let name = "trace-python-flask-node-fastapi.otlp";
    let protobuf = read_protobuf(&std::fs::read(folder.join(format!("{name}.pb"))).unwrap());
    let json = read_json(&std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap());
    assert_eq!(protobuf.rejected, Vec::<String>::new());
    assert_eq!(json.rejected, Vec::<String>::new());
    assert!(protobuf.spans > 0);
    assert_eq!(json.calls, protobuf.calls);
}
