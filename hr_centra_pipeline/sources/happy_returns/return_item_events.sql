-- makes: staging.return_item_events
-- kind:  table
-- grain: one row per unit and thing that happened to it, by the latest state of the unit

delete from staging.return_item_events where return_item_id in (select return_item_id from changed_items);
insert into staging.return_item_events by name
with
items as (
    from staging.return_items semi join changed_items using (return_item_id)
)

select
    return_item_id,
    return_id,
    'started' as event,
    return_created_at as happened_at,
    false as is_physical,
    cast(null as varchar) as value
from items where return_created_at is not null
union all by name
-- Handed to the carrier: only the return says so. Where goods are handed in at a bar or store, that is their receipt.
select
    items.return_item_id,
    items.return_id,
    'dropped_off' as event,
    returns.dropped_off_at as happened_at,
    true as is_physical
from items
join staging.returns using (return_id, order_number)
where returns.dropped_off_at is not null and not is_received_returnless(items.received_channel)
    and (is_by_mail(items.dropoff_method) or items.received_at is null)
union all by name
select
    return_item_id, return_id, 'received' as event, received_at as happened_at,
    not is_received_returnless(received_channel) as is_physical, received_channel as value
from items where received_at is not null
union all by name
select return_item_id, return_id, 'hub_received' as event, hub_received_at as happened_at, true as is_physical
from items where hub_received_at is not null
union all by name
select
    return_item_id, return_id, 'warehouse_received' as event, warehouse_received_at as happened_at, true as is_physical
from items where warehouse_received_at is not null
union all by name
select return_item_id, return_id, 'approved' as event, approved_at as happened_at, false as is_physical
from items where approved_at is not null
union all by name
select return_item_id, return_id, 'refunded' as event, refunded_at as happened_at, false as is_physical
from items where refunded_at is not null
union all by name
select
    return_item_id,
    return_id,
    'graded' as event,
    disposition_at as happened_at,
    true as is_physical,
    disposition as value
from items where disposition_at is not null
union all by name
select
    shipments.return_item_id, items.return_id, 'departed' as event, departed_at as happened_at, true as is_physical,
    min(shipments.shipment_id) as value
from staging.return_shipments as shipments
join items using (return_item_id)
where departed_at is not null
group by all;
