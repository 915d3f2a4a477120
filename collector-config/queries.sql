-- What people ask of the trail that `hopseal serve` keeps, for DuckDB, which reads its files as they are. Where `hopseal-data` is:
--
--     duckdb < collector-config/queries.sql
--
-- Names in the questions, as `alice` and `orders`, are those of the example in README.md: put your own. `describe hops;` lists the
-- columns. A hop is in a file once it is ten minutes old, or sooner where there are many (`store.close_after` in hopseal.yaml).
-- Tested by `cargo xtask test`.

set time zone 'UTC';

-- The files that count. While some are merged into one, all of them are there, and the numbers in its name enclose those in theirs.
-- Ids are texts, as everywhere else: DuckDB 1.5 misses rows where a file is asked for bytes.
create or replace view files as
with
    file as (
        select
            file, left(file, length(file) - 33) as folder,
            left(right(file, 33), 12) as low, left(right(file, 20), 12) as high
        from glob('hopseal-data/hops/*/*.parquet')
    ),
    merged as (
        select part.file
        from file as part
        join file as whole on whole.folder = part.folder and whole.low <= part.low and whole.high >= part.high
        where whole.file <> part.file
    )
select
    * replace (
        lower(hex(trace_id)) as trace_id, lower(hex(span_id)) as span_id, lower(hex(parent_span_id)) as parent_span_id
    )
from read_parquet('hopseal-data/hops/*/*.parquet', hive_partitioning = true, filename = true)
where filename not in (select file from merged);

-- The hops that count. Late spans have a trace judged again, under the next version, and then its last version counts alone. What came
-- when the rest of a trace was no longer in memory is version 0, and counts beside it.
create or replace view hops as
with last as (select trace_id, max(version) as version from files where version > 1 group by trace_id)
select hop.*
from files as hop
left join last on last.trace_id = hop.trace_id
where hop.version = 0 or hop.version = coalesce(last.version, hop.version);

-- The last 100 hops of a user.
select start, caller, service, operation, assurance, basis, outcome, trace_id
from hops
where principal = 'alice'
order by start desc, trace_id, place
limit 100;

-- Who touched a service, and through what: which service called, by which proxies (`via`), and which agents acted (`actors`).
select
    principal, issuer, actors, caller, via, operation,
    count(*) as hops, min(start) as earliest, max(start) as latest
from hops
where service = 'orders' and principal is not null
group by principal, issuer, actors, caller, via, operation
order by hops desc, principal, issuer, actors, caller, via, operation;

-- Coverage over time: hops of each hour by assurance; `uncovered` are those of services that never show an identity.
select date_trunc('hour', start) as hour, case when uncovered then 'uncovered' else assurance end as assurance, count(*) as hops
from hops
group by 1, 2
order by 1, 2;

-- Who calls whom, and how sure it is on whose behalf. No caller: from outside, or it is not known.
select caller, service, assurance, count(*) as hops
from hops
group by caller, service, assurance
order by caller nulls first, service, assurance;

-- Hops that lost an identity which their caller had; not of services that never show one, and not of version 0, without its callers.
select
    callee.start, caller.principal as lost, caller.service as caller, callee.service, callee.operation, callee.assurance,
    callee.trace_id
from hops as callee
join hops as caller
    on caller.trace_id = callee.trace_id and caller.version = callee.version and caller.place = callee.caller_place
where callee.version > 0 and caller.principal is not null and callee.principal is null and not callee.uncovered
order by callee.start desc, callee.trace_id, callee.place
limit 100;

-- Principals that came by more than one issuer: one with two accounts, or two of the same name.
select principal, issuer, count(*) as hops, min(start) as earliest, max(start) as latest
from hops
where principal in (select principal from hops group by principal having count(distinct issuer) > 1)
group by principal, issuer
order by principal, issuer;

-- The slowest hops of a service. What has no time stands at 1970.
select (epoch_ns("end") - epoch_ns(start)) / 1e6 as milliseconds, start, caller, operation, principal, outcome, trace_id
from hops
where service = 'orders' and start >= timestamptz '1970-01-02 00:00:00+00'
order by milliseconds desc, start, trace_id, place
limit 20;

-- Hops that nobody could be named for, by operation; `uncovered` are those of services that never show an identity.
select service, operation, assurance, uncovered, count(*) as hops, max(start) as latest
from hops
where principal is null
group by service, operation, assurance, uncovered
order by hops desc, service, operation, assurance, uncovered;

-- What the hops of each day rest on: the word of a span (`claimed`), a seal that was checked again, or a sender that proved who it is.
select cast(start as date) as began, basis, count(*) as hops
from hops
group by 1, 2
order by 1, 2;

-- One trace, hop by hop.
select place, caller_place, start, caller, service, operation, principal, assurance, basis, outcome
from hops
where trace_id = '3feda02965dc8298e344d273de10a0d3'
order by start, place;
