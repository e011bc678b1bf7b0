-- makes: reported_facts
-- kind:  step
-- grain: one row per refund row, unit and component: what Happy Returns says was given back

-- One row per refund row and unit that it pays (one without a unit where none is known), with the unit's weight.
create or replace temp table row_units as
with
weighed_units as (
    select
        refunds.refund_id, units.return_item_id, refunds.currency,
        coalesce(matched.unit_price - coalesce(matched.voucher_share, 0), 0) as price
    from staging.refunds
    semi join money_orders using (order_number)
    left join staging.refund_units as units using (refund_id)
    left join matching.matched_items as matched using (return_item_id)
    where refunds.status in ('issued', 'pending')
),

positive_weights as (
    select *, case when min(price) over (partition by refund_id) > 0 then price else 1 end as weight from weighed_units
)

select
    refund_id, return_item_id, sum(weight) over row_so_far - weight as before, sum(weight) over row_so_far as upto,
    sum(weight) over (partition by refund_id) as whole,
    row_number() over row_so_far as place, count(*) over (partition by refund_id) as units
from positive_weights
window row_so_far as (partition by refund_id order by return_item_id rows between unbounded preceding and current row);

create or replace temp table reported_facts as
with
refund_rows as (
    select
        refunds.*, coalesce(issued_at, source_time) as happened_at, status = 'pending' as is_pending,
        source_file || ':' || source_line as source
    from staging.refunds
    semi join money_orders using (order_number)
    where status in ('issued', 'pending')
),

-- Costs are compared with tax: what is reported before it gets Centra's own tax of that cost, shared over the rows.
rows_with_tax as (
    select
        refund_rows.* replace (
            reported_with_tax(shipping_told, shipping_tax, shipping, taxed.reported_costs, currency)
            - reported_with_tax(
                shipping_told - shipping_refund, shipping_tax, shipping, taxed.reported_costs, currency
            ) as shipping_refund,
            reported_with_tax(fee_told, fee_tax, fee, taxed.reported_costs, currency) - reported_with_tax(
                fee_told - processing_fee, fee_tax, fee, taxed.reported_costs, currency
            ) as processing_fee
        )
    from (
        select
            *,
            (sum(shipping_refund) over so_far)::decimal(18, 4) as shipping_told,
            (sum(processing_fee) over so_far)::decimal(18, 4) as fee_told
        from refund_rows
        window
            so_far as (
                partition by return_id, order_number, currency
                order by refund_id rows between unbounded preceding and current row
            )
    ) as refund_rows
    left join cost_taxes as taxed using (return_id, order_number)
),

-- One row per amount of a row. A fee per item belongs to the units, a fee per return and shipping to the whole return.
amounts as (
    select
        refund_rows.refund_id, return_id, order_number, currency, happened_at, is_pending, source, component,
        case component
            when 'items' then item_subtotal - coalesce(discount, 0)
            when 'tax' then tax
            when 'shipping' then shipping_refund
            when 'fee' then taken_off(processing_fee)
            else total_refunded
        end as amount,
        component in ('items', 'tax', 'exchange')
        or (component = 'fee' and fee_basis is not distinct from 'item') as is_of_units
    from rows_with_tax as refund_rows, unnest(['items', 'tax', 'shipping', 'fee', 'exchange']) as components (component)
    where (component = 'exchange') = (refund_type = 'exchange')
),

shared_amounts as (
    select
        amounts.*, return_item_id, units,
        case when component = 'fee' then place - 1 else before end as before,
        case when component = 'fee' then place else upto end as upto,
        case when component = 'fee' then units else whole end as whole
    from amounts
    join row_units using (refund_id)
    where is_of_units and amount is not null
)

select
    'happy_returns' as side,
    concat_ws(' ', 'happy_returns', refund_id, coalesce(return_item_id, '-'), component) as fact_id,
    return_id, order_number, return_item_id, component, currency,
    case when units = 1 then amount else part_of(amount, before, upto, whole, currency) end as amount,
    0 as in_goods, happened_at, is_pending, source
from shared_amounts
union all by name
select
    'happy_returns' as side,
    concat_ws(' ', 'happy_returns', refund_id, '-', component) as fact_id,
    return_id,
    order_number,
    component, currency, amount, 0 as in_goods, happened_at, is_pending, source
from amounts where not is_of_units and amount <> 0;
