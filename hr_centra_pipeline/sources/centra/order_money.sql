-- changes: staging.orders
-- kind:  table
-- grain: one row per order: what was captured, and what is asked for

-- What the payment entries of the orders in `paying_orders` say of each order's money, once payments.sql has paired them.
update staging.orders as orders
set captured = known.captured, capture_pending = known.capture_pending, has_unknown_payment = known.has_unknown
from (
    select
        order_number,
        coalesce(sum(amount) filter (where is_captured(money)), 0) as captured,
        coalesce(sum(amount) filter (where money = 'capture_pending'), 0) as capture_pending,
        bool_or(money is null) as has_unknown
    from staging.payment_entries
    semi join paying_orders using (order_number)
    group by order_number
) as known
where known.order_number = orders.order_number;
