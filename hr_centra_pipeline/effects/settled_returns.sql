-- makes: settled_returns
-- kind:  step
-- grain: one row per Return of the active orders: what was paid on it, and what one payment of it is
-- loop:  push.ledger, push.packets: the tax that Centra showed when a Return was made is kept with its packet

-- What was paid on each Return of the active orders, and what one payment of it is (`settled`): its total. Where Centra adds the
-- tax it may settle it after the payment: then it is what was paid. That is as far as what was paid beyond the value can be its
-- tax: what Centra says of it now, or said when we made the Return, and what the policy allows. More was paid on top of it.
create or replace temp table settled_returns as
with
sums_paid as (
    select
        centra_return_id, sum(amount)::decimal(18, 4) as given, count(*) as payments,
        coalesce(sum(amount) filter (where is_refunded(money)), 0)::decimal(18, 4) as paid,
        max(created_at) filter (where is_refunded(money)) as paid_at,
        max(created_at) as given_at,
        bool_or(is_refund_open(money)) as is_pending,
        coalesce(sum(amount) filter (where not is_gift_card(instrument)), 0)::decimal(18, 4) as refunded,
        coalesce(sum(amount) filter (where is_gift_card(instrument)), 0)::decimal(18, 4) as gifted
    from staging.payment_entries
    semi join matching.orders_in_play using (order_number)
    where is_given_back(money) and centra_return_id is not null
    group by centra_return_id
),

-- one row per Return that we made and that was read when it was made
taxes_at_creation as (
    select
        try_cast(centra_id as bigint) as centra_return_id,
        max((payload ->> 'created_total')::decimal(18, 4) - (payload ->> 'created_kept')::decimal(18, 4)) as tax
    from push.packets
    semi join (
        select distinct packet_key from push.ledger semi join matching.orders_in_play using (order_number)
    ) as active_packets using (packet_key)
    where operation = 'credit' and state in ('unknown', 'confirmed') and (payload ->> 'tax_mode') in ('added', 'none')
    group by all
),

known_returns as (
    select
        returns.*, orders.tax_mode, sums_paid.* exclude (centra_return_id),
        -- An export's is deducted, it has none; an order without tax may have a Return to which the engine adds one.
        greatest(returns.grand_total - returns.net_total, taxes_at_creation.tax, 0)::decimal(18, 4) as tax_at_most
    from staging.centra_returns as returns
    semi join matching.orders_in_play on orders_in_play.order_number = returns.order_number
    left join staging.orders as orders on orders.order_number = returns.order_number
    left join sums_paid on sums_paid.centra_return_id = returns.centra_return_id
    left join taxes_at_creation on taxes_at_creation.centra_return_id = returns.centra_return_id
)

select
    centra_return_id, order_number, currency, tax_mode, grand_total, net_total, created_at, is_completed, deleted_at,
    given, coalesce(payments, 0) as payments, coalesce(paid, 0)::decimal(18, 4) as paid, paid_at, given_at,
    coalesce(is_pending, false) as is_pending, coalesce(refunded, 0)::decimal(18, 4) as refunded,
    coalesce(gifted, 0)::decimal(18, 4) as gifted,
    (case
        when tax_mode in ('added', 'none') and payments = 1 and given >= net_total
            and given <= net_total + tax_at_most + policy.tax_allowed(tax_at_most, currency) then given
        else grand_total
    end)::decimal(18, 4) as settled
from known_returns;
