-- makes: settled_amounts
-- kind:  step
-- grain: one row per credit that we made and whose paid amount Centra settled later

-- What our credits have really given back, where Centra settles their tax: what was paid, else what the completed Return
-- gives. The ledger's amounts were estimates until then.
create or replace temp table settled_amounts as
with
-- one row per Return that a pull has shown with its payment, or completed
pulled_returns as (
    select
        returns.centra_return_id, returns.currency, settlements.settled as total,
        returns.shipping + returns.handling + returns.shipping_tax_added as shipping,
        returns.return_cost + returns.return_cost_tax_added as fee,
        (
            select sum(quantity)
            from staging.centra_return_lines as lines
            where lines.centra_return_id = returns.centra_return_id
        ) as pieces
    from staging.centra_returns as returns
    join settled_returns as settlements using (centra_return_id)
    where returns.deleted_at is null
        and settlements.tax_mode in ('added', 'none')
        and (settlements.payments > 0 or returns.is_completed)
),

-- one row per Return that only the push has seen so far: its costs as planned
pushed_returns as (
    select
        try_cast(centra_id as bigint) as centra_return_id, payload ->> 'currency' as currency,
        coalesce(payload ->> 'paid', payload ->> 'final_total')::decimal(18, 4) as total,
        cast(null as decimal(18, 4)) as shipping,
        ((payload ->> 'fee')::decimal(18, 4) + (payload ->> 'fee_tax')::decimal(18, 4))::decimal(18, 4) as fee
    from push.packets
    semi join (
        select distinct packet_key from push.ledger semi join matching.orders_in_play using (order_number)
    ) as active_packets using (packet_key)
    where operation = 'credit'
        and state = 'confirmed'
        and coalesce(payload ->> 'paid', payload ->> 'final_total') is not null
        and try_cast(centra_id as bigint) not in (select centra_return_id from pulled_returns)
),

-- one row per effect of hr-centra that one of them carries
members as (
    select
        -- After our database was lost, nobody knows what a fee was planned as.
        ledger.effect_key, ledger.effect_kind, coalesce(ledger.amount, 1) as amount, settlements.* exclude (shipping),
        coalesce(
            settlements.shipping, sum(ledger.amount) filter (where effect_kind = 'shipping_refund') over of_return, 0
        ) as shipping,
        count(*) filter (where effect_kind = 'credit_note') over of_return as units,
        sum(coalesce(ledger.amount, 1)) over so_far as upto,
        sum(coalesce(ledger.amount, 1)) over of_kind as whole
    from (
        from pulled_returns
        union all by name
        from pushed_returns
    ) as settlements
    join push.ledger on ledger.centra_id = settlements.centra_return_id::varchar
    where ledger.state = 'confirmed' and not ledger.is_foreign
        and is_part_of_a_credit(ledger.effect_kind)
    window
        of_return as (partition by settlements.centra_return_id),
        of_kind as (partition by settlements.centra_return_id, ledger.effect_kind),
        so_far as (
            partition by settlements.centra_return_id, ledger.effect_kind order by ledger.effect_key
            rows between unbounded preceding and current row
        )
)

select
    effect_key,
    part_of(
        (
            case effect_kind
                when 'shipping_refund' then shipping when 'return_fee' then fee else total - shipping + fee
            end
        )::decimal(18, 4),
        (upto - amount)::decimal(18, 4), upto::decimal(18, 4), whole::decimal(18, 4), currency
    ) as amount
from members
-- A Return of other pieces than ours is another trouble.
where coalesce(pieces = units, true) and whole > 0;
