-- makes: staging.shipments, changed_shipments
-- kind:  table
-- grain: one row per shipment

-- one row per shipment that changed: as landed last
create or replace temp table changed_shipments as
select shipment_id, order_number, payload, updated_at
from landing.centra_shipments
where shipment_id in (select shipment_id from landing.centra_shipments where batch > $watermark)
    or order_number in (select order_number from changed_bundles) -- what its parts are, their order says
qualify row_number() over (partition by shipment_id order by batch desc) = 1;

delete from staging.shipments where shipment_id in (select shipment_id from changed_shipments);

insert into staging.shipments by name
select
    shipment_id,
    payload ->> 'number' as shipment_number,
    order_number,
    cast(payload ->> 'isShipped' as boolean) as is_shipped,
    cast(payload ->> 'isCaptured' as boolean) as is_captured,
    cast(payload ->> 'isPaid' as boolean) as is_paid,
    cast(payload ->> 'isGoodToGo' as boolean) as is_good_to_go,
    amount(payload -> 'grandTotal') as grand_total,
    cast(payload ->> 'createdAt' as timestamptz) as created_at,
    updated_at,
    cast(payload ->> 'shippedAt' as timestamptz) as shipped_at
from changed_shipments;
