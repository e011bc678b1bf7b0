-- makes: half_done_returns
-- kind:  step
-- grain: one row per Return that we made, that is half done in Centra and that no packet carries

-- One row per Return that we made, that is half done in Centra and carried by no packet in doubt, with what its packet is made of:
-- pending, or completed by somebody without what it was made for.
create or replace temp table half_done_returns as
with
pending_returns as (
    select returns.*
    from staging.centra_returns as returns
    left join push.packets using (packet_key)
    where returns.deleted_at is null and returns.packet_key is not null
        and (returns.is_completed is distinct from true or returns.centra_return_id::varchar in (
            select centra_id from effects.observed where place = 'return' and not is_complete
        ))
        and len(coalesce(returns.effect_keys, [])) > 0
        and (packets.packet_key is null or packets.state in ('disbanded', 'rejected'))
),

keys as (
    select centra_return_id, packet_key, unnest(effect_keys) as effect_key from pending_returns
),

-- What was done once is not in doubt again: somebody has uncompleted the Return.
confirmed_returns as (
    select distinct keys.centra_return_id
    from keys join push.ledger using (effect_key)
    where ledger.state = 'confirmed'
),

-- Whose effects the keys are: units of their order, whether desired now or not.
units as (
    select
        keys.centra_return_id, keys.effect_key, kinds.kind, matched.return_item_id, matched.shipment_line_id
    from keys
    join pending_returns using (centra_return_id)
    join matching.matched_items as matched using (order_number)
    cross join
        (select effect_kind as kind from policy.effect_types where gives_value(effect_kind)) as kinds
    where keys.effect_key = effect_key(kinds.kind, [matched.return_item_id])
),

-- One row per effect that is planned now.
due_effects as (
    select effect_key, sku, quantity, items + tax as goods, tax_added, pays_through from effects.pending_credit_notes
    union all
    select effect_key, sku, quantity, null, null, null from effects.pending_exchange_orders
),

-- One row per Return: what its effects come to by the plan.
unit_sums as (
    select
        units.centra_return_id,
        bool_or(units.kind = 'exchange_order') as is_exchange,
        bool_and(due_effects.effect_key is not null) as is_desired,
        sum(due_effects.goods)::decimal(18, 4) as planned_goods,
        sum(due_effects.tax_added)::decimal(18, 4) as planned_tax_added,
        case when count(distinct due_effects.pays_through) = 1 then min(due_effects.pays_through) end as pays_through,
        list({ effect_key: units.effect_key, sku: due_effects.sku, quantity: due_effects.quantity } order by units.effect_key)
        filter (where due_effects.sku is not null) as replacements
    from units left join due_effects using (effect_key)
    group by units.centra_return_id
),

-- What Happy Returns' rows say of the payment: it may have been paid there when the Return was made.
reported_rows as (
    select centra_return_id, string_agg(refund_row, '; ' order by refund_row) as rows_issued
    from (
        select distinct
            units.centra_return_id,
            refunds.refund_id
            || ', issued on '
            || strftime(coalesce(refunds.issued_at, refunds.source_time), '%Y-%m-%d') as refund_row
        from units
        join staging.refund_units using (return_item_id)
        join staging.refunds using (refund_id)
        where units.kind = 'credit_note' and refunds.status = 'issued'
    )
    group by centra_return_id
),

lines as (
    select centra_return_id, list({ shipment_line_id: shipment_line_id, quantity: quantity, members: members }) as lines
    from (
        select
            lines.centra_return_id, lines.named_line_id as shipment_line_id, sum(lines.quantity)::bigint as quantity,
            coalesce((
                select list(units.effect_key order by units.effect_key) from units
                where units.centra_return_id = lines.centra_return_id
                    and list_contains(flatten(list(lines.shipment_lines)), units.shipment_line_id)
            ), []) as members
        from (
            -- A bundle's line is staged as its parts.
            select
                centra_return_id,
                centra_return_line_id,
                coalesce(named_shipment_line_id, shipment_line_id) as named_line_id,
                any_value(coalesce(named_quantity, quantity)) as quantity, list(shipment_line_id) as shipment_lines
            from staging.centra_return_lines
            semi join pending_returns using (centra_return_id)
            group by all
        ) as lines
        group by lines.centra_return_id, lines.named_line_id
    )
    group by centra_return_id
)

select
    returns.centra_return_id, returns.packet_key, list_sort(returns.effect_keys) as effect_keys, returns.order_number,
    returns.shipment_id, returns.currency,
    returns.shipping + returns.handling - returns.return_cost as costs_kept,
    returns.shipping_tax_added - returns.return_cost_tax_added as costs_tax_added,
    returns.return_cost, returns.return_cost_tax_added,
    (select orders.tax_mode from staging.orders where orders.order_number = returns.order_number) as tax_mode,
    coalesce(unit_sums.is_exchange, false) as is_exchange,
    coalesce(unit_sums.is_desired, false) as is_desired,
    coalesce(returns.is_completed, false) as is_completed,
    unit_sums.planned_goods, unit_sums.planned_tax_added, unit_sums.pays_through,
    coalesce(unit_sums.replacements, []) as replacements,
    coalesce(lines.lines, []) as lines,
    case when returns.is_completed then reported_rows.rows_issued end as rows_issued,
    exists(
        select 1 from staging.payment_entries as entries
        where entries.centra_return_id = returns.centra_return_id and entries.is_refund
    ) as is_paid,
    (
        select min(orders.order_number) from staging.orders
        where orders.origin_return_key = returns.packet_key and orders.is_cancelled is distinct from true
    ) as replacement_number,
    (
        select coalesce(list(orders.order_number::bigint), []) from staging.orders
        where orders.origin_return_key = returns.packet_key and orders.is_cancelled
    ) as canceled_numbers,
    parameters.first_exchange_number as first_number,
    parameters.last_exchange_number as last_number
from pending_returns as returns
cross join policy.parameters
left join unit_sums using (centra_return_id)
left join lines using (centra_return_id)
left join reported_rows using (centra_return_id)
anti join confirmed_returns using (centra_return_id)
order by returns.centra_return_id;
