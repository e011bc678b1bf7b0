-- After our database was lost: whose effects the keys are that Centra shows and that no plan names. Keys are hashes, so
-- every unit's possible keys are made and compared; a unit that moved more than 16 times stays without its unit here.
update push.ledger
set
    effect_kind = found.effect_kind,
    return_id = found.return_id,
    return_item_id = found.return_item_id,
    order_number = found.order_number,
    shipment_line_id = found.shipment_line_id,
    currency = coalesce(ledger.currency, found.currency),
    amount = coalesce(ledger.amount, found.amount)
from (
    with
    of_units as (
        select
            effect_key(kind, [return_item_id]) as effect_key, kind as effect_kind, return_id, return_item_id,
            order_number, shipment_line_id, currency, unit_price - coalesce(voucher_share, 0) as amount
        from matching.matched_items, unnest(['credit_note', 'exchange_order']) as kinds(kind)
    ),

    of_movements as (
        select
            effect_key('inventory_adjustment', [return_item_id, ordinal::varchar]) as effect_key,
            'inventory_adjustment' as effect_kind, return_id, return_item_id,
            order_number, shipment_line_id, currency, unit_price as amount
        from matching.matched_items, range(1, 17) as ordinals(ordinal)
    ),

    of_returns as (
        select
            effect_key(kind, [return_id, order_number]) as effect_key, kind as effect_kind, return_id,
            cast(null as varchar) as return_item_id, order_number, cast(null as bigint) as shipment_line_id,
            cast(null as varchar) as currency, cast(null as decimal(18, 4)) as amount
        from staging.returns, unnest(['return_fee', 'shipping_refund']) as kinds(kind)
    )

    from of_units
    union all by name from of_movements
    union all by name from of_returns
) as found
where found.effect_key = ledger.effect_key and ledger.return_id is null;
