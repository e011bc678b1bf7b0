-- makes: customer_returns, named_stock_changes
-- kind:  step
-- grain: one row per stock change that is called a customer return

-- Only texts that the policy's patterns call a customer return count; deliveries are quiet.
create or replace temp table customer_returns as
select
    stock_change_id, min(created_at) as created_at, sum(quantity) as units, bool_or(by_person) as by_person,
    case when count(distinct sku) = 1 then min(sku) end as sku, any_value(named) as named
from booked_returns
group by stock_change_id;

-- One row per such change whose text names a return or order of Happy Returns.
create or replace temp table named_stock_changes as
select distinct named_words.stock_change_id
from (select stock_change_id, unnest(named) as word from customer_returns) as named_words
join (
    select return_id as word from staging.returns
    union
    select express_code from staging.returns
    union
    select order_number from staging.return_items
) as known using (word);
