-- makes: month_end.control_totals
-- kind:  table
-- grain: one row per month, source and control figure

-- What auditors ask of every figure, for all months: where it came from, how much was read, refused and landed, what is missing.
create or replace temp table made_with as
select
    coalesce(max_by(code_version, run_number), $code_version) as code_version,
    coalesce(max_by(policy_sha256, run_number), $policy_sha256) as policy_sha256
from month_end.journal_runs
cross join asked
where recorded_at <= as_of;

create or replace temp table delivered as
select
    files.*, coalesce(first_source_time, files.source_time, received_at) as told_from,
    greatest(
        coalesce(last_source_time, files.source_time, received_at),
        coalesce(first_source_time, files.source_time, received_at)
    ) as told_to,
    last_value(problem)
        over (partition by source_file order by batch rows between unbounded preceding and unbounded following)
        as last_problem
from landing.files
where received_at <= (select as_of from asked);

delete from month_end.control_totals;

-- Export files with data of a month. A refused one is replaced by a later delivery under its name.
insert into month_end.control_totals by name
with
refunded as (
    select source_file, batch, string_agg(money_text(total, currency), '; ' order by currency) as sums
    from (
        select source_file, batch, currency, sum(total_refunded) as total
        from landing.happy_returns_refunds where currency is not null group by all
    )
    group by source_file, batch
)

select
    months.month, files.source_file as source, files.kind as source_kind, files.file_sha256,
    json_object('profile', files.profile, 'source_time_from', files.source_time_from) as parameters,
    'as each row states; UTC inside' as time_zone,
    files.rows_read, files.rows_rejected, files.rows_repeated, files.rows_landed, refunded.sums,
    files.told_from as covers_from, files.told_to as covers_to, files.received_at,
    files.last_problem is null as is_covered, files.last_problem as problem, made_with.*
from delivered as files
join all_months as months on files.told_from < months.cut_off and files.told_to >= months.starts_at
cross join made_with
left join refunded using (source_file, batch)
qualify row_number() over (partition by months.month, files.source_file, files.file_sha256 order by files.batch desc)
    = 1;

-- Days that no export covers: from the first day of the first file on, until the cut-off.
insert into month_end.control_totals by name
with
days as (
    select
        months.month, unnest(generate_series(
            greatest(starts_at::date, (select min(told_from)::date from delivered where problem is null)),
            cut_off - interval 1 day, interval 1 day
        ))::date as day
    from all_months as months
),

told as (
    select unnest(generate_series(told_from::date, told_to::date, interval 1 day))::date as day
    from delivered where problem is null
    union
    -- A file shows that nothing else had changed when it was written.
    select coalesce(source_time, received_at)::date as day from delivered where problem is null
)

select
    days.month, 'exports of ' || strftime(day, '%Y-%m-%d') as source, 'day' as source_kind, '' as file_sha256,
    json_object('exports', 'daily') as parameters, 'UTC' as time_zone,
    0 as rows_read, 0 as rows_rejected, 0 as rows_repeated, 0 as rows_landed,
    day::timestamptz as covers_from, day::timestamptz + interval 1 day as covers_to, false as is_covered,
    'no export covers this day' as problem, made_with.*
from days
cross join made_with
anti join told using (day)
where (select exports_are_daily and not list_contains(accepted_days, day) from policy.parameters);

-- Queries of Centra: one row per object. A complete pull covers from its window's start until it was made.
insert into month_end.control_totals by name
with
objects as (select unnest(['orders', 'shipments', 'returns', 'stock_changes']) as object),

pulls as (
    select pulls.*, coalesce(window_from, '-infinity'::timestamptz) as asked_from
    from landing.centra_pulls as pulls
    semi join objects on objects.object = pulls."object"
    where fetched_at <= (select as_of from asked)
),

of_months as (
    select months.month, months.starts_at, months.cut_off, pulls.*
    from all_months as months
    join pulls on pulls.fetched_at >= months.starts_at and pulls.asked_from < months.cut_off
),

-- Whatever of a month no complete pull reached back to.
reached as (
    select
        month, "object", cut_off, asked_from, fetched_at,
        coalesce(
            max(fetched_at) over (
                partition by month, "object"
                order by asked_from, fetched_at, batch rows between unbounded preceding and 1 preceding
            ),
            starts_at
        ) as until_then
    from of_months where is_complete
),

covered as (
    select
        month, "object", max(fetched_at) as covers_to,
        sum(greatest(date_diff('second', until_then, least(asked_from, cut_off)), 0)) as missing_seconds
    from reached group by month, "object"
),

summed as (
    select
        month,
        "object",
        count(*) as pulls,
        count(*) filter (where not is_complete) as incomplete,
        sum(rows_read) as rows_read,
        sum(rows_landed) as rows_landed,
        nullif(min(asked_from), '-infinity'::timestamptz) as covers_from,
        max(fetched_at) as received_at,
        max_by(problem, fetched_at) as last_problem
    from of_months group by month, "object"
),

returned as (
    select month, string_agg(money_text(total, currency), '; ' order by currency) as sums
    from (
        select strftime(created_at, '%Y-%m') as month, currency, sum(grand_total) as total
        from staging.centra_returns
        where deleted_at is null and created_at < (select as_of from asked)
        group by all
    )
    group by month
)

select
    months.month, 'Centra ' || replace(objects.object, '_', ' ') as source, 'query' as source_kind, '' as file_sha256,
    json_object('pulls', coalesce(pulls, 0), 'incomplete', coalesce(incomplete, 0)) as parameters,
    'offset in each value; UTC inside' as time_zone,
    coalesce(rows_read, 0) as rows_read,
    0 as rows_rejected,
    greatest(coalesce(rows_read - rows_landed, 0), 0) as rows_repeated,
    coalesce(rows_landed, 0) as rows_landed,
    case when objects.object = 'returns' then returned.sums end as sums,
    covers_from, covers_to, received_at,
    coalesce(missing_seconds = 0 and covers_to >= months.cut_off, false) as is_covered,
    case
        when pulls is null then 'never pulled for this month'
        when missing_seconds is null then 'no pull completed: ' || coalesce(last_problem, 'interrupted')
        when missing_seconds > 0 then 'pulls leave out ' || (missing_seconds // 3600 + 1) || ' hours'
        when covers_to < months.cut_off then 'not pulled since ' || strftime(covers_to, '%Y-%m-%d %H:%M')
    end as problem,
    made_with.*
from all_months as months
cross join objects
cross join made_with
left join summed on summed.month = months.month and summed."object" = objects.object
left join covered on covered.month = months.month and covered."object" = objects.object
left join returned on returned.month = months.month;
