-- makes: staging.return_shipments
-- kind:  table
-- grain: one row per unit of an outbound shipment, in its latest state

delete from staging.return_shipments where return_item_id in (select return_item_id from changed_items);
insert into staging.return_shipments by name
select * exclude (profile, row_sha256, landed_at, texts, batch, said_batch, feed), batch as landed_batch
from landing.happy_returns_shipments
semi join changed_items using (return_item_id)
qualify row_number() over (
        partition by shipment_id, return_item_id order by source_time desc, batch desc, source_line desc
    ) = 1;
