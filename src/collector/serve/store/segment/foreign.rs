//! A segment as others see it: read by DuckDB and by pyarrow, which know nothing of us, and asked what `queries.sql` gives users to ask.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use hopseal_correlate::sink::TraceId;
use hopseal_identity::{Assurance, Basis};

use super::super::testing::{EPOCH, Sketch, add, trace_id};
use super::super::{Block, MINUTE};
use super::{Rows, Segment, Written, merge, write};
use crate::serve::disk::FileSystem;

/// Runs a script where those packages are, in a folder, and returns what it says.
fn python(script: &str, folder: &Path, args: &[&Path]) -> String {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/interop/python/bin/python");
    let packages = Command::new(&python).args(["-c", "import duckdb, pyarrow"]).output();
    assert!(
        packages.is_ok_and(|output| output.status.success()),
        "python is missing, or a package of it; install it with `tests/interop/install python`"
    );
    let mut python = Command::new(&python);
    python.args(["-c", script]).args(args).current_dir(folder).env("PYTHONUTF8", "1");
    let output = python.output().expect("started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Writes rows as a young file.
fn written(path: PathBuf, rows: &Rows<'_>) -> Arc<Segment> {
    let Written { hops, bytes, first, last, index } = write(&FileSystem, &path, rows).expect("written");
    Arc::new(Segment { path, day: 0, low: 0, high: 0, hops, bytes, first, last, index })
}

/// Three hops in a young file, and the same in one that was merged of a file for each trace.
fn young_and_merged(folder: &Path) -> [PathBuf; 2] {
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
    assert_eq!(block.hops.first().map(|hop| hop.start), Some(EPOCH));
    let young = written(folder.join("hops.parquet"), &Rows::of([&block], |_| true));
    let parts = block.traces.iter().zip(1..).map(|(judged, number)| {
        let rows = Rows::of([&block], |of| of.trace_id == judged.trace_id);
        written(folder.join(format!("{number}.parquet")), &rows)
    });
    let parts: Vec<_> = parts.collect();
    let merged = folder.join("merged.parquet");
    merge(&FileSystem, &merged, &parts, |_, _| true, &|| false).expect("merged");
    [young.path.clone(), merged]
}

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
    let folder = tempfile::tempdir().expect("a folder");
    for (path, codec) in young_and_merged(folder.path()).iter().zip(["LZ4_RAW", "ZSTD"]) {
        let said = python(ASKED, folder.path(), &[path]);
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

/// The schema, how many rows, and some of each.
const READ: &str = r#"
import sys, pyarrow.parquet
table = pyarrow.parquet.read_table(sys.argv[1])
print(table.schema.to_string(show_schema_metadata=False, show_field_metadata=False))
print(table.num_rows, 'rows')
took = [end.value - start.value for start, end in zip(table['start'], table['end'])]
of_hop = ['start', 'caller', 'service', 'principal', 'assurance', 'trace_id', 'place', 'caller_place', 'uncovered']
for hop, took in zip(table.select(of_hop).to_pylist(), took):
    print(hop.pop('start').isoformat(), f'{took} ns', hop.pop('trace_id').hex(), *hop.values(), sep='|')
"#;

/// Scenario: pyarrow from PyPI reads a young segment and a merged one.
/// Guarantees: both have the same columns, of the same types, with the same in them; times are in UTC, to the nanosecond.
#[test]
fn pyarrow_reads_a_segment() {
    let folder = tempfile::tempdir().expect("a folder");
    let [young, merged] = young_and_merged(folder.path()).map(|path| python(READ, folder.path(), &[&path]));
    insta::assert_snapshot!("pyarrow", young);
    assert_eq!(merged, young);
}

/// Puts every question of a file, and shows the answers.
const QUESTIONS: &str = r#"
import sys, duckdb
trail = duckdb.connect()
for part in open(sys.argv[1], encoding='utf-8').read().split('\n\n'):
    for statement in duckdb.extract_statements(part):
        if statement.type == duckdb.StatementType.SELECT:
            print(part.lstrip().splitlines()[0])
            trail.sql(statement).show(max_width=250)
        else:
            trail.execute(statement)
"#;

/// The trace that the questions name.
const NAMED: TraceId = TraceId(0x3fed_a029_65dc_8298_e344_d273_de10_a0d3_u128.to_be_bytes());
const HOUR: u64 = 60 * MINUTE / 1_000_000;

const ALICE: (&str, &str, Assurance) = ("alice", "main", Assurance::Verified);
const BOB: (&str, &str, Assurance) = ("bob", "main", Assurance::Asserted);
const NOBODY: (&str, &str, Assurance) = ("", "", Assurance::Anonymous);
/// At a service that never shows an identity.
const UNCOVERED: (&str, &str, Assurance) = ("", "", Assurance::Unknown);

fn hop(
    caller: &'static str,
    service: &'static str,
    (principal, issuer, assurance): (&'static str, &'static str, Assurance),
    start: u64,
) -> Sketch {
    Sketch { caller, service, principal, issuer, assurance, start }
}

/// What is in the files of the trail that is asked.
fn trail() -> [Block; 4] {
    let mut trail: [Block; 4] = Default::default();
    let [first, second, third, next_day] = &mut trail;
    // At first it looks as if it was lost at orders; late spans tell that it was lost at payments.
    add(first, 1, 1, &[hop("", "gateway", ALICE, 0), hop("gateway", "orders", NOBODY, 4)]);
    let (entry, call) = (hop("", "gateway", ALICE, 0), hop("gateway", "orders", ALICE, 4));
    add(third, 1, 2, &[entry, call, hop("orders", "payments", NOBODY, 8)]);
    // Both versions are in one file.
    add(first, 2, 1, &[hop("", "gateway", BOB, HOUR)]);
    add(second, 2, 2, &[hop("", "gateway", BOB, HOUR), hop("gateway", "orders", BOB, HOUR + 3)]);
    let envoy = second.texts.add("envoy");
    second.hops.last_mut().expect("a hop").texts.via = envoy;
    // What came when the rest was gone, in places that others of that trace have too.
    let (call, callee) = (hop("orders", "stock", ALICE, HOUR + 4), hop("stock", "ledger", ALICE, HOUR + 8));
    add(third, 1, 0, &[call, callee, hop("ledger", "audit", NOBODY, HOUR + 12)]);
    add(second, 3, 1, &[hop("", "gateway", ALICE, 16), hop("gateway", "legacy", UNCOVERED, 20)]);
    add(second, 4, 1, &[hop("", "orders", ("carol", "main", Assurance::Sealed), 0)]);
    second.hops.last_mut().expect("a hop").start = 0;
    add(next_day, 5, 1, &[hop("", "gateway", ("bob", "partner", Assurance::Verified), 24 * HOUR)]);
    for (block, basis) in [
        (first, Basis::AuthenticatedSender),
        (third, Basis::Reverified),
        (next_day, Basis::AuthenticatedSender),
    ] {
        block.hops.iter_mut().for_each(|hop| hop.basis = basis);
    }
    let traces = trail.iter_mut().flat_map(|block| &mut block.traces);
    for judged in traces.filter(|judged| judged.trace_id == trace_id(1)) {
        judged.trace_id = NAMED;
    }
    trail
}

/// Scenario: DuckDB runs `collector-config/queries.sql` where `hopseal-data` is, in which two files were merged and are there still.
/// Guarantees: every question is answered; by no file twice, and by no version of a trace that was replaced.
#[test]
fn users_questions_are_answered() {
    let folder = tempfile::tempdir().expect("a folder");
    let hops = folder.path().join("hopseal-data/hops");
    std::fs::create_dir(folder.path().join("hopseal-data")).expect("made");
    let path = |name: &str| hops.join(format!("day=2026-01-0{name}.parquet"));
    let names = [
        "1/000000000001-000000000002",
        "1/000000000003-000000000003",
        "1/000000000004-000000000009",
        "2/000000000010-000000000010",
    ];
    let blocks = trail();
    let write = |(block, name)| written(path(name), &Rows::of([block], |_| true));
    let files: Vec<_> = blocks.iter().zip(names).map(write).collect();
    let merged = path("1/000000000001-000000000003");
    merge(&FileSystem, &merged, &files[..2], |_, _| true, &|| false).expect("merged");
    let questions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../collector-config/queries.sql");
    let said = python(QUESTIONS, folder.path(), &[&questions]);
    insta::assert_snapshot!("questions", said);
    assert!(!said.contains(" 0 rows"), "a question with no answer is not tested");
}
