-- The tables of month end move from "reconciliation" to a schema of their own. DuckDB cannot move a table: each is created there
-- with its rows, counted, and dropped here. What is published keeps its name: reconciliation.* are views from now on (migrate.py).
create schema if not exists month_end;

-- What can be recomputed: made again in its new place.
drop table if exists reconciliation.month_end;
drop table if exists reconciliation.rollforward;
drop table if exists reconciliation.refund_liability;
drop table if exists reconciliation.refund_liability_returns;
drop table if exists reconciliation.goods_in_transit;
drop table if exists reconciliation.goods_in_transit_units;
drop table if exists reconciliation.open_items;
drop table if exists reconciliation.refund_differences;
drop table if exists reconciliation.month_exchanges;
drop table if exists reconciliation.late_items;
drop table if exists reconciliation.control_totals;
drop table if exists reconciliation.turnaround;
drop table if exists reconciliation.money_saved;

-- State.
create table month_end.fact_journal (
    run_number bigint not null, recorded_at timestamptz not null, is_reversal boolean not null,
    side varchar not null, fact_id varchar not null, return_id varchar, order_number varchar, return_item_id varchar,
    component varchar not null, currency varchar not null, amount decimal(18, 4) not null, happened_at timestamptz not null,
    month varchar not null, is_pending boolean not null, source varchar
);
insert into month_end.fact_journal by name from reconciliation.fact_journal;

create table month_end.match_journal (
    run_number bigint not null, recorded_at timestamptz not null,
    return_id varchar, order_number varchar, component varchar not null, currency varchar not null,
    expected_amount decimal(18, 4), happy_returns_amount decimal(18, 4), centra_amount decimal(18, 4), provider_amount decimal(18, 4),
    difference decimal(18, 4), culprit varchar, tolerance_used decimal(18, 4), within_tolerance boolean, is_explained boolean,
    explained_by varchar, allowed_difference decimal(18, 4)
);
insert into month_end.match_journal by name from reconciliation.match_journal;

create table month_end.opening_position (
    run_number bigint not null, recorded_at timestamptz not null, event varchar not null, return_id varchar not null,
    return_item_id varchar not null, subject varchar not null, owner_team varchar not null, currency varchar, amount decimal(18, 4)
);
insert into month_end.opening_position by name from reconciliation.opening_position;

create table month_end.closes (
    run_number bigint not null, month varchar not null, event varchar not null,
    "at" timestamptz not null, "by" varchar not null, role varchar, why varchar, content_sha256 varchar, sources_sha256 varchar,
    code_version varchar, policy_sha256 varchar
);
insert into month_end.closes by name from reconciliation.closes;

create table month_end.closed_rows (
    run_number bigint not null, month varchar not null, table_name varchar not null, row_number bigint not null, content json not null
);
insert into month_end.closed_rows by name from reconciliation.closed_rows;

create table month_end.journal_runs (
    run_number bigint not null, recorded_at timestamptz not null, entries bigint not null, code_version varchar not null,
    policy_sha256 varchar not null
);
insert into month_end.journal_runs by name from reconciliation.journal_runs;

create table month_end.workbooks (
    run_number bigint not null, file_name varchar not null, file_sha256 varchar not null, notes_taken bigint not null,
    notes_refused bigint not null, taken_at timestamptz not null
);
insert into month_end.workbooks by name from reconciliation.workbooks;

select error('rows of ' || name || ' were lost: ' || before || ' before, ' || after || ' now')
from (
    select 'fact_journal' as name, (select count(*) from reconciliation.fact_journal) as before, (select count(*) from month_end.fact_journal) as after
    union all select 'match_journal', (select count(*) from reconciliation.match_journal), (select count(*) from month_end.match_journal)
    union all select 'opening_position', (select count(*) from reconciliation.opening_position), (select count(*) from month_end.opening_position)
    union all select 'closes', (select count(*) from reconciliation.closes), (select count(*) from month_end.closes)
    union all select 'closed_rows', (select count(*) from reconciliation.closed_rows), (select count(*) from month_end.closed_rows)
    union all select 'journal_runs', (select count(*) from reconciliation.journal_runs), (select count(*) from month_end.journal_runs)
    union all select 'workbooks', (select count(*) from reconciliation.workbooks), (select count(*) from month_end.workbooks)
)
where before <> after;

drop table reconciliation.fact_journal;
drop table reconciliation.match_journal;
drop table reconciliation.opening_position;
drop table reconciliation.closes;
drop table reconciliation.closed_rows;
drop table reconciliation.journal_runs;
drop table reconciliation.workbooks;
