-- makes: whole_orders
-- kind:  step
-- grain: one row per order of which everything that was ordered has come back

create or replace temp table whole_orders as
select order_number
from (
    select order_number, sum(quantity) as units
    from staging.order_lines semi join matching.orders_in_play using (order_number)
    group by order_number
) as line_sums
join (
    -- What was only started, has expired or was refused has not come back.
    select order_number, count(*) as units from matching.matched_items
    semi join (select return_item_id from staging.return_items where approved_at is not null) using (return_item_id)
    where shipment_line_id is not null and has_claim group by order_number
) as return_sums using (order_number)
where return_sums.units >= line_sums.units;
