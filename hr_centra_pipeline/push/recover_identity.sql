-- changes: push.ledger
-- kind:  table
-- grain: one row per effect key that Centra shows and no plan names, with whose it is

-- After our database was lost: whose effects the keys are that Centra shows and that no plan names. Keys are hashes, so the
-- possible keys of every active unit are made and compared.
-- Computed first: as part of the update the recursion is planned a hundred times slower.
create or replace temp table possible as
with recursive
units as (
    from matching.matched_items semi join matching.orders_in_play using (order_number)
),

-- Ordered again, and moved again, are looked for only where the one before was found.
exchanged as (
    select 1 as ordinal, effect_key('exchange_order', exchange_ids(return_item_id, 1)) as effect_key, units.* from units
    union all
    select
        ordinal + 1 as ordinal, effect_key('exchange_order', exchange_ids(return_item_id, ordinal + 1)) as effect_key,
        exchanged.* exclude (ordinal, effect_key)
    from exchanged
    semi join push.ledger using (effect_key)
    where ordinal < 9
),

of_units as (
    select
        effect_key, effect_kind, return_id, return_item_id, order_number, shipment_line_id, currency,
        unit_price - coalesce(voucher_share, 0) as amount
    from (
        select effect_key('credit_note', [return_item_id]) as effect_key, 'credit_note' as effect_kind, units.*
        from units
        union all
        select effect_key, 'exchange_order', exchanged.* exclude (ordinal, effect_key) from exchanged
    )
),

moved as (
    select 1 as ordinal, effect_key('inventory_adjustment', [return_item_id, '1']) as effect_key, units.* from units
    union all
    select
        ordinal + 1 as ordinal,
        effect_key('inventory_adjustment', [moved.return_item_id, (ordinal + 1)::varchar]) as effect_key,
        moved.* exclude (ordinal, effect_key)
    from moved
    semi join push.ledger using (effect_key)
),

of_movements as (
    select
        effect_key, 'inventory_adjustment' as effect_kind, return_id, return_item_id, order_number, shipment_line_id,
        currency, unit_price as amount
    from moved
),

of_returns as (
    select
        effect_key(kind, [return_id, order_number]) as effect_key, kind as effect_kind, return_id,
        cast(null as varchar) as return_item_id, order_number, cast(null as bigint) as shipment_line_id,
        cast(null as varchar) as currency, cast(null as decimal(18, 4)) as amount
    from (from staging.returns semi join matching.orders_in_play using (order_number)) as pairs,
        unnest(['return_fee', 'shipping_refund']) as kinds (kind)
)

from of_units
union all by name
from of_movements
union all by name
from of_returns;

update push.ledger
set
    effect_kind = possible.effect_kind,
    return_id = possible.return_id,
    return_item_id = possible.return_item_id,
    order_number = possible.order_number,
    shipment_line_id = possible.shipment_line_id,
    currency = coalesce(ledger.currency, possible.currency),
    amount = coalesce(ledger.amount, possible.amount)
from possible
where possible.effect_key = ledger.effect_key and ledger.return_id is null;
