-- makes: voucher_shares
-- kind:  step
-- grain: one row per line of an order with a voucher: the share of each of its pieces

-- One row per line of an order with a voucher: what each of its pieces is given of it, by price, in whole cents, and how many of
-- them, the first ones, are given one more (the largest remainders of the order). Both as Centra keeps them, before tax is added
-- or deducted: only there the shares sum to the voucher exactly.
create or replace temp table voucher_shares as
with
lines as (
    select
        orders.order_number, orders.currency, lines.order_line_id, lines.quantity,
        ten_thousandths(orders.discounts) // smallest_unit(orders.currency) as voucher,
        ten_thousandths(lines.unit_price - lines.unit_tax_added) as weight,
        sum(lines.quantity * ten_thousandths(lines.unit_price - lines.unit_tax_added)) over (
            partition by orders.order_number
        )::hugeint as weights
    from staging.orders
    semi join matching.orders_in_play using (order_number)
    join staging.order_lines as lines using (order_number)
    where orders.discounts > 0 and lines.quantity > 0
),

whole_shares as (
    select
        *, voucher * weight // weights as share, voucher * weight % weights as rest
    from lines where weights > 0
),

-- The pieces of a line have one remainder: they come one after the other.
shares_with_rest as (
    select
        *, (
            voucher - sum(quantity * share) over (partition by order_number)
            - coalesce(sum(quantity) over (
                partition by order_number order by rest desc, try_cast(order_line_id as bigint), order_line_id
                rows between unbounded preceding and 1 preceding
            ), 0)
        )::hugeint as left_over
    from whole_shares
)

select
    order_line_id, quantity, greatest(least(left_over, quantity), 0) as pieces_with_more,
    (share * smallest_unit(currency))::decimal(38, 0) * 0.0001::decimal(5, 4) as voucher_share,
    ((share + 1) * smallest_unit(currency))::decimal(38, 0) * 0.0001::decimal(5, 4) as larger_share
from shares_with_rest;
