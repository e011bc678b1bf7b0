-- kind:  query
-- grain: one row per unit on its way to the merchant

with
-- One row per unit: the last box that it left a hub in.
boxes as (
    select
        return_item_id, arg_max(struct_pack(
            shipment_id := shipment_id, carrier := carrier, tracking := tracking, destination := destination_address_id,
            departed_at := departed_at
        ), (coalesce(departed_at, source_time), shipment_id)) as box
    from staging.return_shipments group by return_item_id
),

bags as (
    select return_id, min(bag_barcode) as bag from staging.return_bags group by return_id having count(distinct bag_barcode) = 1
)

select
    delays.return_item_id, delays.return_id, delays.order_number, coalesce(matched.sku, items.sku) as sku, items.product_name,
    items.return_reason as reason, delays.last_event as stage, instant_text(delays.last_event_at) as stage_at,
    boxes.box.shipment_id as shipment_id, boxes.box.carrier as carrier, boxes.box.tracking as tracking,
    coalesce(items.bag_barcode, bags.bag) as bag, boxes.box.destination as destination,
    instant_text(boxes.box.departed_at) as sent_at,
    instant_text(delays.waits_since + to_hours(delays.window_hours::integer)) as expected_by, delays.verdict,
    value.currency, value.paid::varchar as value
from reconciliation.delays as delays
join staging.return_items as items using (return_item_id)
left join matching.matched_items as matched using (return_item_id)
left join effects.value_given_back as value using (return_item_id)
left join boxes using (return_item_id)
left join bags on bags.return_id = delays.return_id
where delays.waits_code = 'goods'
order by delays.return_item_id;
