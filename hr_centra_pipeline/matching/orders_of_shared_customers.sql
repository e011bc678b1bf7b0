-- changes: matching.orders_in_play
-- kind:  table
-- grain: one row per order that is looked at because its customer has an active order

-- Orders with returns of a customer who has an active order, where the policy writes one value for all returns of a customer:
-- which of them is the latest is found by looking at all.
insert into matching.orders_in_play
select distinct others.order_number
from staging.orders as mine
semi join matching.orders_in_play as in_play on in_play.order_number = mine.order_number
join staging.orders as others using (customer_id)
semi join staging.return_items as items on items.order_number = others.order_number
semi join policy.status_targets as targets on targets.effect_kind = 'customer_attribute'
anti join matching.orders_in_play as known on known.order_number = others.order_number;
