-- makes: staging.returns
-- kind:  table
-- grain: one row per return on an order, in its latest state

-- Here and in the other files: latest by source time; at the same source time the later line of the later file.
delete from staging.returns where exists (
        select 1 from returns_with_news as returns_changed
        where returns_changed.return_id = returns.return_id and returns_changed.order_number = returns.order_number
    );
insert into staging.returns by name
select * exclude (profile, row_sha256, landed_at, texts, batch, said_batch, feed), batch as landed_batch
from landing.happy_returns_returns
semi join returns_with_news using (return_id, order_number)
qualify row_number() over (
        partition by return_id, order_number order by source_time desc, batch desc, source_line desc
    ) = 1;
