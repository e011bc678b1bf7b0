-- makes: effects.observed, keys_in_centra
-- kind:  table
-- grain: one row per effect key and object in Centra that shows it
-- loop:  push.ledger, push.packets: a packet that is under way says what its Return is for; one that nobody knows may be half done

-- One row per effect key and object in Centra that shows it: the comment of a Return, the text of a stock change, an order's
-- note, a customer's note, an attribute.
-- Only objects are read that were landed since the ledger took over what Centra shows (since: up to which batch).
create or replace temp table newly_landed_returns as
select centra_return_id, max(batch) as landed_batch from landing.centra_returns where batch > $since group by all;

create or replace temp table newly_landed_orders as
select order_number, max(batch) as landed_batch from landing.centra_orders where batch > $since group by all;

create or replace temp table newly_landed_marks as
select mark, max(batch) as landed_batch from landing.centra_status_marks where batch > $since group by all;

-- Its text is on each of its lines.
create or replace temp table newly_landed_stock_changes as
select
    stock_change_id, any_value(effect_keys) as effect_keys, min(created_at) as created_at,
    max(warehouse_id) filter (where quantity > 0) as warehouse_id, any_value(landed_batch) as landed_batch
from staging.stock_changes
join (
    select stock_change_id, max(batch) as landed_batch
    from landing.centra_stock_changes
    where batch > $since
    group by all
) as landed using (stock_change_id)
group by stock_change_id;

delete from effects.observed where
    (place = 'return' and centra_id in (select centra_return_id::varchar from newly_landed_returns))
    or (place = 'stock_change' and centra_id in (select stock_change_id::varchar from newly_landed_stock_changes))
    or (place = 'order' and centra_id in (select order_number from newly_landed_orders))
    or (place = 'order_attribute' and 'order ' || centra_id in (select mark from newly_landed_marks))
    or (
        place in ('customer_note', 'customer_attribute')
        and 'customer ' || centra_id in (select mark from newly_landed_marks)
    );

-- Our completed Returns that no packet carries (our database was lost), and without what they were made for: the payment
-- by our call, or the replacement. Who should have paid it is what the settings were when it was issued, else what they are now.
create or replace temp table keys_without_result as
with
keys as (
    select
        returns.centra_return_id, returns.packet_key, returns.order_number, unnest(returns.effect_keys) as effect_key
    from staging.centra_returns as returns
    semi join newly_landed_returns using (centra_return_id)
    anti join
        (select packet_key from push.packets where state in ('sending', 'unknown', 'confirmed')) as known
        using (packet_key)
    where returns.deleted_at is null
        and returns.is_completed
        and returns.packet_key is not null
        and returns.grand_total > 0
),

units as (
    select keys.centra_return_id, keys.packet_key, kinds.kind, items.return_item_id
    from keys
    join staging.return_items as items using (order_number)
    cross join
        (select effect_kind as kind from policy.effect_types where gives_value(effect_kind)) as kinds
    where keys.effect_key = effect_key(kinds.kind, [items.return_item_id])
)

select distinct centra_return_id
from units
where case units.kind
        when 'exchange_order'
            then units.packet_key not in (
                    select origin_return_key from staging.orders where origin_return_key is not null
                )
        else units.return_item_id in (
                select return_item_id from paid_through
                group by return_item_id
                having bool_or(coalesce(array_to_string(seen_payers, ' '), pays_now) <> 'elsewhere')
                    and not coalesce(bool_or(array_to_string(seen_payers, ' ') = 'elsewhere'), false)
            )
            and units.centra_return_id not in (
                select centra_return_id from staging.payment_entries
                where centra_return_id is not null and is_refund
            )
            and units.return_item_id not in (
                select return_item_id from paid_through where gift_card_id is not null and return_item_id is not null
            )
    end;

-- Completed is not paid: someone may complete our Return while it is still to be paid, or still waits for its
-- replacement. As long as its packet is in doubt, only the look-up of that packet says what is left to do.
insert into effects.observed by name
select
    unnest(effect_keys) as effect_key, 'return' as place, cast(null as varchar) as effect_kind,
    centra_return_id::varchar as centra_id, order_number, packet_key, cast(null as bigint) as warehouse_id,
    coalesce(is_completed, false) and case
        when packets.packet_key is null then centra_return_id not in (select centra_return_id from keys_without_result)
        when packets.operation = 'exchange' then false
        when packets.payload ->> 'pays_through' <> 'elsewhere' and (packets.payload ->> 'total')::decimal(
                18, 4
            ) > 0
            then exists (
                    select 1 from staging.payment_entries as entries
                    where entries.centra_return_id = centra_returns.centra_return_id
                        and entries.is_refund
                )
        else true
    end as is_complete,
    centra_returns.created_at as seen_at, landed_batch
from staging.centra_returns
join newly_landed_returns using (centra_return_id)
left join (
    select packet_key, operation, payload from push.packets where state in ('sending', 'unknown')
) as packets using (packet_key)
where deleted_at is null
union all by name
select
    unnest(effect_keys) as effect_key, 'stock_change' as place, 'inventory_adjustment' as effect_kind,
    stock_change_id::varchar as centra_id, cast(null as varchar) as order_number, cast(null as varchar) as packet_key,
    warehouse_id, true as is_complete, created_at as seen_at, landed_batch
from newly_landed_stock_changes
union all by name
-- The keys in a replacement order's comment are an exchange's: its Return shows how far that came.
select
    unnest(effect_keys) as effect_key,
    'order' as place,
    'status_update' as effect_kind,
    order_number as centra_id,
    order_number,
    cast(null as varchar) as packet_key,
    cast(null as bigint) as warehouse_id,
    true as is_complete,
    updated_at as seen_at,
    landed_batch
from staging.orders
join newly_landed_orders using (order_number)
where origin_return_key is null
union all by name
-- What was ordered again is from a Return that carries the first one's key: its own is in its order alone.
select
    repeated_orders.effect_key, 'order' as place, 'exchange_order' as effect_kind, repeated_orders.order_number as centra_id,
    cast(null as varchar) as order_number, repeated_orders.origin_return_key as packet_key, cast(null as bigint) as warehouse_id,
    packets.packet_key is null as is_complete, repeated_orders.created_at as seen_at, repeated_orders.landed_batch
from (
    select unnest(effect_keys) as effect_key, order_number, origin_return_key, created_at, landed_batch
    from staging.orders
    join newly_landed_orders using (order_number)
    where origin_return_key is not null
) as repeated_orders
left join (select packet_key from push.packets where state in ('sending', 'unknown')) as packets
    on packets.packet_key = repeated_orders.origin_return_key
where repeated_orders.effect_key not in (
        select effect_key('exchange_order', [return_item_id]) from staging.return_items
        semi join matching.orders_in_play using (order_number)
        where refund_type = 'exchange'
    ) and repeated_orders.effect_key not in (
        select unnest(effect_keys) from staging.centra_returns where packet_key is not null
    )
union all by name
select
    unnest(note_keys) as effect_key, 'customer_note' as place, 'customer_note' as effect_kind, object_id as centra_id,
    cast(null as varchar) as order_number,
    cast(null as varchar) as packet_key,
    cast(null as bigint) as warehouse_id,
    true as is_complete,
    fetched_at as seen_at, landed_batch
from staging.status_marks
join newly_landed_marks using (mark)
union all by name
select
    unnest(value_keys) as effect_key, object_type || '_attribute' as place, object_type || '_attribute' as effect_kind,
    object_id as centra_id,
    case object_type when 'order' then object_id end as order_number,
    cast(null as varchar) as packet_key,
    cast(null as bigint) as warehouse_id, true as is_complete, fetched_at as seen_at, landed_batch
from staging.status_marks
join newly_landed_marks using (mark);

-- One row per effect key that is in Centra for the active orders (or for their units, on the orders that they were of before): by
-- the ledger, or by what it has not taken over yet. A key whose unit is not known (our database was lost) counts everywhere.
-- What another user had done counts while it is there, and as long as no person has tied it to others.
create or replace temp table keys_in_centra as
select effect_key from push.ledger
where state = 'confirmed' and (
        order_number is null or order_number in (select order_number from matching.orders_in_play)
        or return_item_id in (
            select return_item_id from staging.return_items semi join matching.orders_in_play using (order_number)
        )
    )
    and not (is_foreign and effect_kind = 'credit_note' and (
        centra_id in (select centra_return_id::varchar from staging.centra_returns where deleted_at is not null)
        or (
            centra_id in (select centra_id from push.ties where what = 'return')
            and (centra_id, return_item_id) not in (
                select (centra_id, return_item_id) from push.ties where what = 'return' and return_item_id is not null
            )
        )
    ))
union
select effect_key from effects.observed where is_complete and landed_batch > $since;
