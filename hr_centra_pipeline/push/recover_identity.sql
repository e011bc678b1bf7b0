-- changes: push.ledger
-- kind:  table
-- grain: one row per effect key that Centra shows and no plan names, with whose it is

-- After our database was lost: whose effects the keys are that Centra shows and that no plan names. Keys are hashes, so the
-- possible keys of every active unit are made and compared.
-- Computed first: as part of the update the recursion is planned a hundred times slower.
create or replace temp table possible_effects as
with recursive
units as (
    from matching.matched_items semi join matching.orders_in_play using (order_number)
),

-- Ordered again, and moved again, are looked for only where the one before was found.
exchange_keys as (
    select 1 as ordinal, effect_key('exchange_order', exchange_ids(return_item_id, 1)) as effect_key, units.* from units
    union all
    select
        ordinal + 1 as ordinal, effect_key('exchange_order', exchange_ids(return_item_id, ordinal + 1)) as effect_key,
        exchange_keys.* exclude (ordinal, effect_key)
    from exchange_keys
    semi join push.ledger using (effect_key)
    where ordinal < 9
),

-- One row per credit or replacement that a unit can have.
unit_effects as (
    select
        effect_key, effect_kind, return_id, return_item_id, order_number, shipment_line_id, currency,
        unit_price - coalesce(voucher_share, 0) as amount
    from (
        select effect_key(kinds.effect_kind, [return_item_id]) as effect_key, kinds.effect_kind, units.*
        from units
        cross join (from policy.effect_types where is_once_per_unit(effect_kind)) as kinds
        union all
        select effect_key, 'exchange_order', exchange_keys.* exclude (ordinal, effect_key) from exchange_keys
    )
),

movement_keys as (
    select 1 as ordinal, effect_key('inventory_adjustment', [return_item_id, '1']) as effect_key, units.* from units
    union all
    select
        ordinal + 1 as ordinal,
        effect_key('inventory_adjustment', [movement_keys.return_item_id, (ordinal + 1)::varchar]) as effect_key,
        movement_keys.* exclude (ordinal, effect_key)
    from movement_keys
    semi join push.ledger using (effect_key)
),

-- One row per stock movement that a unit can have.
movement_effects as (
    select
        effect_key, 'inventory_adjustment' as effect_kind, return_id, return_item_id, order_number, shipment_line_id,
        currency, unit_price as amount
    from movement_keys
),

-- One row per fee or shipping that a return on an order can have.
return_effects as (
    select
        effect_key(kinds.effect_kind, [return_id, order_number]) as effect_key, kinds.effect_kind, return_id,
        cast(null as varchar) as return_item_id, order_number, cast(null as bigint) as shipment_line_id,
        cast(null as varchar) as currency, cast(null as decimal(18, 4)) as amount
    from (from staging.returns semi join matching.orders_in_play using (order_number)) as pairs
    cross join (from policy.effect_types where is_of_the_return(effect_kind)) as kinds
)

from unit_effects
union all by name
from movement_effects
union all by name
from return_effects;

update push.ledger
set
    effect_kind = possible_effects.effect_kind,
    return_id = possible_effects.return_id,
    return_item_id = possible_effects.return_item_id,
    order_number = possible_effects.order_number,
    shipment_line_id = possible_effects.shipment_line_id,
    currency = coalesce(ledger.currency, possible_effects.currency),
    amount = coalesce(ledger.amount, possible_effects.amount)
from possible_effects
where possible_effects.effect_key = ledger.effect_key and ledger.return_id is null;
