-- makes: report_period, all_months, valid_closes, known_runs, known_facts, known_events
-- kind:  step
-- grain: one row per fact, event, run and close that was known at the time that is asked for

-- What was known at $as_of, and to which month each fact and event is posted: its own, or, when that was closed before we learnt
-- it, the first month that was open then. $month: the requested month; $cut_off: its end, or $as_of before that.
create or replace temp table report_period as
select
    $as_of::timestamptz as as_of, $month::varchar as month, $cut_off::timestamptz as cut_off,
    coalesce(strftime((select cutover from policy.parameters), '%Y-%m'), '') as first_month;

-- Every month from the first fact (or the cut-over) on, and up to which instant each is reported.
create or replace temp table all_months as
with
-- One row: the first month that is reported.
first_months as (
    select
        least(
            coalesce(nullif(first_month, ''), strftime(as_of, '%Y-%m')),
            coalesce((select min(month) from month_end.fact_journal), strftime(as_of, '%Y-%m')),
            strftime(as_of, '%Y-%m')
        ) as month
    from report_period
)

select
    strftime(day, '%Y-%m') as month,
    day::timestamptz as starts_at,
    least((day + interval 1 month)::timestamptz, as_of) as cut_off
from (
    select
        unnest(
            generate_series((first_months.month || '-01')::timestamp, date_trunc('month', as_of)::timestamp, interval 1 month)
        ) as day,
        as_of
    from first_months, report_period
);

-- A close counts until its month is reopened.
create or replace temp table valid_closes as
select *
from month_end.closes
cross join report_period
where event = 'closed' and "at" <= as_of and not exists (
        select 1 from month_end.closes as later
        where later.event = 'reopened'
            and later.month = closes.month
            and later.run_number > closes.run_number
            and later."at" <= report_period.as_of
    );

-- Runs that are known, and the first month that was open when each of them learnt something (null: nothing was closed yet).
create or replace temp table known_runs as
with
runs as (
    select run_number, min(recorded_at) as recorded_at
    from (
        select distinct run_number, recorded_at from month_end.fact_journal
        union all
        select distinct coalesce(run_number, 0), coalesce(recorded_at, "at") from reconciliation.exception_events
        union all
        select distinct run_number, recorded_at from month_end.opening_position
    )
    group by run_number
),

locks as (
    select run_number as covers_run, strftime((month || '-01')::date + interval 1 month, '%Y-%m') as first_open_month
    from valid_closes
)

select runs.run_number, locks.first_open_month
from runs
asof left join locks on runs.run_number > locks.covers_run
where runs.recorded_at <= (select as_of from report_period);

create or replace temp view known_facts as
select entries.*, month as own_month, greatest(month, first_open_month) as posted_month
from month_end.fact_journal as entries
join known_runs using (run_number);

-- Events of exceptions in the order in which they became known; places show which state each one leaves behind. What came out
-- of another exception is posted with that one's end, whenever it would have opened by itself: it moves in one month.
create or replace temp table known_events as
with
-- One row per event of an exception, in its order.
numbered_events as (
    select
        exception_id,
        event,
        "at",
        "by",
        proof,
        note,
        decision,
        kind,
        subject,
        counterpart,
        coalesce(run_number, 0) as run_number,
        coalesce(recorded_at, "at") as recorded_at, rowid as place,
        strftime(case when counterpart is null then "at" else coalesce(recorded_at, "at") end, '%Y-%m') as own_month
    from reconciliation.exception_events
)

select
    numbered_events.* exclude (place),
    greatest(own_month, known_runs.first_open_month) as posted_month,
    row_number() over (partition by exception_id order by numbered_events.run_number, place) as place,
    subject::json ->> 'owner_team' as owner_team, subject::json ->> 'currency' as currency,
    coalesce((subject::json ->> 'amount')::decimal(18, 4), 0) as amount,
    coalesce(subject::json ->> 'is_dry_run', 'false') = 'true' as is_dry_run
from numbered_events
join known_runs using (run_number)
where recorded_at <= (select as_of from report_period);
