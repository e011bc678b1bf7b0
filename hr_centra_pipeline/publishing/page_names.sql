-- kind:  query
-- grain: one row per name of a return

-- The names by which returns are found: returns: the return ids.
with
wanted_returns as (
    select distinct unnest($returns::varchar[]) as return_id
),

heads as (
    select * from staging.returns semi join wanted_returns using (return_id)
),

units as (
    select * from staging.return_items semi join wanted_returns using (return_id)
),

effects_of_returns as (
    select * from push.ledger semi join wanted_returns using (return_id)
),

names as (
    select return_id, return_id as name, 'return' as kind from wanted_returns
    union
    select return_id, order_number, 'order' from heads
    union
    select return_id, order_number, 'order' from units
    union
    -- The order of a replacement leads to the return that it was made for.
    select return_id, unnest(order_numbers), 'order' from effects.replacements semi join wanted_returns using (return_id)
    union
    select return_id, express_code, 'express_code' from heads
    union
    select return_id, express_code, 'express_code' from units
    union
    select return_id, external_rma_id, 'rma' from heads
    union
    select return_id, centra_id, 'rma' from effects_of_returns where is_on_a_return(effect_kind)
    union
    select return_id, packet_key, 'rma' from effects_of_returns where is_on_a_return(effect_kind)
    union
    select units.return_id, foreign_centra_return_id::varchar, 'rma'
    from matching.matched_items join units using (return_item_id)
    union
    select return_id, sku, 'sku' from units
    union
    select units.return_id, matched_items.sku, 'sku' from matching.matched_items join units using (return_item_id)
    union
    select return_id, exchange_sku, 'sku' from units
    union
    select return_id, return_item_id, 'unit' from units
    union
    select return_id, item_id, 'unit' from units
    union
    select units.return_id, tracking, 'tracking' from staging.return_shipments join units using (return_item_id)
    union
    select units.return_id, shipment_id, 'box' from staging.return_shipments join units using (return_item_id)
    union
    select return_id, bag_barcode, 'bag' from units
    union
    select return_id, bag_barcode, 'bag' from staging.return_bags semi join wanted_returns using (return_id)
    union
    select return_id, customer_token, 'email_token' from heads
)

select return_id, kind, name from names where trim(name) <> '' order by return_id, kind, name;
