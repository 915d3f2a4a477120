//! A segment as others see it: read by DuckDB, which knows nothing of us.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use hopseal_identity::Assurance;

use super::super::testing::{EPOCH, Sketch, add};
use super::super::{Block, MINUTE};
use super::{Rows, Segment, Written, merge, write};
use crate::serve::disk::FileSystem;

/// What a security engineer would ask: who, through what, when, how sure.
const ASKED: &str = r#"
import sys, duckdb
rows = duckdb.sql(f'''
    select strftime(start at time zone 'UTC', '%Y-%m-%d %H:%M:%S'), principal, issuer, caller, service, operation, assurance, basis, hex(trace_id), place, uncovered
    from read_parquet('{sys.argv[1]}') where principal = 'alice' order by start
''').fetchall()
for row in rows:
    print(*row, sep='|')
print(*duckdb.sql(f'''
    select count(*), count(principal), count(distinct trace_id), min(hex(subject)), count(*) filter ("end" >= start)
    from read_parquet('{sys.argv[1]}')
''').fetchall()[0], sep='|')
print(*{row[0] for row in duckdb.sql(f'''select compression from parquet_metadata('{sys.argv[1]}')''').fetchall()})
"#;

/// Scenario: DuckDB from PyPI reads a segment, by the names of its columns.
/// Guarantees: times are times, texts are texts, and what is not there is null.
#[test]
fn duckdb_reads_a_segment() {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/interop/python/bin/python");
    assert!(python.exists(), "python is missing; install it with `tests/interop/install python`");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("hops.parquet");
    let mut block = Block::default();
    let hop = |caller, service, principal, start| Sketch {
        caller,
        service,
        principal,
        issuer: if principal == "alice" { "main" } else { "" },
        assurance: if principal == "alice" { Assurance::Verified } else { Assurance::Unknown },
        start,
    };
    add(&mut block, 1, 1, &[hop("", "gateway", "alice", 0), hop("gateway", "orders", "", 5)]);
    add(&mut block, 2, 1, &[hop("", "gateway", "alice", MINUTE / 1_000_000)]);
    write(&FileSystem, &path, &Rows::of([&block], |_| true)).expect("written");
    assert_eq!(block.hops.first().map(|hop| hop.start), Some(EPOCH));
    // One trace each, merged.
    let parts = block.traces.iter().zip(1..).map(|(judged, number)| {
        let path = folder.path().join(format!("{number}.parquet"));
        let rows = Rows::of([&block], |of| of.trace_id == judged.trace_id);
        let Written { hops, bytes, first, last, index } = write(&FileSystem, &path, &rows).expect("written");
        Arc::new(Segment { path, day: 0, low: number, high: number, hops, bytes, first, last, index })
    });
    let parts: Vec<_> = parts.collect();
    let merged = folder.path().join("merged.parquet");
    merge(&FileSystem, &merged, &parts, |_, _| true, &|| false).expect("merged");
    for (path, codec) in [(path, "LZ4_RAW"), (merged, "ZSTD")] {
        let output = Command::new(&python).args(["-c", ASKED]).arg(&path).output().expect("started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(
            lines,
            [
                "2026-01-01 00:00:00|alice|main|None|gateway|GET /|verified|claimed|\
                 00000000000000000000000000000002|0|False",
                "2026-01-01 00:01:00|alice|main|None|gateway|GET /|verified|claimed|\
                 00000000000000000000000000000003|0|False",
                "3|2|2|00000000000000000000000000000000|3",
                codec,
            ]
        );
    }
}
