-- stock_change_without_return: somebody booked a customer return that Happy Returns knows nothing of. Only texts that the
-- policy's patterns call a customer return count; deliveries are quiet.
create or replace temp table customer_returns as
select
    stock_change_id, min(created_at) as created_at, sum(quantity) as units, bool_or(by_person) as by_person,
    case when count(distinct sku) = 1 then min(sku) end as sku, any_value(named) as named
from booked_returns
group by stock_change_id;

-- One row per such change whose text names a return or order of Happy Returns.
create or replace temp table told_stock_changes as
select distinct named.stock_change_id
from (select stock_change_id, unnest(named) as word from customer_returns) as named
join (
    select return_id as word from staging.returns union select express_code from staging.returns
    union select order_number from staging.return_items
) as known using (word);

insert into findings by name
select
    'stock_change_without_return' as kind,
    'goods' as subject,
    'Stock change ' || stock_change_id as identity,
    'fix_centra' as class,
    'data_gap' as cause,
    case when by_person then 'person' else 'unknown' end as culprit,
    sku,
    created_at as fact_at,
    'Stock change ' || stock_change_id || ' puts ' || units_text(units)
        || ' back as a customer return, and no return is told' as detail,
    'Ask who booked it: find its return, or take the goods out again. A text that names the return''s express code or number is tied to it.'
        as next_step,
    json_object('stock_change_id', stock_change_id, 'named', named) as evidence
from customer_returns
anti join told_stock_changes using (stock_change_id);
