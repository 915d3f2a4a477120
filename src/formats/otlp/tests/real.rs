//! A real trace, exported by OpenTelemetry's SDKs in both encodings.

use super::{read_json, read_protobuf};
use crate::testing::real_trace;

#[test]
fn both_encodings_of_one_trace_are_the_same_calls() {
    let name = "trace-python-flask-node-fastapi.otlp";
    let of = |kind: &str| real_trace(&format!("{name}.{kind}"));
    let (Some(protobuf), Some(json)) = (of("pb"), of("json")) else { return };
    let (protobuf, json) = (read_protobuf(&protobuf), read_json(str::from_utf8(&json).unwrap()));
    assert_eq!(protobuf.rejected, Vec::<String>::new());
    assert_eq!(json.rejected, Vec::<String>::new());
    assert!(protobuf.spans > 0);
    assert_eq!(json.calls, protobuf.calls);
}
