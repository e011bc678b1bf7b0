-- makes: month_end.rollforward
-- kind:  table
-- grain: one row per month, kind, currency and owner

-- One row per month, kind, currency and owner. Each event of an exception is a movement from what it was to what it is; the
-- closing of a month is the sum of all movements until then, so that it is the next one's opening. What only the dry run holds back
-- is not open: it moves in when the dry run ends.
create or replace temp table movements as
with
-- What an exception is after each event, and was before it. A closing says nothing new: it takes away what was.
states as (
    select
        exception_id, event, posted_month, kind, counterpart, decision, "by", place,
        event <> 'closed' and not is_dry_run as is_open,
        last_value(
            case
                when event <> 'closed' then struct_pack(owner_team := owner_team, currency := currency, amount := amount)
            end ignore nulls
        )
            over (partition by exception_id order by place) as now_is
    from known_events
    where event <> 'noted'
),

steps as (
    select
        *, lag(now_is) over (partition by exception_id order by place) as was,
        coalesce(lag(is_open) over (partition by exception_id order by place), false) as was_open
    from states
)

select
    posted_month as month,
    kind,
    now_is.currency as currency,
    now_is.owner_team as owner_team,
    1 as times,
    now_is.amount as amount,
    case when counterpart is null and event in ('opened', 'reopened') then 'new' else 'reclassified' end as movement,
    cast(null as varchar) as written_off_by
from steps where is_open and not was_open
union all by name
select
    posted_month as month,
    kind,
    was.currency as currency,
    was.owner_team as owner_team,
    -1 as times,
    -was.amount as amount,
    case when counterpart is null and event = 'closed' then 'resolved' else 'reclassified' end as movement,
    case when decision = 'write_off' then "by" end as written_off_by
from steps where not is_open and was_open
union all by name
-- Changed while open: out of what it was and into what it is, or, when only its amount changed, the difference.
select
    posted_month as month,
    kind,
    was.currency as currency,
    was.owner_team as owner_team,
    -1 as times,
    -was.amount as amount,
    'reclassified' as movement, cast(null as varchar) as written_off_by
from steps where is_open and was_open
    and (was.currency is distinct from now_is.currency or was.owner_team is distinct from now_is.owner_team)
union all by name
select
    posted_month as month,
    kind,
    now_is.currency as currency,
    now_is.owner_team as owner_team,
    1 as times,
    now_is.amount as amount,
    'reclassified' as movement, cast(null as varchar) as written_off_by
from steps where is_open and was_open
    and (was.currency is distinct from now_is.currency or was.owner_team is distinct from now_is.owner_team)
union all by name
select
    posted_month as month, kind, now_is.currency as currency, now_is.owner_team as owner_team, 0 as times,
    now_is.amount - was.amount as amount, 'revalued' as movement, cast(null as varchar) as written_off_by
from steps where is_open and was_open and was.currency is not distinct from now_is.currency
    and was.owner_team is not distinct from now_is.owner_team and was.amount <> now_is.amount
union all by name
-- What was due before the cut-over is in the opening of the first month, whenever it was first seen.
select
    case event when 'opened' then '' else greatest(strftime(recorded_at, '%Y-%m'), first_open_month) end as month,
    'before_cutover' as kind, currency, owner_team, case event when 'opened' then 1 else -1 end as times,
    case event when 'opened' then coalesce(amount, 0) else -coalesce(amount, 0) end as amount,
    case event when 'opened' then 'new' else 'resolved' end as movement, cast(null as varchar) as written_off_by
from month_end.opening_position
join known_runs using (run_number);

delete from month_end.rollforward;
insert into month_end.rollforward by name
with
months as (
    select
        strftime(unnest(generate_series(
            (least(
                coalesce(nullif(first_month, ''), (select min(month) from movements where month <> '')),
                strftime(as_of, '%Y-%m')
            ) || '-01')::date,
            date_trunc('month', as_of)::date, interval 1 month
        )), '%Y-%m') as month
    from report_period
),

lines as (select distinct kind, currency, owner_team from movements),

-- Movements before the first month are its opening.
line_sums as (
    select
        months.month, lines.kind, lines.currency, lines.owner_team,
        coalesce(sum(times) filter (where movements.month < months.month), 0) as opening_count,
        coalesce(sum(amount) filter (where movements.month < months.month), 0) as opening_amount,
        count(*) filter (where movements.month = months.month and movement = 'new') as new_count,
        coalesce(sum(amount) filter (where movements.month = months.month and movement = 'new'), 0) as new_amount,
        count(*) filter (where movements.month = months.month and movement = 'resolved') as resolved_count,
        -coalesce(sum(amount) filter (where movements.month = months.month and movement = 'resolved'), 0)
            as resolved_amount,
        count(*) filter (
            where movements.month = months.month and movement = 'resolved' and written_off_by is not null
        ) as written_off_count,
        -coalesce(
            sum(amount) filter (
                where movements.month = months.month and movement = 'resolved' and written_off_by is not null
            ),
            0
        ) as written_off_amount,
        string_agg(distinct written_off_by, ', ' order by written_off_by) filter (
            where movements.month = months.month
        ) as written_off_by,
        coalesce(sum(times) filter (where movements.month = months.month and movement = 'reclassified'), 0)
            as reclassified_count,
        coalesce(
            sum(amount) filter (where movements.month = months.month and movement in ('reclassified', 'revalued')), 0
        )
            as reclassified_amount,
        coalesce(sum(amount) filter (where movements.month = months.month and movement = 'revalued'), 0)
            as revalued_amount,
        sum(times) as closing_count,
        sum(amount) as closing_amount
    from months
    cross join lines
    join movements
        on movements.month <= months.month and movements.kind = lines.kind
            and movements.currency is not distinct from lines.currency and movements.owner_team = lines.owner_team
    group by all
)

select
    columns(* exclude (opening_count, opening_amount, closing_count, closing_amount)),
    opening_count, opening_amount, closing_count, closing_amount
from line_sums
where opening_count <> 0 or opening_amount <> 0 or new_count <> 0 or resolved_count <> 0 or reclassified_count <> 0
    or reclassified_amount <> 0 or closing_count <> 0 or closing_amount <> 0;
