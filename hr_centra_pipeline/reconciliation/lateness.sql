-- makes: reconciliation.lateness
-- kind:  table
-- grain: one row per stage and drop-off method: how long it usually takes

-- How long each stage of the way takes, by what was seen last and drop-off method, from our own history. The line is the
-- median over weeks of each week's 95th percentile: a week or two in which nothing moved do not change it, a lasting
-- change does. Weeks whose slowest units may still be under way are left out.
delete from reconciliation.lateness;
insert into reconciliation.lateness by name
with
policy_windows as (
    select
        max(window_hours) filter (where awaits = 'goods') as stalled_hours,
        max(window_hours) filter (where awaits = 'grade') as ungraded_hours
    from policy.exception_kinds
),

-- One row per physical event of a unit, with when the next came.
unit_events as (
    select
        events.return_item_id,
        events.event,
        events.happened_at,
        coalesce(items.dropoff_method, 'unknown') as dropoff_method,
        lead(events.happened_at)
            over (partition by events.return_item_id order by events.happened_at, events.event)
            as next_at
    from staging.return_item_events as events
    join staging.return_items as items using (return_item_id)
    cross join policy.parameters
    where events.is_physical and events.happened_at >= $now::timestamptz - to_days(7 * parameters.lateness_weeks)
),

weeks as (
    select
        event as stage, dropoff_method, date_trunc('week', happened_at) as week, count(*) as units,
        quantile_cont(date_diff('minute', happened_at, next_at) / 60.0, 0.5) as p50,
        quantile_cont(date_diff('minute', happened_at, next_at) / 60.0, 0.95) as p95
    from unit_events
    cross join policy_windows
    where next_at is not null and event <> 'graded'
        and date_trunc('week', happened_at)
        + interval 7 day
        + to_hours(greatest(stalled_hours, ungraded_hours)::integer)
        <= $now
    group by all
),

-- One row per stage and drop-off method with history.
learned_stages as (
    select
        stage, dropoff_method, sum(units)::bigint as units, count(*) as weeks, round(median(p50))::bigint as p50_hours,
        ceil(median(p95))::bigint as p95_hours
    from weeks group by all
),

-- The same rows, beside the policy's windows.
judged_stages as (
    select
        learned_stages.*,
        -- where a unit arrives, the next that is to happen is its grade
        case when stage = 'warehouse_received'
                or (stage = 'received' and ends_at_drop_off(dropoff_method))
                then ungraded_hours
            else stalled_hours
        end as policy_hours,
        units >= parameters.lateness_least_units and weeks >= parameters.lateness_least_weeks as is_learned,
        parameters.lateness_factor
    from learned_stages
    cross join policy_windows
    cross join policy.parameters
)

select
    stage, dropoff_method, units, weeks, p50_hours, p95_hours, policy_hours, is_learned,
    case
        when is_learned then least(greatest(ceil(p95_hours * lateness_factor)::bigint, 24), 2 * policy_hours) else
            policy_hours
    end
        as window_hours,
    $now::timestamptz as computed_at
from judged_stages;
