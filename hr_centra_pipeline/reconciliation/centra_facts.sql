-- makes: centra_facts
-- kind:  step
-- grain: one row per Return, piece or cost, and component: what Centra says was given back

create or replace temp table centra_facts as
with
amounts as (
    select
        centra_return_id,
        return_id,
        order_number,
        return_item_id,
        currency,
        shipment_line_id || '/' || piece as place,
        component,
        case component when 'items' then gross - tax else tax end as amount, 0 as in_goods
    from return_pieces, unnest(['items', 'tax']) as components (component)
    where not is_exchange
    union all by name
    select
        centra_return_id, return_id, order_number, currency, '' as place, component,
        case component when 'shipping' then shipping else taken_off(fee) end as amount, 0 as in_goods
    from return_costs, unnest(['shipping', 'fee']) as components (component)
    where not is_exchange
    union all by name
    -- The Return of an exchange gives goods, not money; what was paid on it all the same is money.
    select
        centra_return_id, return_id, order_number, return_item_id, currency, place, 'exchange' as component,
        paid_part as amount, value - paid_part as in_goods
    from (
        select
            exchange_values.*,
            case when given = 0 then 0 else part_of(given, upto - value, upto, whole, currency) end as paid_part
        from (
            select
                *, sum(value) over (
                    partition by centra_return_id
                    order by place, return_id rows between unbounded preceding and current row
                ) as upto,
                sum(value) over (partition by centra_return_id) as whole
            from (
                select
                    centra_return_id,
                    return_id,
                    order_number,
                    return_item_id,
                    currency,
                    shipment_line_id || '/' || piece as place,
                    gross as value
                from return_pieces where is_exchange
                union all by name
                select centra_return_id, return_id, order_number, currency, 'costs' as place, shipping + taken_off(fee) as value
                from return_costs where is_exchange and shipping <> fee
            )
        ) as exchange_values
        join return_states using (centra_return_id)
    )
)

select
    'centra' as side,
    concat_ws(' ', 'centra', centra_return_id, coalesce(return_id, '-'), place, component) as fact_id,
    return_id, order_number, return_item_id, component, currency, amount, in_goods,
    -- Money in place of a replacement is given when it is asked for, not when the Return of the exchange was made.
    case
        when component = 'exchange' and amount <> 0 then coalesce(states.given_at, states.created_at) else
            states.created_at
    end
        as happened_at,
    states.is_pending, 'Return ' || centra_return_id as source
from amounts
join return_states as states using (centra_return_id)
where amount <> 0 or in_goods <> 0 or component in ('items', 'exchange');
