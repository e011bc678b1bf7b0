-- makes: staging.stock_changes
-- kind:  table
-- grain: one row per line of a stock change

-- one row per stock change that is new: as landed last
create or replace temp table changed_stock_changes as
select stock_change_id, payload, created_at
from landing.centra_stock_changes
where stock_change_id in (select stock_change_id from landing.centra_stock_changes where batch > $watermark)
qualify row_number() over (partition by stock_change_id order by batch desc) = 1;

delete from staging.stock_changes where stock_change_id in (select stock_change_id from changed_stock_changes);

insert into staging.stock_changes by name
with
-- one row per new stock change: does its text look like a customer return?
looks as (
    select
        stock_change_id,
        exists (
            from policy.customer_return_patterns as known
            where regexp_matches(new.payload ->> 'comment', known.pattern)
        ) as is_customer_return
    from changed_stock_changes as new
),

-- one row per line of a new stock change
lines as (
    select stock_change_id, payload, created_at, unnest(items_of(payload -> 'lines')) as line
    from changed_stock_changes
)

select
    cast(line ->> 'id' as bigint) as stock_change_line_id,
    stock_change_id,
    created_at,
    payload ->> 'type' as type,
    coalesce(keys_in(payload ->> 'comment'), []) as effect_keys,
    is_customer_return,
    words_in(payload ->> 'comment') as named,
    (payload ->> '$.adminUser.id') is not null as by_person,
    line ->> '$.productSize.SKU' as sku,
    coalesce(
        cast(line ->> '$.warehouse.id' as bigint), cast(payload ->> '$.warehouse.id' as bigint)
    ) as warehouse_id,
    -- Centra's sign (assumed: negative when goods leave); the words of `type` decide nothing, they are not documented.
    cast(line ->> 'deliveredQuantity' as bigint) as quantity
from lines
inner join looks using (stock_change_id);
