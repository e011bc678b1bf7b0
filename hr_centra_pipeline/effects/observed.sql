-- One row per effect key and object in Centra that shows it: the comment of a Return, the text of a stock change, an order's
-- note. Only objects are read anew that were landed since the ledger took over what Centra shows (since: up to which batch).
create or replace temp table changed_returns as
select centra_return_id, max(batch) as landed_batch from landing.centra_returns where batch > $since group by all;

create or replace temp table changed_orders as
select order_number, max(batch) as landed_batch from landing.centra_orders where batch > $since group by all;

-- Its text stands on each of its lines.
create or replace temp table changed_stock_changes as
select
    stock_change_id, any_value(effect_keys) as effect_keys, min(created_at) as created_at,
    max(warehouse_id) filter (where quantity > 0) as warehouse_id, any_value(landed_batch) as landed_batch
from staging.stock_changes
join (
    select stock_change_id, max(batch) as landed_batch from landing.centra_stock_changes where batch > $since group by all
) as landed using (stock_change_id)
group by stock_change_id;

delete from effects.observed where
    (place = 'return' and centra_id in (select centra_return_id::varchar from changed_returns))
    or (place = 'stock_change' and centra_id in (select stock_change_id::varchar from changed_stock_changes))
    or (place = 'order' and centra_id in (select order_number from changed_orders));

insert into effects.observed by name
select
    unnest(effect_keys) as effect_key, 'return' as place, cast(null as varchar) as effect_kind,
    centra_return_id::varchar as centra_id, order_number, packet_key, cast(null as bigint) as warehouse_id,
    status = 'COMPLETED' as is_complete, created_at as seen_at, landed_batch
from staging.centra_returns
join changed_returns using (centra_return_id)
where deleted_at is null
union all by name
select
    unnest(effect_keys) as effect_key, 'stock_change' as place, 'inventory_adjustment' as effect_kind,
    stock_change_id::varchar as centra_id, cast(null as varchar) as order_number, cast(null as varchar) as packet_key,
    warehouse_id, true as is_complete, created_at as seen_at, landed_batch
from changed_stock_changes
union all by name
-- The keys in a replacement order's comment are an exchange's: its Return tells how far that came.
select
    unnest(effect_keys) as effect_key, 'order' as place, 'status_update' as effect_kind, order_number as centra_id, order_number,
    cast(null as varchar) as packet_key, cast(null as bigint) as warehouse_id, true as is_complete, updated_at as seen_at,
    landed_batch
from staging.orders
join changed_orders using (order_number)
where origin_return_key is null;

-- One row per effect key that is in Centra for the orders in play: by the ledger, or by what it has not taken over yet. A key
-- whose unit is not known (our database was lost) counts everywhere.
create or replace temp table done as
select effect_key from push.ledger
where state = 'confirmed' and (order_number is null or order_number in (select order_number from matching.orders_in_play))
union
select effect_key from effects.observed where is_complete and landed_batch > $since;
