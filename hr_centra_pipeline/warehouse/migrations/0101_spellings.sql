-- Ids that are not what they fold to, by which another writing of the same id is found. Most exports have none.
create table landing.folded_ids (
    kind varchar not null, folded varchar not null, id varchar not null, primary key (kind, id)
);
insert into landing.folded_ids
select 'item', upper(item_id), item_id from landing.happy_returns_items where item_id <> upper(item_id) group by all
union all
select 'return', upper(return_id), return_id
from (
    select return_id from landing.happy_returns_returns where return_id <> upper(return_id)
    union
    select return_id from landing.happy_returns_items where return_id <> upper(return_id)
)
union all
select 'refund', upper(refund_id), refund_id from landing.happy_returns_refunds where refund_id <> upper(refund_id) group by all
union all
select 'shipment', upper(shipment_id), shipment_id
from landing.happy_returns_shipments where shipment_id <> upper(shipment_id) group by all;
