-- Which findings are exceptions now: their window is over, they are not older than the cut-over, and no more telling kind
-- stands for the same subject of the same unit.
create or replace temp table open_now as
with
named as (
    select
        'EX' || substr(effect_key('exception ' || findings.kind, [
            subject, coalesce(identity, ''), coalesce(findings.return_id, ''), coalesce(findings.return_item_id, ''), coalesce(order_number, '')
        ]), 3) as exception_id,
        findings.* exclude (window_hours),
        coalesce(findings.window_hours, rules.window_hours) as window_hours,
        rules.owner_team, rules.precedence
    from findings
    join policy.exception_kinds as rules using (kind)
),

-- One row per return: whether it is to be acted on. What happened after the cut-over counts for the others too.
begun as (
    select return_id, bool_and(is_after_cutover) as is_after_cutover from effects.units group by return_id
    union all
    select return_id, bool_and(created_at >= parameters.cutover)
    from staging.returns
    cross join policy.parameters
    anti join effects.units using (return_id)
    group by return_id
),

due as (
    select named.*, fact_at + to_hours(named.window_hours::integer) as opens_at
    from named
    cross join policy.parameters
    left join begun using (return_id)
    where subject = 'source'
        or coalesce(begun.is_after_cutover, named.return_id is not null)
        or fact_at >= parameters.cutover
)

select * exclude (precedence)
from due
where opens_at <= $now
qualify return_item_id is null
    or row_number() over (partition by return_item_id, subject order by precedence, exception_id) = 1;
