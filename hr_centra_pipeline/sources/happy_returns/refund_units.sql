-- makes: staging.refund_units
-- kind:  table
-- grain: one row per unit that a refund pays

-- One row per return on an order of which a refund or a unit changed.
create or replace temp table changed_pairs as
select return_id, order_number from pairs_with_refunds
union
select return_id, order_number from staging.return_items semi join changed_items using (return_item_id);

-- One row per refund of a changed pair.
create or replace temp table pair_refunds as
from staging.refunds semi join changed_pairs using (return_id, order_number);

delete from staging.refund_units where refund_id in (select refund_id from pair_refunds);
insert into staging.refund_units by name
with
-- Failed rows release their units.
paying_refunds as (
    select *, coalesce(issued_at, source_time) as paid_at from pair_refunds where status in ('issued', 'pending')
),

-- Ids as reported, which may be the alias of a unit that has a hash.
reported_units as (
    select distinct row_items.refund_id, items.return_item_id
    from (
        select refund_id, return_id, unnest(regexp_split_to_array(trim(item_ids), '[\s,;|]+')) as item_id
        from paying_refunds where item_ids is not null
    ) as row_items
    join staging.return_items as items
        on items.return_id = row_items.return_id and row_items.item_id in (items.item_id, items.return_item_id)
),

-- The units of the same return, order and type that were approved by then: by the row that is nearest to when the unit says
-- that it was refunded; as long as it says nothing, by the earliest.
derived_units as (
    select
        arg_min(paying_refunds.refund_id, (
            coalesce(abs(date_diff('second', items.refunded_at, paying_refunds.paid_at)), 0),
            paying_refunds.paid_at,
            paying_refunds.refund_id
        )) as refund_id,
        items.return_item_id
    from staging.return_items as items
    join paying_refunds
        on paying_refunds.return_id = items.return_id
            and paying_refunds.order_number = items.order_number
            and paying_refunds.refund_type = items.refund_type
            and paying_refunds.item_ids is null
            and items.approved_at <= paying_refunds.paid_at
    anti join reported_units on reported_units.return_item_id = items.return_item_id
    group by items.return_item_id
)

select refund_id, return_item_id, true as is_told from reported_units
union all by name
select refund_id, return_item_id, false as is_told from derived_units;
