-- changes: reconciliation.refund_facts
-- kind:  table
-- grain: one row per line of a provider and Centra's facts of the Return that it paid

-- The provider's side of the facts.
insert into reconciliation.refund_facts by name
with
line_amounts as (
    select
        payouts.centra_return_id, lines.payout_line_id, -lines.gross_amount as amount, lines.happened_at, lines.source
    from tied_lines as lines
    join reconciliation.payouts using (payout_tie_id)
    where payouts.centra_return_id is not null and lines.currency = payouts.currency
    union all
    select centra_return_id, payout_tie_id, 0, credited_at, 'in no settlement file'
    from reconciliation.payouts
    semi join money_orders using (order_number)
    where verdict = 'not_settled'
),

-- A provider reports one amount: it is shared over what its Return is made of, in proportion.
return_shares as (
    select
        facts.*,
        sum(amount)
            over (partition by source order by fact_id rows between unbounded preceding and current row)
            as upto,
        sum(amount) over (partition by source) as whole
    from reconciliation.refund_facts as facts
    semi join (select distinct 'Return ' || centra_return_id as source from line_amounts) as returns using (source)
    where facts.side = 'centra'
)

select
    'provider' as side,
    concat_ws(' ', 'provider', line_amounts.payout_line_id, return_shares.fact_id) as fact_id,
    return_shares.return_id,
    return_shares.order_number, return_shares.return_item_id, return_shares.component, return_shares.currency,
    part_of(
        line_amounts.amount,
        return_shares.upto - return_shares.amount,
        return_shares.upto,
        return_shares.whole,
        return_shares.currency
    ) as amount,
    0 as in_goods,
    line_amounts.happened_at, false as is_pending, line_amounts.source
from line_amounts
join return_shares on return_shares.source = 'Return ' || line_amounts.centra_return_id
where return_shares.whole <> 0;
