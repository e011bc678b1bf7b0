-- makes: shadow_criteria
-- kind:  step
-- grain: one row per criterion for going live

-- Ready to go live? One row per criterion over the decisions of a period ($from_at to $to_at).
create or replace temp table shadow_criteria as
with
decisions as (
    select * from reconciliation.shadow
    where happened_at >= $from_at::timestamptz and happened_at < $to_at::timestamptz and outcome <> 'too_early'
),

-- One row: how many decisions were compared, over how many days.
decision_counts as (
    select
        count(*) as decisions, date_diff('day', min(happened_at), $to_at::timestamptz) as days,
        count(*) filter (where outcome <> 'same' and sided_with <> 'us') as alone
    from decisions
),

-- Orders on which we would give back more than was captured.
overpaid_orders as (
    select count(*) as orders
    from (
        select order_number, sum(our_amount) as ours from decisions
        where effect_kind = 'credit_note' and our_amount is not null group by order_number
    )
    join staging.orders using (order_number)
    where ours > captured and captured > 0
),

open_ones as (
    select
        count(*) filter (where kind = 'source_not_covered') as sources,
        count(*) filter (where cause = 'policy_gap' and kind = 'unmapped_disposition') as gaps
    from reconciliation.exceptions
),

-- One row: what the policy asks for.
thresholds as (
    select shadow_days, shadow_least_decisions, shadow_most_alone_percent from policy.parameters
)

select
    1 as place,
    'days observed' as criterion,
    'at least ' || shadow_days as required,
    coalesce(days, 0)::varchar as found,
    coalesce(days, 0) >= shadow_days as passed
from decision_counts cross join thresholds
union all
select
    2,
    'decisions compared',
    'at least ' || shadow_least_decisions,
    decisions::varchar,
    decisions >= shadow_least_decisions
from decision_counts cross join thresholds
union all
select
    3, 'decisions in which people and Happy Returns both disagree with us',
    'at most ' || regexp_replace(shadow_most_alone_percent::varchar, '\.?0+$', '') || ' %',
    alone || ' of ' || decisions,
    decisions > 0 and alone * 100 <= shadow_most_alone_percent * decisions
from decision_counts cross join thresholds
union all
select 4, 'orders on which we would give back more than was captured', 'none', orders::varchar, orders = 0 from overpaid_orders
union all
select 5, 'sources that are not covered', 'none', sources::varchar, sources = 0 from open_ones
union all
select 6, 'grades that the policy does not map', 'none', gaps::varchar, gaps = 0 from open_ones
order by place;
