-- makes: reconciliation.settled_orders
-- kind:  table
-- grain: one row per active order of which nothing is pending, in doubt or in trouble

-- Active orders of which nothing is pending, in doubt or in trouble (open, or about to be): the next run leaves them alone.
delete from reconciliation.settled_orders where order_number in (select order_number from matching.orders_in_play);
insert into reconciliation.settled_orders
with
-- One row per return on an order with a finding or an exception.
troubled_returns as (
    select return_id, order_number from findings
    union all
    select return_id, order_number from reconciliation.exceptions
),

-- One row per reason why an order is not settled.
unfinished_orders as (
    select order_number from pending_effects
    anti join (select effect_key from push.ledger where state = 'confirmed') as confirmed_effects using (effect_key)
    union all
    select order_number from push.ledger where state not in ('confirmed', 'withdrawn')
    union all
    select order_number from troubled_returns
    union all
    select items.order_number from staging.return_items as items semi join troubled_returns using (return_id)
    union all
    -- What is pending inside its window is so by the clock: it ends without anything being landed.
    select order_number from reconciliation.refund_match where explained_by = 'pending'
    union all
    select order_number
    from reconciliation.payouts
    where verdict not in ('agrees', 'paid_again', 'chargeback_settled', 'not_covered')
)

select order_number from matching.orders_in_play
anti join unfinished_orders using (order_number);
