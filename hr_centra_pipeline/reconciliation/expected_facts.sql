-- makes: expected_facts
-- kind:  step
-- grain: one row per unit, cost of a return, or exchange, and component: what the policy says is given back

create or replace temp table expected_facts as
with
units as (
    select
        return_id, order_number, return_item_id, component, currency,
        case component when 'items' then gross - tax else tax end as amount,
        coalesce(credit_due_at, states.created_at) as happened_at,
        credit_due_at is null or (is_missing and opens_at > $now) as is_pending,
        'trigger ' || coalesce(credit_trigger, '?') || ', ' || coalesce(dropoff_method, 'no drop-off method') as source
    from expected_units
    left join return_states as states using (centra_return_id),
        unnest(['items', 'tax']) as components (component)
),

-- One row per return on an order and cost component.
cost_facts as (
    select
        return_id, order_number, component, currency,
        case component when 'shipping' then shipping else taken_off(fee) end as amount,
        happened_at, is_pending,
        case component when 'shipping' then 'shipping ' || shipping_rule
            else 'fee per ' || fee_basis || ', ' || coalesce(dropoff_method, 'no drop-off method')
        end as source
    from expected_costs, unnest(['shipping', 'fee']) as components (component)
),

-- The difference of an exchange is settled outside Centra: by the row's own price difference, or by the prices of both
-- articles where the row names a replacement order that Centra has with a price.
exchanges as (
    select
        refunds.return_id, refunds.order_number, 'exchange' as component, refunds.currency,
        greatest(0, coalesce(price_differences.difference, -refunds.price_difference)) as amount,
        coalesce(refunds.issued_at, refunds.source_time) as happened_at, refunds.status = 'pending' as is_pending,
        case when price_differences.difference is not null then 'prices of both articles' else 'price difference as reported' end
            as source,
        refunds.refund_id
    from staging.refunds
    semi join money_orders using (order_number)
    left join (
        select
            paid.refund_id, sum(units.unit_price - units.voucher_share) - any_value(replacement.value) as difference
        from staging.refund_units as paid
        join known_units as units using (return_item_id)
        join staging.refunds using (refund_id)
        join (
            select order_number, currency, sum(unit_original_price * quantity) as value
            from staging.order_lines
            join staging.orders using (order_number)
            group by order_number, currency
            having min(unit_original_price) > 0
        ) as replacement
            on replacement.order_number = refunds.exchange_order_number and replacement.currency = refunds.currency
        where units.currency = refunds.currency
        group by paid.refund_id
        having count(*) = (select count(*) from staging.refund_units as every where every.refund_id = paid.refund_id)
    ) as price_differences using (refund_id)
    where refunds.refund_type = 'exchange' and refunds.status in ('issued', 'pending')
        and coalesce(price_differences.difference, refunds.price_difference) is not null
)

select
    'expected' as side,
    concat_ws(' ', 'expected', return_item_id, component) as fact_id,
    return_id,
    order_number,
    return_item_id,
    component, currency, amount, 0 as in_goods, happened_at, is_pending, source
from units where amount <> 0 or component = 'items'
union all by name
select
    'expected' as side,
    concat_ws(' ', 'expected', return_id, order_number, currency, component) as fact_id,
    return_id,
    order_number,
    component, currency, amount, 0 as in_goods, happened_at, is_pending, source
from cost_facts where amount <> 0
union all by name
select
    'expected' as side,
    concat_ws(' ', 'expected', refund_id, component) as fact_id,
    return_id,
    order_number,
    component,
    currency,
    amount, 0 as in_goods, happened_at, is_pending, source
from exchanges;
