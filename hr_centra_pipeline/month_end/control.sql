-- makes: month_end.control_totals
-- kind:  table
-- grain: one row per month, source and control figure

-- What auditors ask of every figure, for all months: where it came from, how much was read, refused and landed, what is missing.
create or replace temp table provenance as
select
    coalesce(max_by(code_version, run_number), $code_version) as code_version,
    coalesce(max_by(policy_sha256, run_number), $policy_sha256) as policy_sha256
from month_end.journal_runs
cross join report_period
where recorded_at <= as_of;

-- One row per file that came by then: from when to when it reports.
create or replace temp table delivered_files as
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
where received_at <= (select as_of from report_period);

delete from month_end.control_totals;

-- Export files with data of a month. A refused one is replaced by a later delivery under its name.
insert into month_end.control_totals by name
with
-- One row per file and batch of refund rows.
refund_sums as (
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
    files.rows_read, files.rows_rejected, files.rows_repeated, files.rows_landed, refund_sums.sums,
    files.told_from as covers_from, files.told_to as covers_to, files.received_at,
    files.last_problem is null as is_covered, files.last_problem as problem, provenance.*
from delivered_files as files
join all_months as months on files.told_from < months.cut_off and files.told_to >= months.starts_at
cross join provenance
left join refund_sums using (source_file, batch)
qualify row_number() over (partition by months.month, files.source_file, files.file_sha256 order by files.batch desc)
    = 1;

-- Days that no export covers: from the first day of the first file on, until the cut-off.
insert into month_end.control_totals by name
with
days as (
    select
        months.month, unnest(generate_series(
            greatest(starts_at::date, (select min(told_from)::date from delivered_files where problem is null)),
            cut_off - interval 1 day, interval 1 day
        ))::date as day
    from all_months as months
),

-- One row per day that an export covers.
reported_days as (
    select unnest(generate_series(told_from::date, told_to::date, interval 1 day))::date as day
    from delivered_files where problem is null
    union
    -- A file shows that nothing else had changed when it was written.
    select coalesce(source_time, received_at)::date as day from delivered_files where problem is null
)

select
    days.month, 'exports of ' || strftime(day, '%Y-%m-%d') as source, 'day' as source_kind, '' as file_sha256,
    json_object('exports', 'daily') as parameters, 'UTC' as time_zone,
    0 as rows_read, 0 as rows_rejected, 0 as rows_repeated, 0 as rows_landed,
    day::timestamptz as covers_from, day::timestamptz + interval 1 day as covers_to, false as is_covered,
    'no export covers this day' as problem, provenance.*
from days
cross join provenance
anti join reported_days using (day)
where (select exports_are_daily and not list_contains(accepted_days, day) from policy.parameters)
    -- none are expected where webhooks alone bring the returns
    and (
        exists (from delivered_files)
        or not coalesce((select arg_max(is_only_feed, batch) from landing.inbox_looks), false)
    );

-- What the events of Happy Returns reported about a month, and what they missed: one row per month and feed that reported something.
insert into month_end.control_totals by name
select
    months.month, 'Happy Returns ' || case feed when 'api' then 'partner API' else feed end as source, 'feed' as source_kind,
    '' as file_sha256,
    json_object(
        'starts_and_approvals', sum(milestones), 'reported', sum(reported), 'reported_first', sum(reported_first),
        'late', sum(late), 'missed', sum(missed), 'repaired', sum(repaired), 'unverified', sum(unverified)
    ) as parameters,
    'UTC' as time_zone, sum(received)::bigint as rows_read, sum(refused)::bigint as rows_rejected,
    sum(duplicate)::bigint as rows_repeated, (sum(received) - sum(refused) - sum(duplicate))::bigint as rows_landed,
    min(day)::timestamptz as covers_from, max(day)::timestamptz + interval 1 day as covers_to, true as is_covered, provenance.*
from reconciliation.feed_days
join all_months as months on day::timestamptz >= months.starts_at and day::timestamptz < months.cut_off
cross join provenance
where feed = 'events' or reported > 0
group by all;

-- Queries of Centra: one row per object. A complete pull covers from its window's start until it was made.
insert into month_end.control_totals by name
with
objects as (select unnest(['orders', 'shipments', 'returns', 'stock_changes']) as object),

pulls as (
    select pulls.*, coalesce(window_from, '-infinity'::timestamptz) as asked_from
    from landing.centra_pulls as pulls
    semi join objects on objects.object = pulls."object"
    where fetched_at <= (select as_of from report_period)
),

-- One row per month and pull that covers some of it.
month_pulls as (
    select months.month, months.starts_at, months.cut_off, pulls.*
    from all_months as months
    join pulls on pulls.fetched_at >= months.starts_at and pulls.asked_from < months.cut_off
),

-- Whatever of a month no complete pull reached back to.
pull_reaches as (
    select
        month, "object", cut_off, asked_from, fetched_at,
        coalesce(
            max(fetched_at) over (
                partition by month, "object"
                order by asked_from, fetched_at, batch rows between unbounded preceding and 1 preceding
            ),
            starts_at
        ) as until_then
    from month_pulls where is_complete
),

-- One row per month and object.
month_coverage as (
    select
        month, "object", max(fetched_at) as covers_to,
        sum(greatest(date_diff('second', until_then, least(asked_from, cut_off)), 0)) as missing_seconds
    from pull_reaches group by month, "object"
),

-- One row per month and object.
pull_sums as (
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
    from month_pulls group by month, "object"
),

-- One row per month: the totals of the Returns made in it.
return_sums as (
    select month, string_agg(money_text(total, currency), '; ' order by currency) as sums
    from (
        select strftime(created_at, '%Y-%m') as month, currency, sum(grand_total) as total
        from staging.centra_returns
        where deleted_at is null and created_at < (select as_of from report_period)
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
    case when objects.object = 'returns' then return_sums.sums end as sums,
    covers_from, covers_to, received_at,
    coalesce(missing_seconds = 0 and covers_to >= months.cut_off, false) as is_covered,
    case
        when pulls is null then 'never pulled for this month'
        when missing_seconds is null then 'no pull completed: ' || coalesce(last_problem, 'interrupted')
        when missing_seconds > 0 then 'pulls leave out ' || (missing_seconds // 3600 + 1) || ' hours'
        when covers_to < months.cut_off then 'not pulled since ' || strftime(covers_to, '%Y-%m-%d %H:%M')
    end as problem,
    provenance.*
from all_months as months
cross join objects
cross join provenance
left join pull_sums on pull_sums.month = months.month and pull_sums."object" = objects.object
left join month_coverage on month_coverage.month = months.month and month_coverage."object" = objects.object
left join return_sums on return_sums.month = months.month;
