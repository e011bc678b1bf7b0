-- makes: staging.refund_units, staging.refunds, staging.return_item_events, staging.return_items,
--        staging.return_shipments, staging.returns, returns_with_news,
--        changed_items, changed_refunds
-- kind:  table
-- grain: one row per return, unit, event, shipment and refund, in the latest state

-- Latest state by source time; at the same source time the later line of the later file. `since`: what was staged before.

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

create or replace temp table changed_refunds as
select distinct refund_id from landing.happy_returns_refunds where batch > $since;

-- ---------------------------------------------------------------- returns
delete from staging.returns where exists (
        select 1 from returns_with_news as returns_changed
        where returns_changed.return_id = returns.return_id and returns_changed.order_number = returns.order_number
    );
insert into staging.returns by name
select * exclude (profile, row_sha256, landed_at, texts, batch, said_batch), batch as landed_batch
from landing.happy_returns_returns
semi join returns_with_news using (return_id, order_number)
qualify row_number() over (
        partition by return_id, order_number order by source_time desc, batch desc, source_line desc
    ) = 1;

-- ---------------------------------------------------------------- units
-- One row per landed row of a changed unit, in the order of its states; a later row of the same source time replaces it.
create or replace temp table item_states as
select
    *,
    coalesce(disposition, condition) as grade
from landing.happy_returns_items
semi join changed_items using (return_item_id)
qualify row_number() over (
        partition by return_item_id, source_time order by batch desc, source_line desc
    ) = 1;

delete from staging.return_items where return_item_id in (select return_item_id from changed_items);
insert into staging.return_items by name
with
-- One row per unit: its newest state.
latest_states as (
    select * from item_states
    qualify row_number() over (partition by return_item_id order by source_time desc) = 1
),

-- One row per unit: since when it has had its present grade, without a break.
grade_dates as (
    select states.return_item_id, min(states.source_time) as disposition_at
    from item_states as states
    join latest_states using (return_item_id)
    left join (
        select states.return_item_id, max(states.source_time) as other_at
        from item_states as states
        join latest_states using (return_item_id)
        where states.grade is distinct from latest_states.grade
        group by states.return_item_id
    ) as other using (return_item_id)
    where latest_states.grade is not null and (other.other_at is null or states.source_time > other.other_at)
    group by states.return_item_id
),

-- One row per unit that was approved once and is not any more: since when.
withdrawals as (
    select states.return_item_id, min(states.source_time) as approval_withdrawn_at
    from item_states as states
    join latest_states using (return_item_id)
    join (
        select return_item_id, max(source_time) as approved_until
        from item_states where approved_at is not null group by return_item_id
    ) as approvals using (return_item_id)
    where latest_states.approved_at is null and states.source_time > approvals.approved_until
    group by states.return_item_id
)

select
    latest_states.* exclude (profile, row_sha256, landed_at, texts, batch, said_batch, grade, disposition),
    latest_states.grade as disposition,
    grade_dates.disposition_at,
    withdrawals.approval_withdrawn_at,
    returns.created_at as return_created_at,
    returns.refund_status as return_status,
    latest_states.batch as landed_batch
from latest_states
left join grade_dates using (return_item_id)
left join withdrawals using (return_item_id)
left join staging.returns as returns
    on returns.return_id = latest_states.return_id and returns.order_number = latest_states.order_number;

-- ---------------------------------------------------------------- outbound shipments
delete from staging.return_shipments where return_item_id in (select return_item_id from changed_items);
insert into staging.return_shipments by name
select * exclude (profile, row_sha256, landed_at, texts, batch, said_batch), batch as landed_batch
from landing.happy_returns_shipments
semi join changed_items using (return_item_id)
qualify row_number() over (
        partition by shipment_id, return_item_id order by source_time desc, batch desc, source_line desc
    ) = 1;

-- ---------------------------------------------------------------- events
delete from staging.return_item_events where return_item_id in (select return_item_id from changed_items);
insert into staging.return_item_events by name
with
items as (
    from staging.return_items semi join changed_items using (return_item_id)
)

select
    return_item_id,
    return_id,
    'started' as event,
    return_created_at as happened_at,
    false as is_physical,
    cast(null as varchar) as value
from items where return_created_at is not null
union all by name
-- Handed to the carrier: only the return says so. Where goods are handed in at a bar or store, that is their receipt.
select
    items.return_item_id,
    items.return_id,
    'dropped_off' as event,
    returns.dropped_off_at as happened_at,
    true as is_physical
from items
join staging.returns using (return_id, order_number)
where returns.dropped_off_at is not null and not is_received_returnless(items.received_channel)
    and (is_by_mail(items.dropoff_method) or items.received_at is null)
union all by name
select
    return_item_id, return_id, 'received' as event, received_at as happened_at,
    not is_received_returnless(received_channel) as is_physical, received_channel as value
from items where received_at is not null
union all by name
select return_item_id, return_id, 'hub_received' as event, hub_received_at as happened_at, true as is_physical
from items where hub_received_at is not null
union all by name
select
    return_item_id, return_id, 'warehouse_received' as event, warehouse_received_at as happened_at, true as is_physical
from items where warehouse_received_at is not null
union all by name
select return_item_id, return_id, 'approved' as event, approved_at as happened_at, false as is_physical
from items where approved_at is not null
union all by name
select return_item_id, return_id, 'refunded' as event, refunded_at as happened_at, false as is_physical
from items where refunded_at is not null
union all by name
select
    return_item_id,
    return_id,
    'graded' as event,
    disposition_at as happened_at,
    true as is_physical,
    disposition as value
from items where disposition_at is not null
union all by name
select
    shipments.return_item_id, items.return_id, 'departed' as event, departed_at as happened_at, true as is_physical,
    any_value(shipments.shipment_id) as value
from staging.return_shipments as shipments
join items using (return_item_id)
where departed_at is not null
group by all;

-- ---------------------------------------------------------------- refunds and the units that they pay
create or replace temp table changed_pairs as
select distinct return_id, order_number from staging.refunds semi join changed_refunds using (refund_id);

delete from staging.refunds where refund_id in (select refund_id from changed_refunds);
insert into staging.refunds by name
select * exclude (profile, row_sha256, landed_at, texts, batch, said_batch), batch as landed_batch
from landing.happy_returns_refunds
semi join changed_refunds using (refund_id)
qualify row_number() over (partition by refund_id order by source_time desc, batch desc, source_line desc) = 1;

insert into changed_pairs
select distinct return_id, order_number from staging.refunds semi join changed_refunds using (refund_id)
union
select distinct return_id, order_number from staging.return_items semi join changed_items using (return_item_id);

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
