-- kind:  query
-- grain: one row per place where the roll-forward does not tie, as a sentence

-- Where the roll-forward does not tie, in words. Its closing is a sum of movements; here it is counted again, exception by
-- exception, and compared with the month before, with what was frozen, and with what is open now.
with
month_closings as (
    select kind, currency, owner_team, month, closing_count, closing_amount, opening_count, opening_amount
    from month_end.rollforward
),

-- What is open after the requested month.
open_sums as (
    select kind, told.owner_team as owner_team, told.currency as currency, count(*) as items, sum(told.amount) as amount
    from (
        select
            exception_id, any_value(kind) as kind, arg_max(event, place) filter (where event <> 'noted') as last_event,
            arg_max(
                struct_pack(owner_team := owner_team, currency := currency, amount := amount, is_dry_run := is_dry_run), place
            )
            filter (where event in ('opened', 'reopened', 'changed', 'assigned')) as told
        from known_events
        where posted_month <= (select month from report_period)
        group by exception_id
    )
    where last_event <> 'closed' and not told.is_dry_run
    group by all
)

select
    'Closing of ' || (select month from report_period) || ', ' || coalesce(open_sums.kind, rolled.kind) || ' '
    || coalesce(open_sums.currency, rolled.currency, 'without currency')
    || ': rolled forward ' || coalesce(closing_count, 0) || ' (' || coalesce(closing_amount, 0) || '), open are '
    || coalesce(items, 0) || ' (' || coalesce(amount, 0) || ').'
from open_sums
full join (
    from month_closings
    where month = (select month from report_period) and kind <> 'before_cutover' and (closing_count <> 0 or closing_amount <> 0)
)
    as rolled
    on rolled.kind = open_sums.kind and rolled.owner_team = open_sums.owner_team
        and rolled.currency is not distinct from open_sums.currency
where coalesce(closing_count, 0) <> coalesce(items, 0) or coalesce(closing_amount, 0) <> coalesce(amount, 0)
union all
-- The opening is the last closing, to the cent: of the frozen month where there is one.
select
    'Opening of ' || following.month || ', ' || coalesce(before.kind, following.kind) || ' '
    || coalesce(before.currency, following.currency, 'without currency')
    || ': ' || coalesce(opening_count, 0) || ' (' || coalesce(opening_amount, 0) || '), the month before closed with '
    || coalesce(before.closing_count, 0) || ' (' || coalesce(before.closing_amount, 0) || ').'
from (
    select
        rows.content ->> 'kind' as kind,
        rows.content ->> 'currency' as currency,
        rows.content ->> 'owner_team' as owner_team,
        (rows.content ->> 'closing_count')::bigint as closing_count,
        (rows.content ->> 'closing_amount')::decimal(38, 4) as closing_amount,
        strftime((valid_closes.month || '-01')::date + interval 1 month, '%Y-%m') as next_month
    from valid_closes
    join month_end.closed_rows as rows using (run_number)
    where rows.table_name = 'rollforward' and (closing_count <> 0 or closing_amount <> 0)
) as before
full join (
    select month_closings.* from month_closings
    join
        (select strftime((month || '-01')::date + interval 1 month, '%Y-%m') as month from valid_closes) as next_months
        using (month)
    where opening_count <> 0 or opening_amount <> 0
)
    as following
    on following.month = before.next_month and following.kind = before.kind and following.owner_team = before.owner_team
        and following.currency is not distinct from before.currency
where coalesce(before.next_month, following.month) <= (select strftime(as_of, '%Y-%m') from report_period)
    and (
        coalesce(opening_count, 0) <> coalesce(before.closing_count, 0)
        or coalesce(opening_amount, 0) <> coalesce(before.closing_amount, 0)
    )
union all
-- What is open now, as the list of exceptions has it; only when nothing was learnt since.
select
    'Open now, '
    || coalesce(live.kind, rolled.kind)
    || ' '
    || coalesce(live.currency, rolled.currency, 'without currency')
    || ': rolled forward '
    || coalesce(closing_count, 0) || ' (' || coalesce(closing_amount, 0) || '), reconciliation.exceptions has '
    || coalesce(items, 0) || ' (' || coalesce(amount, 0) || ').'
from (
    select kind, currency, owner_team, count(*) as items, sum(coalesce(amount, 0)) as amount
    from reconciliation.exceptions group by all
) as live
full join (
    from month_closings
    where month = (select strftime(as_of, '%Y-%m') from report_period)
        and kind <> 'before_cutover'
        and (closing_count <> 0 or closing_amount <> 0)
) as rolled
    on rolled.kind = live.kind
        and rolled.owner_team = live.owner_team
        and rolled.currency is not distinct from live.currency
where (select as_of from report_period)
    >= coalesce((select max(recorded_at) from reconciliation.exception_events), '-infinity'::timestamptz)
    and exists (select 1 from reconciliation.exceptions)
    and (coalesce(closing_count, 0) <> coalesce(items, 0) or coalesce(closing_amount, 0) <> coalesce(amount, 0))
order by 1;
