-- makes: returns_with_news, changed_items
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
