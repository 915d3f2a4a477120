-- What changes, besides `meta`. Hops are here until a segment is closed; texts of counts are numbers of `name`.
-- A number is never used again: segments are named by them.
CREATE TABLE IF NOT EXISTS block (seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
-- Traces of which older versions may still be in files, by their last version: hops of lower ones are not found.
CREATE TABLE IF NOT EXISTS revised (trace BLOB PRIMARY KEY, version INTEGER NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS finding (
    id BLOB PRIMARY KEY, rule TEXT NOT NULL, severity INTEGER NOT NULL, state INTEGER NOT NULL, trace BLOB,
    service TEXT NOT NULL, at INTEGER NOT NULL, raised INTEGER NOT NULL, changed INTEGER NOT NULL,
    note TEXT NOT NULL, body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS finding_by_state ON finding (state, at DESC, id DESC);
CREATE INDEX IF NOT EXISTS finding_by_time ON finding (at DESC, id DESC);
CREATE INDEX IF NOT EXISTS finding_by_severity ON finding (state, severity, at DESC, id DESC);
CREATE INDEX IF NOT EXISTS finding_by_rule ON finding (rule, state, at DESC, id DESC);
CREATE INDEX IF NOT EXISTS finding_by_service ON finding (service, state, at DESC, id DESC);
CREATE INDEX IF NOT EXISTS finding_by_trace ON finding (trace) WHERE trace IS NOT NULL;
CREATE INDEX IF NOT EXISTS finding_by_group ON finding (json_extract(body, '$.group_id'), state, at DESC, id DESC);
CREATE INDEX IF NOT EXISTS finding_by_principal_before ON finding (json_extract(body, '$.principals.before.id'));
CREATE INDEX IF NOT EXISTS finding_by_principal_here ON finding (json_extract(body, '$.principals.here.id'));
-- The last finding of each that goes on from window to window.
CREATE TABLE IF NOT EXISTS series (series BLOB PRIMARY KEY, finding BLOB NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS series_by_finding ON series (finding);
CREATE TRIGGER IF NOT EXISTS series_gone AFTER DELETE ON finding BEGIN
    DELETE FROM series WHERE finding = old.id;
END;
-- What somebody said of findings, and who.
CREATE TABLE IF NOT EXISTS said (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, finding BLOB NOT NULL, state INTEGER NOT NULL, note TEXT NOT NULL,
    at INTEGER NOT NULL, who TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS said_by_finding ON said (finding, seq);
-- Who is told what becomes of findings, up to which change each knows of it, and the changes that not all of them know. Where
-- nobody is told, none are noted.
CREATE TABLE IF NOT EXISTS receiver (name TEXT PRIMARY KEY, told INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS change (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, finding BLOB NOT NULL, state INTEGER NOT NULL, at INTEGER NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS change_raised AFTER INSERT ON finding WHEN EXISTS (SELECT 1 FROM receiver) BEGIN
    INSERT INTO change (finding, state, at) VALUES (new.id, new.state, new.changed);
END;
DROP TRIGGER IF EXISTS change_of_state;
CREATE TRIGGER IF NOT EXISTS change_said AFTER UPDATE OF state, severity ON finding
WHEN (old.state <> new.state OR (new.state = 0 AND old.severity < new.severity)) AND EXISTS (SELECT 1 FROM receiver) BEGIN
    INSERT INTO change (finding, state, at) VALUES (new.id, new.state, new.changed);
END;
-- For somebody who cannot be told, no more than so many are kept.
CREATE TRIGGER IF NOT EXISTS change_bounded AFTER INSERT ON change BEGIN
    DELETE FROM change WHERE seq <= new.seq - 100000;
END;
-- How many are open (state 0), kept by what follows.
CREATE TABLE IF NOT EXISTS open (
    severity INTEGER NOT NULL, service TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (severity, service)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS finding_added AFTER INSERT ON finding WHEN new.state = 0 BEGIN
    INSERT INTO open VALUES (new.severity, new.service, 1) ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER IF NOT EXISTS finding_removed AFTER DELETE ON finding WHEN old.state = 0 BEGIN
    UPDATE open SET count = count - 1 WHERE severity = old.severity AND service = old.service;
END;
CREATE TRIGGER IF NOT EXISTS finding_changed AFTER UPDATE ON finding
WHEN (old.state, old.severity) IS NOT (new.state, new.severity) BEGIN
    UPDATE open SET count = count - 1 WHERE old.state = 0 AND severity = old.severity AND service = old.service;
    INSERT INTO open SELECT new.severity, new.service, 1 WHERE new.state = 0
        ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TABLE IF NOT EXISTS name (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE IF NOT EXISTS edge (
    minute INTEGER NOT NULL, caller INTEGER NOT NULL, service INTEGER NOT NULL, assurance INTEGER NOT NULL,
    basis INTEGER NOT NULL, hops INTEGER NOT NULL, failed INTEGER NOT NULL, uncovered INTEGER NOT NULL,
    PRIMARY KEY (minute, caller, service, assurance, basis)
) STRICT, WITHOUT ROWID;
-- The same added up: by the hour and by the day, told apart by their minutes.
CREATE TABLE IF NOT EXISTS edge_sum (
    minutes INTEGER NOT NULL, minute INTEGER NOT NULL, caller INTEGER NOT NULL, service INTEGER NOT NULL,
    assurance INTEGER NOT NULL, basis INTEGER NOT NULL, hops INTEGER NOT NULL, failed INTEGER NOT NULL,
    uncovered INTEGER NOT NULL, PRIMARY KEY (minutes, minute, caller, service, assurance, basis)
) STRICT, WITHOUT ROWID;
-- Coverage added up by so many minutes, of each service and of all of them (0).
CREATE TABLE IF NOT EXISTS covered (
    service INTEGER NOT NULL, minutes INTEGER NOT NULL, minute INTEGER NOT NULL, assurance INTEGER NOT NULL, basis INTEGER NOT NULL,
    hops INTEGER NOT NULL, uncovered INTEGER NOT NULL, PRIMARY KEY (service, minutes, minute, assurance, basis)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shown (
    service TEXT NOT NULL, namespace TEXT NOT NULL, environment TEXT NOT NULL, operation TEXT NOT NULL,
    hops INTEGER NOT NULL, identified INTEGER NOT NULL, seen INTEGER NOT NULL, shown INTEGER NOT NULL,
    PRIMARY KEY (service, namespace, environment, operation)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sends (service TEXT PRIMARY KEY, seen INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS validating (
    service TEXT NOT NULL, namespace TEXT NOT NULL, environment TEXT NOT NULL,
    PRIMARY KEY (service, namespace, environment)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS quieted (
    day INTEGER NOT NULL, rule TEXT NOT NULL, reason TEXT NOT NULL, service TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (day, rule, reason, service)
) STRICT, WITHOUT ROWID;
-- What rules over many traces rest on, by when the window begins.
CREATE TABLE IF NOT EXISTS gathered (seq INTEGER PRIMARY KEY, begin INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
-- Closed segments: visible once they are here.
CREATE TABLE IF NOT EXISTS segment (
    name TEXT PRIMARY KEY, day INTEGER NOT NULL, low INTEGER NOT NULL, high INTEGER NOT NULL, hops INTEGER NOT NULL,
    bytes INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Where in its file the index of a segment is, and how many entries it has for traces and for subjects.
CREATE TABLE IF NOT EXISTS segment_index (
    name TEXT PRIMARY KEY, at INTEGER NOT NULL, traces INTEGER NOT NULL, subjects INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS segment_gone AFTER DELETE ON segment BEGIN
    DELETE FROM segment_index WHERE name = old.name;
END;
