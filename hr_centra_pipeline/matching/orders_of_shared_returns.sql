-- changes: matching.orders_in_play
-- kind:  table
-- grain: one row per order that is looked at because it shares a return with an active order

-- Orders that share a return with an active order: a fee is charged once per return, whatever its orders.
insert into matching.orders_in_play
select distinct others.order_number
from staging.return_items as items
semi join matching.orders_in_play using (order_number)
join staging.return_items as others on others.return_id = items.return_id
anti join matching.orders_in_play as known on known.order_number = others.order_number;
