-- What month end needs to know beyond the facts: who learnt what in which run, what was closed, and who signed it.

-- One number per run that writes to the history; it orders what the clock cannot (two runs at one instant).
create sequence reconciliation.run_numbers start 1;

alter table reconciliation.exception_events add column run_number bigint; -- null: before there were numbers
alter table reconciliation.exception_events add column recorded_at timestamptz; -- when we learnt it; "at" may lie earlier
alter table reconciliation.exception_events add column counterpart varchar; -- the exception that it became, or came from
alter table reconciliation.exception_events add column decision varchar; -- of a person: chase, carry_forward, claim, write_off

-- The journal of refund facts, append-only: one entry when a fact is first known, and when it changes or vanishes a reversal
-- (amount with the other sign) and a new entry. The sum of the entries is what is known; up to a run, what was known then.
create table reconciliation.fact_journal (
    run_number bigint not null, recorded_at timestamptz not null, is_reversal boolean not null,
    side varchar not null, fact_id varchar not null, return_id varchar, order_number varchar, return_item_id varchar,
    component varchar not null, currency varchar not null, amount decimal(18, 4) not null, happened_at timestamptz not null,
    month varchar not null, -- of happened_at, YYYY-MM in UTC
    is_pending boolean not null, source varchar
);
-- What the refund match said of a return, order and component, whenever it says something new. difference null: no difference.
create table reconciliation.match_journal (
    run_number bigint not null, recorded_at timestamptz not null,
    return_id varchar, order_number varchar, component varchar not null, currency varchar not null,
    expected_amount decimal(18, 4), happy_returns_amount decimal(18, 4), centra_amount decimal(18, 4), provider_amount decimal(18, 4),
    difference decimal(18, 4), culprit varchar, tolerance_used decimal(18, 4), within_tolerance boolean, is_explained boolean,
    explained_by varchar
);
-- One row per effect that was due before the cut-over and not in Centra: first seen ('opened'), and when it was given ('closed').
create table reconciliation.opening_position (
    run_number bigint not null, recorded_at timestamptz not null, event varchar not null, return_id varchar not null,
    return_item_id varchar not null, subject varchar not null, owner_team varchar not null, currency varchar, amount decimal(18, 4)
);
-- Closes, reopenings and signatures, append-only. A close counts until its month is reopened.
create table reconciliation.closes (
    run_number bigint not null, month varchar not null, event varchar not null, -- closed, reopened, signed
    "at" timestamptz not null, "by" varchar not null, role varchar, why varchar, content_sha256 varchar, sources_sha256 varchar,
    code_version varchar, policy_sha256 varchar
);
-- The tables of a closed month, as they were; run_number: of the close.
create table reconciliation.closed_rows (
    run_number bigint not null, month varchar not null, table_name varchar not null, row_number bigint not null, content json not null
);
-- With which code and policy each run of the journal was made.
create table reconciliation.journal_runs (
    run_number bigint not null, recorded_at timestamptz not null, entries bigint not null, code_version varchar not null,
    policy_sha256 varchar not null
);
-- Workbooks that somebody filled in and dropped: how many notes were taken and refused.
create table reconciliation.workbooks (
    run_number bigint not null, file_name varchar not null, file_sha256 varchar not null, notes_taken bigint not null,
    notes_refused bigint not null, taken_at timestamptz not null
);
