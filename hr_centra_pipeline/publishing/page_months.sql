-- kind:  query
-- grain: one row per month that there is something to report of

-- What was computed of each month last. Its close and its signatures are asked for elsewhere.
with
months as (
    select month from month_end.month_end
    union
    select month from month_end.closes
),

statuses as (
    select
        month,
        count(*) filter (where status = 'does_not_tie') as untied,
        count(*) filter (where status = 'not_covered') as uncovered,
        count(*) filter (where status = 'late') as late, count(*) as components
    from month_end.month_end group by month
),

open_counts as (
    select month, count(*) as items from month_end.open_items group by month
),

dry_run_counts as (
    select month, count(*) as items from month_end.open_in_dry_run group by month
),

uncovered_sources as (
    select month, count(*) as sources, min(source) as example from month_end.control_totals where not is_covered group by month
)

select
    month,
    case
        when statuses.uncovered > 0 then 'not_covered' when statuses.untied > 0 then 'does_not_tie'
        when statuses.late > 0 then 'late' when statuses.components > 0 then 'ties' else ''
    end as status,
    coalesce(statuses.untied, 0) as untied, coalesce(statuses.uncovered, 0) as uncovered,
    coalesce(open_counts.items, 0) as open_items,
    coalesce(dry_run_counts.items, 0) as dry_run_items, coalesce(uncovered_sources.sources, 0) as uncovered_sources,
    uncovered_sources.example as uncovered_example
from months
left join statuses using (month)
left join open_counts using (month)
left join dry_run_counts using (month)
left join uncovered_sources using (month)
order by month;
