-- makes: returns_with_news, changed_items, partly_reported_returns, partly_reported_items
-- kind:  step
-- grain: one row per unit that was landed since the last staging (`since`), and one per return on an order

-- One row per (return, order) that new rows touch.
create or replace temp table returns_with_news as
select distinct return_id, order_number from landing.happy_returns_returns where batch > $since;

-- One row per unit that new rows touch, its return's rows included: they state when the return started.
create or replace temp table changed_items as
select return_item_id from landing.happy_returns_items where batch > $since
union
select return_item_id from landing.happy_returns_items semi join returns_with_news using (return_id, order_number)
union
select return_item_id from landing.happy_returns_shipments where batch > $since;

-- Of these, the ones of which an event or the partner API reports. Their rows say what they say, and are folded into states:
-- a row of a file is a whole state, and what another row leaves out stays as it was. All others have whole states only.
create or replace temp table partly_reported_returns as
select distinct return_id, order_number from landing.happy_returns_returns
semi join returns_with_news using (return_id, order_number)
where feed <> 'files';

create or replace temp table partly_reported_items as
select distinct return_item_id from landing.happy_returns_items semi join changed_items using (return_item_id)
where feed <> 'files';
