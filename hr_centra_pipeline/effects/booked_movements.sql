-- makes: booked_movements
-- kind:  step
-- grain: one row per stock movement of an active unit that was sent
-- loop:  push.ledger, push.packets: the article and warehouse of a movement are those that its packet was sent with

-- One row per stock movement of a active unit that was sent, with the article that was booked: by the packet that carried it;
-- when that is lost, by a stock change of a single article (null: not known).
create or replace temp table booked_movements as
with
sent_movements as (
    select
        ledger.effect_key,
        ledger.return_item_id,
        ledger."state",
        ledger.centra_id,
        ledger.warehouse_id,
        ledger.packet_key,
        ledger.planned_at, ledger.confirmed_at
    from push.ledger
    join staging.return_items as items using (return_item_id)
    semi join matching.orders_in_play as in_play on in_play.order_number = items.order_number
    where ledger.effect_kind = 'inventory_adjustment' and ledger."state" in ('sending', 'unknown', 'confirmed')
),

-- One row per movement: the article that its packet put into stock.
packet_skus as (
    select sent_movements.effect_key, min(sizes.size.sku) as sku
    from sent_movements
    join (
        select
            packets.packet_key,
            unnest(from_json(packets.payload -> 'sizes', '[{"sku": "VARCHAR", "members": ["VARCHAR"]}]')) as size
        from push.packets semi join sent_movements using (packet_key)
        where packets.operation = 'stock'
    ) as sizes using (packet_key)
    where list_contains(sizes.size.members, sent_movements.effect_key)
    group by sent_movements.effect_key
),

-- One row per stock change of one article.
change_skus as (
    select stock_change_id::varchar as centra_id, min(sku) as sku
    from staging.stock_changes where stock_change_id::varchar in (select centra_id from sent_movements)
    group by stock_change_id having count(distinct sku) = 1
)

select sent_movements.*, coalesce(packet_skus.sku, change_skus.sku) as sku
from sent_movements
left join packet_skus using (effect_key)
left join change_skus using (centra_id);
