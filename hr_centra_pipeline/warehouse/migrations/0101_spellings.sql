-- Ids that are not what they fold to, by which another writing of the same id is found. Most exports have none.
create table landing.folded_ids (
    kind varchar not null, folded varchar not null, id varchar not null, primary key (kind, id)
);
insert into landing.folded_ids
select 'item', lower(item_id), item_id from landing.happy_returns_items where item_id <> lower(item_id) group by all
union all
select 'return', lower(return_id), return_id
from (
    select return_id from landing.happy_returns_returns where return_id <> lower(return_id)
    union
    select return_id from landing.happy_returns_items where return_id <> lower(return_id)
)
union all
select 'refund', lower(refund_id), refund_id from landing.happy_returns_refunds where refund_id <> lower(refund_id) group by all
union all
select 'shipment', lower(shipment_id), shipment_id
from landing.happy_returns_shipments where shipment_id <> lower(shipment_id) group by all;
