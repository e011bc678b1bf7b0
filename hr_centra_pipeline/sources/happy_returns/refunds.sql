-- makes: staging.refunds, changed_refunds, pairs_with_refunds
-- kind:  table
-- grain: one row per refund, in its latest state

-- One row per refund that new rows touch.
create or replace temp table changed_refunds as
select distinct refund_id from landing.happy_returns_refunds where batch > $since;

-- One row per return on an order that such a refund was of, or is of now.
create or replace temp table pairs_with_refunds as
select distinct return_id, order_number from staging.refunds semi join changed_refunds using (refund_id);

delete from staging.refunds where refund_id in (select refund_id from changed_refunds);
insert into staging.refunds by name
select * exclude (profile, row_sha256, landed_at, texts, batch, said_batch, feed), batch as landed_batch
from landing.happy_returns_refunds
semi join changed_refunds using (refund_id)
qualify row_number() over (partition by refund_id order by source_time desc, batch desc, source_line desc) = 1;

insert into pairs_with_refunds
select distinct return_id, order_number from staging.refunds semi join changed_refunds using (refund_id);
