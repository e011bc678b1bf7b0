-- makes: staging.return_bags
-- kind:  table
-- grain: one row per return and bag that it is in

-- One row per return and bag that new rows touch.
create or replace temp table changed_bags as
select distinct return_id, bag_barcode from landing.happy_returns_bags where batch > $since;

delete from staging.return_bags where exists (
        select 1 from changed_bags
        where changed_bags.return_id = return_bags.return_id and changed_bags.bag_barcode = return_bags.bag_barcode
    );
insert into staging.return_bags by name
select * exclude (profile, row_sha256, landed_at, texts, batch, said_batch, feed), batch as landed_batch
from landing.happy_returns_bags
semi join changed_bags using (return_id, bag_barcode)
qualify row_number() over (
        partition by return_id, bag_barcode order by source_time desc, batch desc, source_line desc
    ) = 1;
